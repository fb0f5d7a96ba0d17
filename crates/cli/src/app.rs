//! Putting the adapters together.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fitbridge_core::{
    Code, Engine, Failure, Policy,
    domain::{OwnerId, Service, UserId},
    engine::{Observer, Ports},
    ports::{Archive, Clock, Ledger, Notifier, Sink, Source},
};
use fitbridge_fit::port::FitScanner;
use fitbridge_http::{BuildError, UrlGuard};
use fitbridge_igpsport::{Endpoints, FileHost, IgpsportSource};
use fitbridge_local::{
    FileVault, FolderArchive, Nothing, OpenError, OwnerGuard, Owners, SqliteLedger, SystemClock, SystemEntropy,
    run::{Lanes, Limits, LocalQueue, Paced},
    smtp::{self, Smtp},
};
use fitbridge_sinks::registry::{Options, all_sinks, webhook_notices};

use crate::{
    exit::Stop,
    settings::{Settings, SettingsError},
};

/// How a command wants its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To change it.
    Write,
    /// To look at it: not a byte of the data folder changes.
    Read,
}

/// Everything a command works with.
#[derive(Debug)]
pub(crate) struct App {
    /// The data folder.
    pub home: PathBuf,
    /// The rider of this machine.
    pub user: UserId,
    /// The engine.
    pub engine: Arc<Engine>,
    /// The source, also for what only the command line asks (doctor).
    pub source: Arc<IgpsportSource>,
    /// Guards URLs that the rider gives.
    pub guard: Arc<UrlGuard>,
    /// The workers; taken by the command that works.
    pub lanes: Lanes,
    // Held while this process may have claims.
    _owner: Option<OwnerGuard>,
}

/// The one rider of a machine.
pub(crate) fn local_user() -> UserId {
    UserId::from_any("me")
}

impl App {
    /// Opens the data folder, which is made if it is to be written.
    pub(crate) fn open(
        home: &Path,
        settings: &Settings,
        access: Access,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Stop> {
        Self::open_with(home, settings, access, observer, Arc::new(SystemClock))
    }

    /// The same with another clock, for the demo.
    pub(crate) fn open_with(
        home: &Path,
        settings: &Settings,
        access: Access,
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Stop> {
        let (ledger, owner) = open_ledger(home, access)?;
        let id = owner.as_ref().map_or_else(|| OwnerId::from_any("reader"), |owner| owner.id().clone());
        let guard = UrlGuard::new(&settings.trusted_hosts);
        let guard = Arc::new(guard.map_err(|error| wrong(&format!("FITBRIDGE_TRUSTED_HOSTS: {error}")))?);
        let source = Arc::new(source(settings)?);
        let paced: Arc<dyn Source> = match settings.requests_per_second {
            Some(rate) => Arc::new(Paced::new(Arc::clone(&source) as Arc<dyn Source>, rate)),
            None => Arc::clone(&source) as Arc<dyn Source>,
        };
        let (queue, jobs) = LocalQueue::new();
        let ports = Ports {
            ledger,
            vault: Arc::new(FileVault::open(home)),
            archive: open_archive(home, access)?,
            queue: Arc::new(queue),
            source: paced,
            files: Arc::new(FileHost::new(Arc::clone(&guard)).map_err(|error| no_tls(&error))?),
            scanner: Arc::new(FitScanner),
            sinks: sinks(settings, &guard, &clock)?,
            notifiers: notifiers(settings, &guard, &clock)?,
            clock,
            entropy: Arc::new(SystemEntropy),
            observer,
        };
        let engine = Arc::new(Engine::new(ports, policy(settings), id));
        let limits = Limits { files: settings.downloads, sink: settings.uploads, ..Limits::default() };
        let lanes = Lanes::new(Arc::clone(&engine), jobs, limits);
        Ok(Self { home: home.to_owned(), user: local_user(), engine, source, guard, lanes, _owner: owner })
    }
}

/// The ledger, and this process's place among the owners of claims where it may make some.
fn open_ledger(home: &Path, access: Access) -> Result<(Arc<dyn Ledger>, Option<OwnerGuard>), Stop> {
    let (owners, path) = (Owners::open(home), home.join("ledger.sqlite"));
    let failed = |error: OpenError| Stop::failed(error.failure());
    match access {
        Access::Write => {
            make_private(home)?;
            let owner = owners.register().map_err(|error| internal(Code::LedgerReadOnly, &error))?;
            Ok((Arc::new(SqliteLedger::open(&path, owners).map_err(failed)?), Some(owner)))
        }
        Access::Read => match SqliteLedger::open_read_only(&path, owners) {
            Ok(ledger) => Ok((Arc::new(ledger), None)),
            Err(OpenError::Missing(_)) => Ok((Arc::new(Nothing), None)),
            Err(error) => Err(failed(error)),
        },
    }
}

fn open_archive(home: &Path, access: Access) -> Result<Arc<dyn Archive>, Stop> {
    let folder = home.join("archive");
    if access == Access::Read && !folder.is_dir() {
        return Ok(Arc::new(Nothing));
    }
    Ok(Arc::new(FolderArchive::open(&folder).map_err(|error| internal(Code::ArchiveUnavailable, &error))?))
}

fn sinks(
    settings: &Settings,
    guard: &Arc<UrlGuard>,
    clock: &Arc<dyn Clock>,
) -> Result<BTreeMap<Service, Arc<dyn Sink>>, Stop> {
    let intervals = settings.intervals_url.as_deref().unwrap_or(fitbridge_sinks::intervals::DEFAULT_URL);
    let options = Options {
        intervals_url: url::Url::parse(intervals)
            .map_err(|error| wrong(&format!("the URL of Intervals.icu: {error}")))?,
        guard: Arc::clone(guard),
        clock: Arc::clone(clock),
        timeout: Duration::from_secs(60),
    };
    all_sinks(options).map_err(|error| no_tls(&error))
}

/// The ways to tell a rider.
fn notifiers(
    settings: &Settings,
    guard: &Arc<UrlGuard>,
    clock: &Arc<dyn Clock>,
) -> Result<BTreeMap<Service, Arc<dyn Notifier>>, Stop> {
    let webhook = webhook_notices(Arc::clone(guard), Arc::clone(clock), Duration::from_secs(30));
    let webhook: Arc<dyn Notifier> = Arc::new(webhook.map_err(|error| no_tls(&error))?);
    let email: Arc<dyn Notifier> = Arc::new(Smtp::new(&settings.trusted_hosts));
    Ok(BTreeMap::from([
        (Service::from_any(fitbridge_sinks::webhook::SERVICE), webhook),
        (Service::from_any(smtp::CHANNEL), email),
    ]))
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        rider_at_hand: Some(local_user()),
        poll_class: settings.poll_class,
        adaptive: settings.adaptive,
        // A machine of one's own sleeps; what came meanwhile is looked for at once.
        catch_up_after: Some(jiff::SignedDuration::from_mins(5)),
        backfill_per_minute: settings.requests_per_second.map(Policy::backfill_share),
        ..Policy::default()
    }
}

/// The clients of both regions.
fn source(settings: &Settings) -> Result<IgpsportSource, Stop> {
    let endpoints = Endpoints::from_texts(settings.igpsport_url.as_deref(), settings.igpsport_china_url.as_deref());
    let endpoints = endpoints.map_err(|error| wrong(&error.to_string()))?;
    IgpsportSource::new(endpoints).map_err(|error| no_tls(&error))
}

/// Only the rider may look into the data folder: it holds rides and sealed secrets.
fn make_private(home: &Path) -> Result<(), Stop> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home);
    made.map_err(|error| {
        let detail = format!("{} cannot be made: {error}", home.display());
        Stop::failed(Failure::new(Code::LedgerReadOnly, detail))
    })
}

fn internal(code: Code, error: &dyn std::fmt::Display) -> Stop {
    Stop::failed(Failure::new(code, error.to_string()))
}

/// No client can be built, for want of something to trust servers by.
pub(crate) fn no_tls(error: &BuildError) -> Stop {
    internal(Code::CertificatesMissing, error)
}

/// A setting that does not do.
fn wrong(text: &str) -> Stop {
    Stop::failed(Failure::new(Code::Settings, text))
}

impl From<SettingsError> for Stop {
    fn from(error: SettingsError) -> Self {
        wrong(&error.to_string())
    }
}
