//! What several commands look up or print.

use anstyle::AnsiColor;
use fitbridge_core::{
    Engine, Failure,
    domain::{Connection, UserId},
};

use super::{
    Context,
    tally::{Counts, SinkCounts, Tally},
};
use crate::{
    app::App,
    exit::{Exit, Stop},
    out::{paint, plain},
};

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
