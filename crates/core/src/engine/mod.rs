//! The engine: a few verbs, each a short story that reads from top to bottom.
//!
//! - [`Engine::tick`] picks who is polled and what is due, and hands it over;
//! - [`Engine::poll`] finds new rides at a source;
//! - [`Engine::resolve`] asks where a ride's file lies;
//! - [`Engine::fetch`] turns a ride into an archived, identified activity with its deliveries;
//! - [`Engine::deliver`] moves one delivery one state on;
//! - [`Engine::backfill`] takes the next of a source's older rides off the backlog;
//! - [`Engine::reconcile`] and [`Engine::verify`] look whether everything is where it should be;
//! - [`Engine::settle`] puts waiting rides back to work after a (re)connection;
//! - [`Engine::tell`] tells the rider of a failure or a recovery.
//!
//! All of them are at-least-once: claim by version, act, record. What a rider asks for directly
//! (connecting, importing, saying send or skip, linking, forgetting, sending again, setting rules) is in
//! [`connect`], [`import`], [`held`], [`group`], [`forget`], [`resync`] and [`rules`].

#[macro_use]
mod planted;

mod access;
mod account;
mod audit;
pub mod backfill;
mod baseline;
mod claim;
pub mod connect;
mod deliver;
pub mod duplicates;
mod fetch;
pub mod forget;
mod give_up;
pub mod group;
mod halt;
mod health;
pub mod held;
pub mod import;
mod mend_times;
mod notify;
mod observer;
mod outcome;
mod place;
pub mod plan;
mod policy;
mod poll;
mod probe;
pub mod reconcile;
pub mod redrive;
mod resolve;
pub mod resync;
pub mod riders;
pub mod rules;
pub mod secrets;
mod settle;
mod shards;
mod sweep;
mod tick;
mod told;
mod unbegun;
mod unwanted;
mod upstream;
mod waiting;
mod walk;

use std::{collections::BTreeMap, sync::Arc};

use futures::lock::Mutex as AsyncMutex;
use jiff::Timestamp;

pub use account::Exported;
pub use backfill::Backfilled;
pub use deliver::Delivered;
pub use fetch::Fetched;
pub use notify::Tell;
pub use observer::{NoObserver, Observer};
#[cfg(feature = "planted-bugs")]
pub use planted::Bug;
pub use policy::Policy;
pub use poll::Poll;
pub use reconcile::Reconciled;
pub use resolve::Resolved;
pub use sweep::Eagerness;
pub use tick::{Tick, Ticket};
pub use told::MOST_NOTICES;
pub use upstream::{Upstream, UpstreamPage};
pub use waiting::Waiting;

use crate::{
    Code, Failure,
    domain::{OwnerId, Service, Shard, UserId},
    ports::{
        Archive, ArchiveError, Clock, Entropy, Files, Job, Ledger, Notifier, Scanner, Sink, Source, Task, Vault,
        VaultError, WorkQueue,
    },
    store::{Store, StoreError},
};

/// The adapters an engine works with.
#[derive(Debug, Clone)]
pub struct Ports {
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// Sealed secrets.
    pub vault: Arc<dyn Vault>,
    /// Original files.
    pub archive: Arc<dyn Archive>,
    /// Where jobs are handed over.
    pub queue: Arc<dyn WorkQueue>,
    /// Where rides come from.
    pub source: Arc<dyn Source>,
    /// Where their files lie.
    pub files: Arc<dyn Files>,
    /// Judges files.
    pub scanner: Arc<dyn Scanner>,
    /// Where rides go, by service.
    pub sinks: BTreeMap<Service, Arc<dyn Sink>>,
    /// How riders are told, by the channel's kind.
    pub notifiers: BTreeMap<Service, Arc<dyn Notifier>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Is told of every change.
    pub observer: Arc<dyn Observer>,
}

/// Why a verb could not do its work. The record is as it was and stays due.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The ledger failed, or holds what this version cannot read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault does not answer.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The archive does not answer.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something a person can mend.
    #[error("{0}")]
    Refused(Failure),
}

impl EngineError {
    /// The failure as it is shown.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Store(error) => error.failure(),
            Self::Vault(VaultError::Unavailable(why)) => Failure::new(Code::VaultUnavailable, why),
            Self::Vault(VaultError::Missing(id)) => Failure::new(Code::TokenMissing, id.as_str()),
            Self::Vault(VaultError::Unsealable(id)) => Failure::new(Code::VaultUnsealable, id.as_str()),
            Self::Archive(error) => archive_failure(error),
            Self::Refused(failure) => failure.clone(),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

/// Somebody else was faster each time, whatever is said to keep changing: nothing was done, and it may be tried again.
fn contended(what: &str) -> EngineError {
    Failure::new(Code::Contended, what).into()
}

fn archive_failure(error: &ArchiveError) -> Failure {
    let code = match error {
        ArchiveError::Missing(_) => Code::ArchiveMissing,
        ArchiveError::Damaged(_) => Code::ArchiveCorrupt,
        ArchiveError::Full(_) => Code::DiskFull,
        ArchiveError::Unavailable(_) => Code::ArchiveUnavailable,
    };
    Failure::new(code, error.to_string())
}

/// The engine. Cheap to share; any number of them may work on one ledger.
#[derive(Debug)]
pub struct Engine {
    ports: Ports,
    store: Store,
    policy: Policy,
    owner: OwnerId,
    health: health::Health,
    budget: backfill::Budget,
    dropped: shards::Dropped,
    walks_end: walk::End,
    /// One listing of a sink's baseline at a time; the others of this process wait and see it taken.
    baseline_turn: AsyncMutex<()>,
}

impl Engine {
    /// An engine over these adapters. `owner` is the name its claims carry.
    pub fn new(ports: Ports, policy: Policy, owner: OwnerId) -> Self {
        let store = Store::new(Arc::clone(&ports.ledger));
        Self {
            ports,
            store,
            policy,
            owner,
            health: health::Health::default(),
            budget: backfill::Budget::default(),
            dropped: shards::Dropped::default(),
            walks_end: walk::End::default(),
            baseline_turn: AsyncMutex::new(()),
        }
    }

    /// Typed reads, for those who show what is there.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its adapters.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Its times and bounds.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The present moment, as this engine's clock has it.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// Does a job, whatever its task. What became of it is in the ledger and was told to the observer.
    pub async fn work(&self, job: &Job) -> Result<(), EngineError> {
        match &job.task {
            Task::Poll { connection } => self.poll(&job.user, connection).await.map(drop),
            Task::Resolve { activity } => self.resolve(&job.user, activity).await.map(drop),
            Task::Backfill { connection } => self.backfill(&job.user, connection).await.map(drop),
            Task::Reconcile { connection } => self.reconcile(&job.user, connection).await.map(drop),
            _ => self.work_away_from_source(job).await,
        }
    }

    /// Does a job that does not call the source's API, and refuses one that does. A process that may never call it
    /// has no code for it, if this is all that it calls.
    pub async fn work_away_from_source(&self, job: &Job) -> Result<(), EngineError> {
        match &job.task {
            Task::Fetch { activity } => self.fetch(&job.user, activity).await.map(drop),
            Task::Deliver { sink, content } => self.deliver(&job.user, sink, content).await.map(drop),
            Task::Erase { activity } => self.erase(&job.user, activity).await.map(drop),
            Task::Verify { connection } => self.verify(&job.user, connection).await.map(drop),
            Task::Settle { connection } => self.settle(&job.user, connection).await.map(drop),
            Task::Notify { notice } => self.tell(&job.user, notice).await.map(drop),
            Task::Poll { .. } | Task::Resolve { .. } | Task::Backfill { .. } | Task::Reconcile { .. } => {
                Err(Failure::new(Code::Bug, "a job that calls the source came to a process that may not").into())
            }
        }
    }

    fn may_do(&self, task: &Task) -> bool {
        self.policy.calls_source || !task.calls_source()
    }

    fn shard(&self, user: &UserId) -> Shard {
        Shard::of(user, self.policy.shards)
    }

    /// Hands jobs over. A failure is only logged, `false` then: what was not taken is given back, and comes due again.
    /// Jobs that only another process may do are left to it: their records are due already (`due_for`).
    async fn hand_over(&self, mut jobs: Vec<Job>) -> bool {
        jobs.retain(|job| self.may_do(&job.task));
        if jobs.is_empty() {
            return true;
        }
        if let Err(not_taken) = self.ports.queue.hand_over(jobs).await {
            let (error, count) = (not_taken.error, not_taken.jobs.len());
            tracing::warn!(%error, count, "{count} jobs were not handed over; they come due again");
            if let Err(error) = self.give_jobs_back(&not_taken.jobs).await {
                // Then their leases end.
                tracing::debug!(%error, "what was not handed over could not be given back");
            }
            return false;
        }
        true
    }
}
