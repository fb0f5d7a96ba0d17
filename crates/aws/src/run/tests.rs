//! Both functions over adapters in memory: isolation, deadlines, and the switch.

use std::{sync::Arc, time::Duration};

use fitbridge_core::{
    Engine, Policy,
    domain::{About, Activity, ActivityState, ContentId, OwnerId, RideId, Service, Shard, UserId},
    engine::{Ports, connect::Wish, secrets::SourceSecret},
    ports::{
        Attempt, Clock, Identity, Outcome, PollClass, Resend, ScanReport, Scanner, SealedKey, Sink, SinkError,
        SinkFile, SinkTarget, Source, Vault, VaultError,
    },
    store::Cursor,
    testkit::{FakeScanner, FakeSink, FakeSource, ManualClock, MemoryQueue, MemoryVault, SourceCall, memory_ports},
};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};

use fitbridge_host::Paced;

use super::{Deadline, Poller, SinkWorker};
use crate::{
    metrics::Metrics,
    queue::{InProcessQueue, RoutedQueue, encode},
};

/// A scanner with a bug, which this file meets.
#[derive(Debug)]
struct Fragile(ContentId);

impl Scanner for Fragile {
    fn scan(&self, bytes: &[u8]) -> ScanReport {
        assert_ne!(ContentId::of(bytes), self.0, "a bug");
        FakeScanner::ride(bytes)
    }

    fn apart_m(&self, _a: &[u8], _b: &[u8]) -> Option<f64> {
        None
    }
}

struct World {
    clock: ManualClock,
    source: FakeSource,
    queue: MemoryQueue,
    ports: Ports,
}

impl World {
    fn new() -> Self {
        let (clock, source, queue) = (ManualClock::default(), FakeSource::default(), MemoryQueue::default());
        let ports = memory_ports(Arc::new(queue.clone()), &source, &clock);
        Self { clock, source, queue, ports }
    }

    fn engine(&self, ports: Ports, policy: Policy, owner: &str) -> Arc<Engine> {
        let policy = Policy { poll_class: PollClass::Hot, adaptive: false, ..policy };
        Arc::new(Engine::new(ports, policy, OwnerId::new(owner).unwrap()))
    }

    fn poller(&self) -> Poller {
        self.paced(None)
    }

    fn paced(&self, rate: Option<f64>) -> Poller {
        let (local, jobs) = InProcessQueue::new();
        let queue = Arc::new(RoutedQueue::new(Arc::new(local), Arc::new(self.queue.clone())));
        let source: Arc<dyn Source> = Arc::new(self.source.clone());
        let source = rate.map_or(Arc::clone(&source), |rate| Arc::new(Paced::new(source, rate)));
        let engine = self.engine(Ports { queue, source, ..self.ports.clone() }, Policy::default(), "poller");
        Poller::new(engine, jobs, Arc::new(Metrics::new("poller")), 4, rate)
    }

    fn sink(&self, scanner: Arc<dyn Scanner>) -> SinkWorker {
        let policy = Policy { calls_source: false, ..Policy::default() };
        let engine = self.engine(Ports { scanner, ..self.ports.clone() }, policy, "sink");
        SinkWorker::new(engine, Arc::new(Metrics::new("sink")))
    }

    async fn connect(&self, rider: u32, rides: u64) {
        let engine = self.engine(self.ports.clone(), Policy::default(), "setup");
        let account = self.source.account("global", &rider.to_string());
        self.source.upload_many(&account, 1..1 + rides);
        let token = self.source.token(&account, Some(self.clock.now() + SignedDuration::from_hours(100)));
        let found = self.source.identify(&token, Some("global")).await.unwrap();
        let user = UserId::new(format!("rider{rider}")).unwrap();
        let wish = Wish { user, name: "igpsport".into(), history: None };
        engine.connect_source(&wish, &found[0], &SourceSecret { token, login: None }).await.unwrap();
        self.source.take_calls();
    }

    /// What the poller handed over, as the event that the sink is given.
    fn event(&self) -> Value {
        let record = |(number, job)| json!({ "messageId": format!("m{number}"), "eventSource": "aws:sqs", "body": encode(&job).unwrap() });
        json!({ "Records": self.queue.take().into_iter().enumerate().map(record).collect::<Vec<_>>() })
    }

    fn lists(&self) -> usize {
        self.source.take_calls().iter().filter(|call| matches!(call, SourceCall::List { .. })).count()
    }
}

fn ample() -> Deadline {
    Deadline::new(Duration::from_secs(60), Duration::from_secs(10))
}

fn tick() -> Value {
    json!({ "shard": 0 })
}

#[tokio::test]
async fn a_record_that_panics_is_the_only_one_that_goes_back() {
    let world = World::new();
    world.connect(1, 5).await;
    world.poller().handle(&tick(), ample()).await.unwrap();
    let account = world.source.account("global", "1");
    let deadly = world.source.bytes(&account, RideId(3)).unwrap();
    let sink = world.sink(Arc::new(Fragile(ContentId::of(&deadly))));
    let event = world.event();
    let answer = sink.handle(&event, ample()).await.unwrap();
    let fetch = format!("\"{}\"", fitbridge_core::domain::Origin::cloud_id(&account.connection_id(), RideId(3)));
    let records = event["Records"].as_array().unwrap();
    let of_it = records.iter().find(|record| record["body"].as_str().unwrap().contains(&fetch)).unwrap();
    let failed: Vec<_> = answer.failures.into_iter().map(|item| item.id).collect();
    assert_eq!(failed, [of_it["messageId"].as_str().unwrap()]);
    let engine = world.engine(world.ports.clone(), Policy::default(), "looks");
    let rides = engine.store().all::<Activity>(&UserId::new("rider1").unwrap(), "activity/").await.unwrap();
    let fetched = rides.iter().filter(|ride| matches!(ride.doc.state, ActivityState::Fetched { .. }));
    assert_eq!(fetched.count(), 4);
}

#[tokio::test]
async fn what_was_not_begun_is_given_back_and_a_sink_that_is_stopped_lets_go() {
    let world = World::new();
    world.connect(1, 3).await;
    world.poller().handle(&tick(), ample()).await.unwrap();
    let event = world.event();
    let sink = world.sink(Arc::new(FakeScanner::default()));
    let none = Deadline::new(Duration::ZERO, Duration::ZERO);
    assert!(sink.handle(&event, none).await.unwrap().failures.is_empty());
    assert!(world.source.files().take_calls().is_empty());
    let operator = world.engine(world.ports.clone(), Policy::default(), "operator");
    operator.halt("a test").await.unwrap();
    assert!(sink.handle(&event, ample()).await.unwrap().failures.is_empty());
    assert!(world.source.files().take_calls().is_empty());
    operator.go_on().await.unwrap();
    assert!(sink.handle(&event, ample()).await.unwrap().failures.is_empty());
    assert_eq!(world.source.files().take_calls().len(), 3);
}

#[tokio::test]
async fn a_tick_is_done_when_its_polls_were_made_and_only_then() {
    let world = World::new();
    for rider in 0..10 {
        world.connect(rider, 0).await;
    }
    let poller = world.poller();
    let engine = world.engine(world.ports.clone(), Policy::default(), "looks");
    let cursor = async || {
        let stored = engine.store().read::<Cursor>(&fitbridge_core::ports::Key::cursor(Shard(0))).await.unwrap();
        stored.unwrap().doc
    };
    let minute = world.clock.now().as_second().div_euclid(60);

    poller.handle(&tick(), Deadline::new(Duration::ZERO, Duration::ZERO)).await.unwrap();
    assert_eq!((world.lists(), cursor().await.claimed), (0, None));
    assert!(cursor().await.done_minute < minute, "nobody was polled, so nothing is done");
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!((world.lists(), cursor().await.done_minute), (10, minute));
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!(world.lists(), 0, "the minute is done");

    world.clock.advance(SignedDuration::from_mins(1));
    engine.halt("a test").await.unwrap();
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!((world.lists(), cursor().await.done_minute), (0, minute), "stopped");
    engine.go_on().await.unwrap();
    for foreign in [json!({}), json!({ "shard": 1 }), json!("shard")] {
        assert!(poller.handle(&foreign, ample()).await.is_err());
    }
}

#[tokio::test]
async fn a_minute_with_more_polls_than_a_tick_has_time_for_is_made_in_parts() {
    let world = World::new();
    for rider in 0..12 {
        world.connect(rider, 0).await;
    }
    let poller = world.paced(Some(50.0));
    let engine = world.engine(world.ports.clone(), Policy::default(), "looks");
    let minute = world.clock.now().as_second().div_euclid(60);
    let mut lists = 0;
    for ticks in 1.. {
        // Time for five polls or so.
        poller.handle(&tick(), Deadline::new(Duration::from_millis(200), Duration::from_millis(100))).await.unwrap();
        lists += world.lists();
        let key = fitbridge_core::ports::Key::cursor(Shard(0));
        let cursor = engine.store().read::<Cursor>(&key).await.unwrap().unwrap();
        if cursor.doc.done_minute == minute {
            assert!(ticks > 1, "it was too much for one");
            break;
        }
        assert!(ticks < 20, "it is never done: {lists} polls so far");
    }
    assert!((12..24).contains(&lists), "and nobody but who was cut was polled twice for it: {lists}");
}

#[tokio::test]
async fn what_polls_find_is_resolved_in_the_same_tick() {
    let world = World::new();
    for rider in 0..3 {
        world.connect(rider, 4).await;
    }
    world.poller().handle(&tick(), ample()).await.unwrap();
    let fetches =
        world.queue.take().into_iter().filter(|job| matches!(job.task, fitbridge_core::ports::Task::Fetch { .. }));
    assert_eq!(fetches.count(), 12);
}

#[tokio::test]
async fn resolves_without_time_are_given_back_and_the_next_tick_makes_them() {
    let world = World::new();
    world.connect(1, 4).await;
    let engine = world.engine(world.ports.clone(), Policy::default(), "dies");
    engine.tick(Shard(0)).await.unwrap();
    for job in world.queue.take() {
        engine.work(&job).await.unwrap();
    }
    // What it found it handed to itself, and is gone: the leases end.
    assert_eq!(world.queue.take().len(), 4);
    world.clock.advance(SignedDuration::from_mins(10));
    let poller = world.poller();
    let resolved = || {
        let calls = world.source.take_calls();
        calls.iter().filter(|call| matches!(call, SourceCall::Resolve { .. })).count()
    };
    resolved();
    poller.handle(&tick(), Deadline::new(Duration::ZERO, Duration::ZERO)).await.unwrap();
    assert_eq!(resolved(), 0);
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!(resolved(), 4, "not only when another lease has ended");
}

/// A vault that does not answer so many of the next calls.
#[derive(Debug)]
struct Failing {
    vault: MemoryVault,
    left: std::sync::atomic::AtomicUsize,
}

impl Failing {
    /// Lets so many of the next calls fail.
    fn fail(&self, calls: usize) {
        self.left.store(calls, std::sync::atomic::Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Vault for Failing {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        use std::sync::atomic::Ordering::SeqCst;
        if self.left.try_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(VaultError::Unavailable("switched off by the test".into()));
        }
        self.vault.open(key).await
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        self.vault.seal(key, secret).await
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.vault.forget(key).await
    }
}

#[tokio::test]
async fn polls_that_our_own_storage_failed_are_made_again_and_hold_up_no_minute_but_in_an_outage() {
    let mut world = World::new();
    let vault = Arc::new(Failing { vault: MemoryVault::default(), left: 0.into() });
    world.ports.vault = Arc::<Failing>::clone(&vault);
    for rider in 0..10 {
        world.connect(rider, 0).await;
    }
    let poller = world.poller();
    let engine = world.engine(world.ports.clone(), Policy::default(), "looks");
    let done = async || {
        let stored = engine.store().read::<Cursor>(&fitbridge_core::ports::Key::cursor(Shard(0))).await.unwrap();
        stored.unwrap().doc.done_minute
    };
    let mut minute = world.clock.now().as_second().div_euclid(60);

    vault.fail(3);
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!((world.lists(), done().await), (10, minute), "made by the same tick, behind the others");

    world.clock.advance(SignedDuration::from_mins(1));
    minute += 1;
    vault.fail(usize::MAX);
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!((world.lists(), done().await), (0, minute - 1), "nobody was polled");
    // All fail once, and the first of those that come again.
    vault.fail(11);
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!((world.lists(), done().await), (9, minute), "one rider's trouble is no outage");
    vault.fail(0);
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!(world.lists(), 1, "and that rider is polled by the next tick");
    poller.handle(&tick(), ample()).await.unwrap();
    assert_eq!(world.lists(), 0);
}

#[tokio::test]
async fn records_without_time_are_due_again_at_once_and_no_message_fails_for_it() {
    let world = World::new();
    world.connect(1, 3).await;
    world.poller().handle(&tick(), ample()).await.unwrap();
    let event = world.event();
    let sink = world.sink(Arc::new(FakeScanner::default()));
    let none = Deadline::new(Duration::ZERO, Duration::ZERO);
    assert!(sink.handle(&event, none).await.unwrap().failures.is_empty());
    world.poller().handle(&tick(), ample()).await.unwrap();
    let again = world.event();
    let records = |event: &Value| event["Records"].as_array().unwrap().len();
    assert_eq!(records(&again), records(&event), "not only when their leases end");
}

/// A sink that takes files and never answers, until it is let go.
#[derive(Debug, Clone, Default)]
struct Stalled {
    sink: FakeSink,
    waiting: Arc<std::sync::atomic::AtomicUsize>,
    let_go: Arc<tokio::sync::Notify>,
}

#[async_trait::async_trait]
impl Sink for Stalled {
    fn resend(&self) -> Resend {
        self.sink.resend()
    }

    async fn check(&self, settings: &Value, secret: Option<&SecretString>) -> Result<Identity, SinkError> {
        let mut identity = self.sink.check(settings, secret).await?;
        identity.account.service = Service::from_any("stalled");
        Ok(identity)
    }

    async fn deliver(&self, target: &SinkTarget, file: &SinkFile, about: &About, attempt: &Attempt) -> Outcome {
        self.waiting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.let_go.notified().await;
        self.sink.deliver(target, file, about, attempt).await
    }
}

#[tokio::test]
async fn a_sink_that_hangs_leaves_room_for_the_deliveries_to_another() {
    let mut world = World::new();
    let (stalled, fast) = (Stalled::default(), FakeSink::default());
    let sinks: [Arc<dyn Sink>; 2] = [Arc::new(stalled.clone()), Arc::new(fast.clone())];
    world.ports.sinks = ["stalled", "fake"].map(Service::from_any).into_iter().zip(sinks).collect();
    let engine = world.engine(world.ports.clone(), Policy::default(), "setup");
    for rider in 0..6 {
        world.connect(rider, 1).await;
        // All but the last have the one that hangs.
        let sink: &dyn Sink = if rider < 5 { &stalled } else { &fast };
        let identity = sink.check(&json!({ "account": rider.to_string() }), None).await.unwrap();
        let user = UserId::new(format!("rider{rider}")).unwrap();
        engine.connect_sink(&Wish { user, name: "s".into(), history: None }, &identity, None).await.unwrap();
    }
    let sink = world.sink(Arc::new(FakeScanner::default()));
    world.poller().handle(&tick(), ample()).await.unwrap();
    // The files, and then what follows from them.
    sink.handle(&world.event(), ample()).await.unwrap();
    let deliveries = world.event();
    assert_eq!(deliveries["Records"].as_array().unwrap().len(), 6);

    let delivered = async {
        while fast.stored().is_empty() || stalled.waiting.load(std::sync::atomic::Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
    };
    let batch = sink.handle(&deliveries, ample());
    tokio::pin!(batch);
    tokio::select! {
        ended = &mut batch => panic!("the batch ended although a sink hangs: {ended:?}"),
        () = delivered => {}
    }
    let let_go = async {
        loop {
            stalled.let_go.notify_waiters();
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::select! { answer = batch => answer, () = let_go => unreachable!() };
    assert!(answer.unwrap().failures.is_empty());
    assert_eq!((stalled.sink.stored().len(), fast.stored().len()), (5, 1));
}
