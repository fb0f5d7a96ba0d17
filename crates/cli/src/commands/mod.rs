//! One file per command, and what they share.

mod account;
mod admin;
mod audit;
mod backfill;
mod common;
mod completions;
mod connect;
mod demo;
mod doctor;
mod duplicates;
mod explain;
mod find;
mod forget;
mod fresh;
mod get;
mod held;
mod import;
mod list;
mod notify;
mod plan;
mod reconcile;
mod retry;
mod rules;
mod serve;
mod serve_log;
mod show;
mod simulate;
mod status;
mod sync;
mod tally;
mod why;

use std::sync::Arc;

use fitbridge_core::{Code, Failure, Reader, domain::UserId, engine::NoObserver};
use tracing::Level;

use self::common::{By, Whose};
use crate::{
    app::{Access, App},
    args::{Cli, Command, Config, Connect},
    exit::{Exit, Stop},
    inspect, logging,
    out::{Out, plain},
    settings::{self, Settings},
};

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> Exit {
    let out = Out::new(cli.json);
    // A failure does not say which rider it is about.
    let anybody = UserId::from_any("RIDER");
    let reader = match &cli.command {
        Command::Admin(args) => Reader::Operator { rider: &anybody, on_aws: args.place.aws },
        _ => Reader::Rider,
    };
    match dispatch(cli, out) {
        Ok(exit) => exit,
        Err(stop) => {
            let next = stop.failure.code.next_step_for(reader);
            out.record(&serde_json::json!({
                "type": "error",
                "code": stop.failure.code,
                "message": stop.failure.code.sentence(),
                "detail": stop.failure.detail,
                "next": next,
            }));
            out.record(
                &serde_json::json!({ "type": "summary", "code": stop.failure.code, "exit": u8::from(stop.exit) }),
            );
            // What is wrong with a setting or an argument says it all by itself.
            let message = match stop.failure.code {
                code @ (Code::Settings | Code::Usage) => format!("{} [{code}]", stop.failure.detail),
                _ => stop.failure.to_string(),
            };
            out.note(format!("fitbridge: {}", plain(&message)));
            out.note(format!("  next: {next}"));
            stop.exit
        }
    }
}

fn dispatch(cli: Cli, out: Out) -> Result<Exit, Stop> {
    // These work without any data.
    match &cli.command {
        Command::Completions { shell } => return Ok(completions::print(*shell)),
        Command::Explain { code } => return explain::run(out, code),
        Command::Inspect { files } => {
            logging::start(None, cli.verbose, Level::ERROR);
            return Ok(inspect::run(out, files));
        }
        _ => {}
    }
    let command = match cli.command {
        Command::Admin(args) if args.place.aws => {
            logging::start(None, cli.verbose, Level::ERROR);
            return block_on(admin::over_aws(out, args));
        }
        other => other,
    };
    let home = settings::home(cli.home.as_deref())?;
    let settings = Settings::read(&home)?;
    let usual = if matches!(command, Command::Serve) { Level::INFO } else { Level::ERROR };
    logging::start(Some(&settings), cli.verbose, usual);
    let context = Context { out, home, settings, verbose: cli.verbose };
    block_on(context.command(command))
}

fn block_on(command: impl Future<Output = Result<Exit, Stop>>) -> Result<Exit, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Stop::failed(Failure::new(Code::Bug, error.to_string())))?;
    let exit = runtime.block_on(command);
    // A blocking read of a slow disk must not keep a finished command alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    exit
}

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where it prints.
    pub out: Out,
    /// The data folder.
    pub home: std::path::PathBuf,
    /// The settings.
    pub settings: Settings,
    /// How much more is to be said.
    pub verbose: u8,
}

impl Context {
    async fn command(self, command: Command) -> Result<Exit, Stop> {
        match command {
            Command::Connect(what) => connect::run(&self, what).await,
            Command::LoginIgp(args) => connect::run(&self, Connect::Igpsport(args)).await,
            Command::Config(Config::Set { key, value }) => connect::config_set(&self, &key, value).await,
            Command::Disconnect { name } => connect::disconnect(&self, &name).await,
            Command::List { limit, name } => list::run(&self, limit, name.as_deref()).await,
            Command::Sync { dry_run: true } => sync::dry_run(&self).await,
            Command::Sync { dry_run: false } => sync::run(&self).await,
            Command::Import(args) => import::run(&self, args).await,
            Command::Status => status::run(&self).await,
            Command::Why { ride } => why::run(&self, &ride).await,
            Command::Get { ride, output, force } => get::run(&self, &ride, &output, force).await,
            Command::Show { what, svg } => show::run(&self, &what, svg.as_deref()).await,
            Command::Held { word } => held::run(&self, word).await,
            Command::Rules(args) => rules::run(&self, args).await,
            Command::Retry { rides, all } => retry::run(&self, &rides, all).await,
            Command::Notify(what) => notify::run(&self, what).await,
            Command::Audit { since } => audit::run(&self, since).await,
            Command::Export { output, force } => account::export(&self, &output, force).await,
            Command::DeleteAccount { yes } => account::delete(&self, yes).await,
            Command::Duplicates => duplicates::list(&self).await,
            Command::Link(args) => duplicates::link(&self, &args.rides).await,
            Command::Split { ride } => duplicates::split(&self, &ride).await,
            Command::Forget(args) => forget::forget(&self, &args.rides, args.delete_file).await,
            Command::Resync(args) => forget::resync(&self, &args).await,
            Command::Backfill(args) => backfill::run(&self, args).await,
            Command::Reconcile { name } => reconcile::run(&self, name.as_deref()).await,
            Command::Serve => serve::run(&self).await,
            Command::Simulator(args) => simulate::run(&self, &args).await,
            Command::Demo { keep } => demo::run(&self, keep).await,
            Command::Doctor { probe, output } => doctor::run(&self, probe, &output).await,
            Command::Admin(args) => admin::local(&self, args).await,
            Command::Inspect { files } => Ok(inspect::run(self.out, &files)),
            Command::Completions { shell } => Ok(completions::print(shell)),
            Command::Explain { code } => explain::run(self.out, &code),
        }
    }

    /// Opens the data to change it. Hosts that stand in for real ones are warned of, once.
    pub(crate) fn open(&self) -> Result<App, Stop> {
        self.open_watched(Arc::new(NoObserver))
    }

    /// The same, with an observer of every change.
    pub(crate) fn open_watched(&self, observer: Arc<dyn fitbridge_core::engine::Observer>) -> Result<App, Stop> {
        self.warn();
        App::open(&self.home, &self.settings, Access::Write, observer)
    }

    /// Opens the data to look at it.
    pub(crate) fn look(&self) -> Result<App, Stop> {
        App::open(&self.home, &self.settings, Access::Read, Arc::new(NoObserver))
    }

    /// The rider of this machine, whose rides it is about.
    pub(crate) fn whose<'a>(&self, app: &'a App) -> Whose<'a> {
        Whose { out: self.out, engine: &app.engine, user: &app.user, by: By::Rider }
    }

    /// Warns of what stands in place of the real hosts.
    pub(crate) fn warn(&self) {
        for warning in self.settings.warnings() {
            self.out.note(format!("warning: {warning}"));
        }
    }
}
