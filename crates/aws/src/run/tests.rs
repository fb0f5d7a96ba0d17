//! Both functions over adapters in memory: isolation, deadlines, and the switch.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fitbridge_core::{
    Engine, Policy,
    domain::{Activity, ActivityState, ContentId, OwnerId, RideId, Shard, UserId},
    engine::{NoObserver, Ports, connect::Wish, secrets::SourceSecret},
    ports::{Clock, PollClass, ScanReport, Scanner, Source},
    store::Cursor,
    testkit::{
        FakeScanner, FakeSource, FixedEntropy, ManualClock, MemoryArchive, MemoryLedger, MemoryQueue, MemoryVault,
        SourceCall,
    },
};
use jiff::SignedDuration;
use serde_json::{Value, json};

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
        let ports = Ports {
            ledger: Arc::new(MemoryLedger::default()),
            vault: Arc::new(MemoryVault::default()),
            archive: Arc::new(MemoryArchive::default()),
            queue: Arc::new(queue.clone()),
            source: Arc::new(source.clone()),
            files: Arc::new(source.files()),
            scanner: Arc::new(FakeScanner::default()),
            notifiers: BTreeMap::new(),
            sinks: BTreeMap::new(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(FixedEntropy(0.5)),
            observer: Arc::new(NoObserver),
        };
        Self { clock, source, queue, ports }
    }

    fn engine(&self, ports: Ports, policy: Policy, owner: &str) -> Arc<Engine> {
        let policy = Policy { poll_class: PollClass::Hot, adaptive: false, ..policy };
        Arc::new(Engine::new(ports, policy, OwnerId::new(owner).unwrap()))
    }

    fn poller(&self, stopped: bool) -> Poller {
        let (local, jobs) = InProcessQueue::new();
        let queue = Arc::new(RoutedQueue::new(Arc::new(local), Arc::new(self.queue.clone())));
        let engine = self.engine(Ports { queue, ..self.ports.clone() }, Policy::default(), "poller");
        Poller::new(engine, jobs, Arc::new(Metrics::new("poller")), 4, stopped)
    }

    fn sink(&self, scanner: Arc<dyn Scanner>, stopped: bool) -> SinkWorker {
        let policy = Policy { calls_source: false, ..Policy::default() };
        let engine = self.engine(Ports { scanner, ..self.ports.clone() }, policy, "sink");
        SinkWorker::new(engine, Arc::new(Metrics::new("sink")), stopped)
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
    world.poller(false).handle(&tick(), ample()).await.unwrap();
    let account = world.source.account("global", "1");
    let deadly = world.source.bytes(&account, RideId(3)).unwrap();
    let sink = world.sink(Arc::new(Fragile(ContentId::of(&deadly))), false);
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
async fn what_was_not_begun_is_given_back_and_a_stopped_sink_lets_go() {
    let world = World::new();
    world.connect(1, 3).await;
    world.poller(false).handle(&tick(), ample()).await.unwrap();
    let event = world.event();
    let records = event["Records"].as_array().unwrap().len();
    let sink = world.sink(Arc::new(FakeScanner::default()), false);
    let none = Deadline::new(Duration::ZERO, Duration::ZERO);
    assert_eq!(sink.handle(&event, none).await.unwrap().failures.len(), records);
    assert!(world.source.files().take_calls().is_empty());
    let stopped = world.sink(Arc::new(FakeScanner::default()), true);
    assert!(stopped.handle(&event, ample()).await.unwrap().failures.is_empty());
    assert!(world.source.files().take_calls().is_empty());
    assert!(sink.handle(&event, ample()).await.unwrap().failures.is_empty());
    assert_eq!(world.source.files().take_calls().len(), 3);
}

#[tokio::test]
async fn a_tick_is_done_when_its_polls_were_made_and_only_then() {
    let world = World::new();
    for rider in 0..10 {
        world.connect(rider, 0).await;
    }
    let poller = world.poller(false);
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
    world.poller(true).handle(&tick(), ample()).await.unwrap();
    assert_eq!((world.lists(), cursor().await.done_minute), (0, minute), "stopped");
    for foreign in [json!({}), json!({ "shard": 1 }), json!("shard")] {
        assert!(poller.handle(&foreign, ample()).await.is_err());
    }
}

#[tokio::test]
async fn what_polls_find_is_resolved_in_the_same_tick() {
    let world = World::new();
    for rider in 0..3 {
        world.connect(rider, 4).await;
    }
    world.poller(false).handle(&tick(), ample()).await.unwrap();
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
    let poller = world.poller(false);
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
