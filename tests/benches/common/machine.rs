//! The adapters of one machine, wired as the command line wires them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use fitbridge_core::{
    Engine, Policy,
    domain::{Connection, Found, History, OwnerId, Report, Role, Shard, UserId},
    engine::{NoObserver, Ports, connect::Wish, secrets::SourceSecret},
    ports::{
        Clock, CommitError, DueRow, Key, Ledger, LedgerError, PlanPage, PlanSlot, Record, RecordPage, Scope, Write,
    },
};
use fitbridge_fit::port::FitScanner;
use fitbridge_http::{ApiOptions, UrlGuard, api_clients};
use fitbridge_igpsport::{Client, Endpoints, FileHost, IgpsportSource, Region};
use fitbridge_local::{
    FileVault, FolderArchive, OwnerGuard, Owners, SqliteLedger, SystemEntropy,
    run::{Lanes, Limits, LocalQueue},
};
use fitbridge_sinks::registry::{Options, all_sinks};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use url::Url;

use super::{Outcome, upstream::Facts};

/// What was asked of the ledger.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Reads, of any number of records.
    pub reads: AtomicUsize,
    /// Commits.
    pub commits: AtomicUsize,
    /// Writes to records of riders.
    pub of_riders: AtomicUsize,
    /// Writes to the service's own records: a tick's cursor.
    pub of_service: AtomicUsize,
}

impl Counts {
    /// Sets all to nothing.
    pub(crate) fn clear(&self) {
        for count in [&self.reads, &self.commits, &self.of_riders, &self.of_service] {
            count.store(0, Relaxed);
        }
    }
}

/// A ledger that counts what it is asked.
#[derive(Debug)]
struct Counted(SqliteLedger, Arc<Counts>);

impl Counted {
    fn read(&self) -> &SqliteLedger {
        self.1.reads.fetch_add(1, Relaxed);
        &self.0
    }
}

#[async_trait]
impl Ledger for Counted {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.read().get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        self.read().get_many(keys).await
    }

    async fn range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        self.read().range(scope, prefix, after, limit).await
    }

    async fn range_back(
        &self,
        scope: &Scope,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        self.read().range_back(scope, prefix, before, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let of_service = writes.iter().filter(|write| write.key.scope == Scope::System).count();
        self.1.commits.fetch_add(1, Relaxed);
        self.1.of_service.fetch_add(of_service, Relaxed);
        self.1.of_riders.fetch_add(writes.len() - of_service, Relaxed);
        self.0.commit(writes).await
    }

    async fn due(&self, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        self.read().due(shard, until, limit).await
    }

    async fn planned(&self, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Result<PlanPage, LedgerError> {
        self.read().planned(slot, cursor, limit).await
    }

    fn is_gone(&self, owner: &OwnerId) -> bool {
        self.0.is_gone(owner)
    }
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The workers.
    pub lanes: Lanes,
    /// What the ledger was asked.
    pub counts: Arc<Counts>,
    // Held as long as there are claims.
    _owner: OwnerGuard,
}

impl Machine {
    /// Opens a data folder whose services are the simulated ones.
    pub(crate) fn open(home: &Path, world: &Facts, clock: Arc<dyn Clock>, limits: Limits) -> Outcome<Self> {
        let owners = Owners::open(home);
        let owner = owners.register()?;
        let counts = Arc::new(Counts::default());
        let ledger = Counted(SqliteLedger::open(&home.join("ledger.sqlite"), owners)?, Arc::clone(&counts));
        let trusted: Vec<String> = world.trusted.split(',').map(str::to_owned).collect();
        let guard = Arc::new(UrlGuard::new(&trusted)?);
        let http = api_clients(&ApiOptions::default())?;
        let endpoints = Endpoints::with_api(Region::Global, Url::parse(&world.igpsport)?)?;
        let options = Options {
            intervals_url: Url::parse(&world.intervals)?,
            guard: Arc::clone(&guard),
            clock: Arc::clone(&clock),
            timeout: Duration::from_secs(60),
        };
        let (queue, jobs) = LocalQueue::new();
        let ports = Ports {
            ledger: Arc::new(ledger),
            vault: Arc::new(FileVault::open(home)),
            archive: Arc::new(FolderArchive::open(&home.join("archive"))?),
            queue: Arc::new(queue),
            source: Arc::new(IgpsportSource::over([Client::over(http, endpoints)])),
            files: Arc::new(FileHost::new(guard)?),
            scanner: Arc::new(FitScanner),
            notifiers: std::collections::BTreeMap::new(),
            sinks: all_sinks(options)?,
            clock,
            entropy: Arc::new(SystemEntropy),
            observer: Arc::new(NoObserver),
        };
        let engine = Arc::new(Engine::new(ports, Policy::default(), owner.id().clone()));
        let lanes = Lanes::new(Arc::clone(&engine), jobs, limits);
        Ok(Self { engine, lanes, counts, _owner: owner })
    }
}

/// Connects a member's rides for a rider, as `fitbridge connect igpsport` does.
pub(crate) async fn connect_source(
    engine: &Engine,
    user: &UserId,
    token: &str,
    history: History,
) -> Outcome<Connection> {
    let token = SecretString::from(token);
    let found = engine.ports().source.identify(&token, Some("global")).await?;
    let identity = found.first().ok_or("the token opens nothing")?;
    let wish = Wish { user: user.clone(), name: "igpsport".into(), history: Some(history) };
    let source = engine.connect_source(&wish, identity, &SourceSecret { token, login: None }).await?;
    skip_the_night(engine, &source).await?;
    Ok(source)
}

/// Lets the night that may come while a bench runs be over for a source: its look at everything is no idle poll.
async fn skip_the_night(engine: &Engine, source: &Connection) -> Outcome {
    let found = engine.store().connection(&source.user, &source.id).await?;
    let stored = found.ok_or("it is not connected")?;
    let mut changed = stored.doc.clone();
    if let Role::Source(progress) = &mut changed.role {
        let at = engine.now() + SignedDuration::from_hours(3);
        progress.report = Some(Box::new(Report { begun_at: at, at, asked: false, found: Found::default() }));
    }
    engine.store().commit(vec![stored.replace(&changed, stored.due.clone())?]).await?;
    Ok(())
}
