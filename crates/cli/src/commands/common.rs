//! What several commands look up or print.

use std::borrow::Cow;

use anstyle::AnsiColor;
use fitbridge_core::{
    Code, Engine, Failure, Reader,
    domain::{Activity, Connection, UserId},
};
use serde_json::{Value, json};

use super::{
    Context, find,
    tally::{Counts, SinkCounts, Tally},
};
use crate::{
    app::App,
    exit::{Exit, Stop},
    out::{Out, paint, plain},
};

/// Whose rides a command is about, who gives it, and over which adapters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    /// Where it is told.
    pub out: Out,
    /// The engine.
    pub engine: &'a Engine,
    /// The rider.
    pub user: &'a UserId,
    /// Whether an operator gives it for the rider.
    pub by: By,
}

/// Who gives a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The rider, on this machine.
    Rider,
    /// The operator of this machine.
    Operator,
    /// The operator of a service on AWS.
    Cloud,
}

impl By {
    /// What an operator's commands begin with.
    pub(crate) fn admin(self) -> &'static str {
        match self {
            By::Rider | By::Operator => "fitbridge admin",
            By::Cloud => "fitbridge admin --aws",
        }
    }
}

impl Whose<'_> {
    /// A command as it is typed for this rider.
    pub(crate) fn command(&self, verb: &str) -> String {
        match self.by {
            By::Rider => format!("fitbridge {verb}"),
            by => format!("{} {verb} {}", by.admin(), self.user),
        }
    }

    /// What whoever gives the command can do next.
    pub(crate) fn next_step(&self, code: Code) -> Cow<'static, str> {
        code.next_step_for(match self.by {
            By::Rider => Reader::Rider,
            By::Operator => Reader::Operator { rider: self.user, on_aws: false },
            By::Cloud => Reader::Operator { rider: self.user, on_aws: true },
        })
    }

    /// What happened, with what is usually its cause and what comes next, below a line about where it did.
    pub(super) fn explain(&self, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            self.out.line(format!("    {}", plain(&failure.to_string())));
            self.out.line(format!("    usually because: {}", failure.code.cause()));
            self.out.line(format!("    next: {}", self.next_step(failure.code)));
        }
    }

    /// A line for programs; an operator's says which rider it is about.
    pub(crate) fn record(&self, mut record: Value) {
        if self.by != By::Rider {
            record["rider"] = json!(self.user);
        }
        self.out.record(&record);
    }

    /// The rider's connections.
    pub(crate) async fn connections(&self) -> Result<Vec<Connection>, Stop> {
        connections_of(self.engine, self.user).await
    }

    /// The ride that is meant.
    pub(crate) async fn ride(&self, text: &str) -> Result<Activity, Stop> {
        find::ride_of(self.engine, self.user, text).await
    }
}

/// The connections of this machine's rider.
pub(crate) async fn connections(app: &App) -> Result<Vec<Connection>, Stop> {
    connections_of(&app.engine, &app.user).await
}

/// A rider's connections.
pub(crate) async fn connections_of(engine: &Engine, user: &UserId) -> Result<Vec<Connection>, Stop> {
    let store = engine.store();
    let Some(user) = store.user(user).await? else { return Ok(Vec::new()) };
    Ok(store.connections(&user.doc).await?.into_iter().map(|stored| stored.doc).collect())
}

/// Prints failures of the work itself, and says how the command ends with them.
pub(crate) fn print_failures(context: &Context, failures: &[Failure], exit: Exit) -> Exit {
    for failure in failures {
        context.out.note(format!("fitbridge: {}", plain(&failure.to_string())));
        context.out.note(format!("  next: {}", failure.code.next_step()));
    }
    match failures.iter().map(|failure| Stop::of(failure.clone()).exit).min() {
        Some(Exit::Failed) => Exit::Failed,
        Some(other) => exit.max(other),
        None => exit,
    }
}

/// Prints the deliveries by sink, where there were any, and what failed, and says how the command ends.
pub(crate) fn print_deliveries(context: &Context, tally: &Tally, counts: &Counts) -> Exit {
    let out = context.out;
    let mut exit = Exit::Done;
    for (sink, of) in counts.deliveries.iter().filter(|(_, of)| **of != SinkCounts::default()) {
        let open = if of.pending + of.failed == 0 { AnsiColor::Green } else { AnsiColor::Yellow };
        out.line(format!(
            "  {}: {} created, {} already there, {} pending, {} failed{}",
            paint(open, sink),
            of.created,
            of.already_there,
            of.pending,
            of.failed,
            if of.filtered > 0 { format!(", {} left out by its rules", of.filtered) } else { String::new() }
        ));
    }
    for (code, (failure, times)) in tally.failures() {
        out.line(format!("  {times} × {} [{code}]", failure.code.sentence()));
        out.line(format!("    next: {}", failure.code.next_step()));
    }
    if counts.held > 0 {
        out.line("  held: already there by another route; see `fitbridge held`, then `held send` or `held skip`");
    }
    if counts.failed > 0 {
        exit = Exit::Unfinished;
    }
    let blocked = tally.failures().values().any(|(failure, _)| Stop::of(failure.clone()).exit == Exit::NeedsRider);
    if blocked {
        exit = Exit::NeedsRider;
    }
    exit
}
