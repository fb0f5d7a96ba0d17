//! Where an operator works: the engine, over AWS or over this machine's data.

use std::{fmt, future::Future, sync::Arc};

use fitbridge_aws::{
    admin::DeadLetterQueue,
    context::{Clients, Environment, Outputs},
    run::Parts,
};
use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Connection, EventKind, User, UserId},
    engine::NoObserver,
    store::Listed,
};

use super::aws;
use crate::{
    app::{Access, App},
    args::admin::PlaceArgs,
    commands::{
        Context,
        common::{By, Whose},
        connect::Place,
    },
    exit::Stop,
    out::Out,
    settings,
};

/// Riders that are read in one step.
const PAGE: usize = 100;
/// The stack that is asked for where nobody names one: the name `make deploy` proposes.
const STACK: &str = "fitbridge";

/// What a command does with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It looks.
    Look,
    /// It changes something.
    Change,
}

/// The service on AWS.
#[derive(Debug)]
pub(super) struct Cloud {
    /// Clients and settings.
    pub parts: Parts,
    /// The queue of dead letters, where it is known.
    pub dead_letters: Option<DeadLetterQueue>,
}

/// Where an operator works.
#[derive(Debug)]
pub(super) struct Desk {
    /// Where results are printed.
    pub out: Out,
    /// The engine.
    pub engine: Arc<Engine>,
    /// What there is only on AWS.
    pub cloud: Option<Cloud>,
    one_host: bool,
    // Held while this process may have claims on this machine's data.
    app: Option<App>,
}

/// What an operator does that changes something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act<'a> {
    /// The verb: `users pause`.
    pub verb: &'static str,
    /// The rider it is about, if it is about one.
    pub user: Option<&'a UserId>,
    /// What is particular to it. Never a secret.
    pub detail: &'a str,
}

impl fmt::Display for Act<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb)?;
        if let Some(user) = self.user {
            write!(f, " {user}")?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

impl Desk {
    /// Over this machine's data.
    pub(super) fn local(context: &Context, need: Need) -> Result<Self, Stop> {
        let access = match need {
            Need::Look => Access::Read,
            Need::Change => Access::Write,
        };
        let settings = &context.settings;
        if need == Need::Change {
            context.warn();
        }
        let app = App::open(&context.home, settings, access, Arc::new(NoObserver))?;
        Ok(Self {
            out: context.out,
            engine: Arc::clone(&app.engine),
            cloud: None,
            one_host: settings.igpsport_url.is_some() != settings.igpsport_china_url.is_some(),
            app: Some(app),
        })
    }

    /// Over AWS: flags win over outputs, outputs over the environment. The stack is asked for its outputs
    /// where neither flags nor environment name a table.
    pub(super) async fn over_aws(out: Out, place: &PlaceArgs) -> Result<Self, Stop> {
        let mut variables = settings::of_functions();
        let outputs = match (&place.outputs, &place.stack) {
            (Some(file), _) => aws::outputs_of_file(file)?,
            (None, Some(stack)) => aws::outputs_of_stack(stack).await?,
            (None, None) if variables.contains_key("FITBRIDGE_TABLE") => Outputs::default(),
            (None, None) => aws::outputs_of_stack(STACK).await?,
        };
        variables.extend(outputs.variables);
        let flags = [
            ("FITBRIDGE_TABLE", &place.table),
            ("FITBRIDGE_BUCKET", &place.bucket),
            ("FITBRIDGE_QUEUE_URL", &place.queue_url),
        ];
        variables.extend(flags.into_iter().filter_map(|(name, flag)| Some((name.to_owned(), flag.clone()?))));
        let environment = Environment::parse(variables).map_err(wrong)?;
        for warning in environment.warnings() {
            out.note(format!("warning: {warning}"));
        }
        let one_host = environment.igpsport_url.is_some() != environment.igpsport_china_url.is_some();
        let clients = Clients::connect().await.map_err(wrong)?;
        let parts = Parts::over("admin", environment, clients).map_err(wrong)?;
        let engine = Arc::new(parts.operator().map_err(wrong)?);
        let dead = place.dead_letter_queue_url.clone().or(outputs.dead_letter_queue_url);
        let dead_letters = dead.map(|url| DeadLetterQueue::new(parts.clients.sqs.clone(), url));
        Ok(Self { out, engine, cloud: Some(Cloud { parts, dead_letters }), one_host, app: None })
    }

    /// What there is only on one machine.
    pub(super) fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }

    /// What there is only on AWS.
    pub(super) fn cloud(&self, what: &str) -> Result<&Cloud, Stop> {
        let missing = || Failure::new(Code::Usage, format!("{what} is for the service on AWS: say `admin --aws`"));
        self.cloud.as_ref().ok_or_else(|| Stop::failed(missing()))
    }

    /// Where a rider's connection is made.
    pub(super) fn place<'a>(&'a self, user: &'a UserId) -> Place<'a> {
        Place { of: self.whose(user), one_host: self.one_host }
    }

    /// A rider whose rides a command is about.
    pub(super) fn whose<'a>(&'a self, user: &'a UserId) -> Whose<'a> {
        Whose { out: self.out, engine: &self.engine, user, by: self.by() }
    }

    /// Whose operator gives the commands: this machine's, or the service's on AWS.
    pub(super) fn by(&self) -> By {
        if self.cloud.is_some() { By::Cloud } else { By::Operator }
    }

    /// The one place through which every change goes, so that it is on record who did what.
    pub(super) async fn act<T>(&self, act: Act<'_>, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        let done = work.await;
        match &done {
            Ok(_) => {
                tracing::info!(act = act.verb, "admin: {act}");
                self.record(act).await;
            }
            Err(stop) => tracing::info!(act = act.verb, code = %stop.failure.code, "admin: {act} failed: {stop}"),
        }
        done
    }

    /// What was done for a rider is among the rider's events. The act itself is done: a ledger that does not
    /// take the event is only warned of.
    async fn record(&self, act: Act<'_>) {
        let Some(user) = act.user else { return };
        let kind =
            EventKind::Act { by: "admin".into(), act: act.verb.replace(' ', "_"), detail: act.detail.to_owned() };
        if let Err(error) = self.engine.record_event(user, kind).await {
            self.out.note(format!("warning: the act is done, but not among the rider's events: {error}"));
        }
    }

    /// A rider who is there.
    pub(super) async fn rider(&self, user: &UserId) -> Result<User, Stop> {
        Ok(self.engine.rider(user).await?.doc)
    }

    /// A rider's connections.
    pub(super) async fn connections(&self, rider: &User) -> Result<Vec<Connection>, Stop> {
        let stored = self.engine.store().connections(rider).await?;
        Ok(stored.into_iter().map(|stored| stored.doc).collect())
    }

    /// A page of riders by name, and where to go on.
    pub(super) async fn riders(&self, after: Option<&UserId>) -> Result<(Vec<Listed>, Option<UserId>), Stop> {
        Ok(self.engine.store().riders(after, PAGE).await?)
    }

    /// Does something for one rider, or for everybody, page by page, until it says that it is enough.
    pub(super) async fn each_rider(
        &self,
        only: Option<&UserId>,
        mut visit: impl AsyncFnMut(&UserId) -> Result<Going, Stop>,
    ) -> Result<(), Stop> {
        if let Some(user) = only {
            self.rider(user).await?;
            return visit(user).await.map(drop);
        }
        let mut after = None;
        loop {
            let (riders, next) = self.riders(after.as_ref()).await?;
            for listed in riders {
                if visit(&listed.user).await? == Going::Enough {
                    return Ok(());
                }
            }
            match next {
                Some(user) => after = Some(user),
                None => return Ok(()),
            }
        }
    }
}

/// Whether to go on with the next rider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// Yes.
    On,
    /// No.
    Enough,
}

/// A setting that does not do.
fn wrong(error: impl fmt::Display) -> Stop {
    Stop::failed(Failure { code: Code::Settings, detail: error.to_string() })
}
