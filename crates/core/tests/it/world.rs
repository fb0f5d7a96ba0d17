//! A little world around an engine: fakes of every port, one rider, and verbs to let time pass.

use std::{collections::BTreeMap, sync::Arc};

use fitbridge_core::{
    Engine, Policy,
    domain::{
        Activity, ActivityState, Connection, ConnectionId, ContentId, Delivery, DeliveryState, History, Origin,
        OwnerId, RemoteAccount, RideId, Service, Shard, UserId,
    },
    engine::{Eagerness, NoObserver, Poll, Ports, connect::Wish, secrets::SourceSecret},
    ports::{Clock, DueRow, Job, Ledger, Login, Notifier, Sink, Source},
    store::Stored,
    testkit::{
        FakeNotifier, FakeScanner, FakeSink, FakeSource, FixedEntropy, ManualClock, MemoryArchive, MemoryLedger,
        MemoryQueue, MemoryVault,
    },
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

/// The only shard.
pub(crate) const SHARD: Shard = Shard(0);

/// Everything around an engine. All fields may be used and changed before [`World::engine`].
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) ledger: MemoryLedger,
    pub(crate) vault: MemoryVault,
    pub(crate) archive: MemoryArchive,
    pub(crate) queue: MemoryQueue,
    pub(crate) source: FakeSource,
    pub(crate) sink: FakeSink,
    pub(crate) notifier: FakeNotifier,
    /// Of a second channel.
    pub(crate) other_notifier: FakeNotifier,
    pub(crate) scanner: FakeScanner,
    pub(crate) clock: ManualClock,
    pub(crate) policy: Policy,
    pub(crate) user: UserId,
    pub(crate) account: RemoteAccount,
}

impl World {
    pub(crate) fn new() -> Self {
        let source = FakeSource::default();
        let account = source.account("global", "1");
        Self {
            ledger: MemoryLedger::default(),
            vault: MemoryVault::default(),
            archive: MemoryArchive::default(),
            queue: MemoryQueue::default(),
            source,
            sink: FakeSink::default(),
            notifier: FakeNotifier::default(),
            other_notifier: FakeNotifier::default(),
            scanner: FakeScanner::default(),
            clock: ManualClock::default(),
            policy: Policy::default(),
            user: UserId::new("me").unwrap(),
            account,
        }
    }

    /// The adapters, over another ledger where a test wraps it.
    pub(crate) fn ports(&self, ledger: Arc<dyn Ledger>) -> Ports {
        let sink: Arc<dyn Sink> = Arc::new(self.sink.clone());
        let notifier: Arc<dyn Notifier> = Arc::new(self.notifier.clone());
        let other: Arc<dyn Notifier> = Arc::new(self.other_notifier.clone());
        Ports {
            ledger,
            vault: Arc::new(self.vault.clone()),
            archive: Arc::new(self.archive.clone()),
            queue: Arc::new(self.queue.clone()),
            source: Arc::new(self.source.clone()),
            files: Arc::new(self.source.files()),
            scanner: Arc::new(self.scanner.clone()),
            sinks: BTreeMap::from([(Service::new("fake").unwrap(), sink)]),
            notifiers: BTreeMap::from([
                (Service::new("fake").unwrap(), notifier),
                (Service::new("other").unwrap(), other),
            ]),
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(FixedEntropy(0.5)),
            observer: Arc::new(NoObserver),
        }
    }

    /// An engine whose claims carry that owner.
    pub(crate) fn engine(&self, owner: &str) -> Engine {
        self.engine_over(Arc::new(self.ledger.clone()), owner)
    }

    pub(crate) fn engine_over(&self, ledger: Arc<dyn Ledger>, owner: &str) -> Engine {
        Engine::new(self.ports(ledger), self.policy.clone(), OwnerId::new(owner).unwrap())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass_minutes(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }

    pub(crate) fn in_days(&self, days: i64) -> Option<Timestamp> {
        Some(self.now() + SignedDuration::from_hours(24 * days))
    }

    /// Connects the rider's source with a token of a week.
    pub(crate) async fn connect(&self, engine: &Engine, history: Option<History>) -> Connection {
        let token = self.source.token(&self.account, self.in_days(7));
        self.connect_with(engine, history, token, None).await
    }

    pub(crate) async fn connect_with(
        &self,
        engine: &Engine,
        history: Option<History>,
        token: SecretString,
        login: Option<Login>,
    ) -> Connection {
        let identities = self.source.identify(&token, Some(&self.account.realm)).await.unwrap();
        let wish = Wish { user: self.user.clone(), name: "igpsport".into(), history };
        engine.connect_source(&wish, &identities[0], &SourceSecret { token, login }).await.unwrap()
    }

    /// Connects a sink account of that name.
    pub(crate) async fn connect_sink(&self, engine: &Engine, name: &str, history: Option<History>) -> Connection {
        let settings = serde_json::json!({ "account": name });
        let identity = self.sink.check(&settings, None).await.unwrap();
        let wish = Wish { user: self.user.clone(), name: name.into(), history };
        engine.connect_sink(&wish, &identity, None).await.unwrap()
    }

    /// Works on all jobs that are in the queue, and on those that follow from them.
    pub(crate) async fn drain(&self, engine: &Engine) -> Vec<Job> {
        let mut done = Vec::new();
        loop {
            let jobs = self.queue.take();
            if jobs.is_empty() {
                return done;
            }
            for job in jobs {
                engine.work(&job).await.unwrap();
                done.push(job);
            }
        }
    }

    /// Polls, and works on all that follows now.
    pub(crate) async fn poll(&self, engine: &Engine, source: &Connection) -> Poll {
        let poll = engine.poll(&source.user, &source.id).await.unwrap();
        self.work(engine).await;
        poll
    }

    /// Works on all that is due now.
    pub(crate) async fn work(&self, engine: &Engine) {
        self.drain(engine).await;
        while engine.sweep(SHARD, Eagerness::Due).await.unwrap() > 0 {
            self.drain(engine).await;
        }
    }

    /// Lets time pass from one due moment to the next until nothing is due any more.
    pub(crate) async fn quiet(&self, engine: &Engine) {
        for _ in 0..2000 {
            self.work(engine).await;
            let next = self.ledger.due(SHARD, Timestamp::MAX, 1000).await.unwrap();
            // The warning before a token's end is days away and nothing that has to become quiet.
            let waiting = engine.waiting(SHARD).await.unwrap().connections;
            let goes_on = |row: &DueRow| {
                waiting.iter().any(|one| fitbridge_core::ports::Key::connection(&one.user, &one.id) == row.key)
            };
            let is_work =
                |row: &&DueRow| row.at <= self.now() || !row.key.path.starts_with("connection/") || goes_on(row);
            let Some(next) = next.iter().find(is_work) else { return };
            self.clock.set(next.at.max(self.now()));
        }
        panic!("it never becomes quiet");
    }

    pub(crate) async fn connection(&self, engine: &Engine, id: &ConnectionId) -> Stored<Connection> {
        engine.store().connection(&self.user, id).await.unwrap().unwrap()
    }

    pub(crate) async fn ride(&self, engine: &Engine, source: &Connection, ride: u64) -> Activity {
        let id = Origin::cloud_id(&source.id, RideId(ride));
        engine.store().activity(&self.user, &id).await.unwrap().expect("the ride is known").doc
    }

    pub(crate) async fn state(&self, engine: &Engine, source: &Connection, ride: u64) -> ActivityState {
        self.ride(engine, source, ride).await.state
    }

    pub(crate) async fn rides(&self, engine: &Engine) -> Vec<Activity> {
        let all = engine.store().all::<Activity>(&self.user, "activity/").await.unwrap();
        all.into_iter().map(|stored| stored.doc).collect()
    }

    pub(crate) async fn deliveries(&self, engine: &Engine, sink: &Connection) -> Vec<Delivery> {
        let all = engine.store().all::<Delivery>(&self.user, &format!("delivery/{}/", sink.id)).await.unwrap();
        all.into_iter().map(|stored| stored.doc).collect()
    }

    /// The only delivery of a sink.
    pub(crate) async fn delivery(&self, engine: &Engine, sink: &Connection) -> Delivery {
        let mut all = self.deliveries(engine, sink).await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    pub(crate) async fn delivery_state(&self, engine: &Engine, sink: &Connection) -> DeliveryState {
        self.delivery(engine, sink).await.state
    }

    /// The files that a sink's account holds, sorted, repeats included.
    pub(crate) fn at(&self, sink: &Connection) -> Vec<ContentId> {
        let mine = self.sink.stored().into_iter().filter(|ride| ride.account == sink.account);
        let mut files: Vec<_> = mine.map(|ride| ride.content).collect();
        files.sort();
        files
    }

    /// The files of cloud rides, sorted.
    pub(crate) fn files_of(&self, rides: impl IntoIterator<Item = u64>) -> Vec<ContentId> {
        let bytes = |ride| self.source.bytes(&self.account, RideId(ride)).unwrap();
        let mut files: Vec<_> = rides.into_iter().map(|ride| ContentId::of(&bytes(ride))).collect();
        files.sort();
        files
    }
}

/// The name of the state, which is what a person sees.
pub(crate) fn is_delivered(state: &DeliveryState) -> bool {
    matches!(state, DeliveryState::Delivered { .. })
}
