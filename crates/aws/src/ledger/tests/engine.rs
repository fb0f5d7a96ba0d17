//! What the engine's verbs cost on this ledger.

use std::{collections::BTreeMap, sync::Arc};

use fitbridge_core::{
    Engine, Policy,
    domain::{History, OwnerId, Service, Shard, UserId},
    engine::{Eagerness, Poll, Ports, connect::Wish, secrets::SourceSecret},
    ports::{Clock, Sink, Source, Task},
    testkit::{FakeRide, FakeSink, FakeSource, ManualClock, MemoryQueue, memory_ports},
};
use jiff::SignedDuration;

use super::emulator::Emulator;
use crate::ledger::{Operation, Usage, Used};

const SHARD: Shard = Shard(0);

/// One rider with a source and a sink, whose history has arrived.
struct Rider {
    engine: Engine,
    queue: MemoryQueue,
    clock: ManualClock,
    usage: Arc<Usage>,
    source: FakeSource,
    sink: FakeSink,
}

impl Rider {
    async fn connected(emulator: &Emulator) -> Self {
        let usage = Arc::new(Usage::default());
        let ledger = emulator.ledger(emulator.table().await, 4).with_usage(Arc::clone(&usage));
        let (queue, clock) = (MemoryQueue::default(), ManualClock::default());
        let (source, sink) = (FakeSource::default(), FakeSink::default());
        let sinks: Arc<dyn Sink> = Arc::new(sink.clone());
        let ports = Ports {
            ledger: Arc::new(ledger),
            sinks: BTreeMap::from([(Service::new("fake").unwrap(), sinks)]),
            ..memory_ports(Arc::new(queue.clone()), &source, &clock)
        };
        let engine = Engine::new(ports, Policy::default(), OwnerId::new("poller").unwrap());
        let rider = Self { engine, queue, clock, usage, source, sink };
        rider.connect().await;
        rider.work().await;
        // Until nothing is left to be done at once, and the cursor is there.
        rider.minute().await;
        rider
    }

    async fn connect(&self) {
        let account = self.source.account("global", "1");
        self.source.upload_many(&account, 1..4);
        let token = self.source.token(&account, Some(self.clock.now() + SignedDuration::from_hours(24 * 7)));
        let wish =
            |name: &str| Wish { user: UserId::new("ann").unwrap(), name: name.into(), history: Some(History::All) };
        let identity = self.sink.check(&serde_json::json!({"account": "a"}), None).await.unwrap();
        self.engine.connect_sink(&wish("sink"), &identity, None).await.unwrap();
        let identities = self.source.identify(&token, Some("global")).await.unwrap();
        let secret = SourceSecret { token, login: None };
        self.engine.connect_source(&wish("source"), &identities[0], &secret).await.unwrap();
    }

    /// Works on all that is queued and due.
    async fn work(&self) {
        loop {
            let jobs = self.queue.take();
            if jobs.is_empty() && self.engine.sweep(SHARD, Eagerness::Due).await.unwrap() == 0 {
                return;
            }
            for job in jobs {
                self.engine.work(&job).await.unwrap();
            }
        }
    }

    /// The next minute: a tick, and all that follows.
    async fn minute(&self) {
        self.clock.advance(SignedDuration::from_mins(1));
        self.engine.tick(SHARD).await.unwrap();
        self.work().await;
    }

    async fn used(&self, what: impl AsyncFnOnce()) -> Used {
        let before = self.usage.so_far();
        what().await;
        self.usage.so_far().since(&before)
    }
}

fn writes(used: &Used) -> u64 {
    let kinds = [Operation::PutItem, Operation::DeleteItem, Operation::TransactWriteItems];
    kinds.into_iter().map(|kind| used.requests(kind)).sum()
}

#[tokio::test]
async fn an_idle_minute_writes_the_cursor_twice_and_an_idle_poll_nothing() {
    let rider = Rider::connected(&Emulator::start().await).await;
    let mut polled = 0;
    for _ in 0..5 {
        rider.clock.advance(SignedDuration::from_mins(1));
        let tick = rider.used(async || assert_eq!(rider.engine.tick(SHARD).await.unwrap().due, 0)).await;
        println!("a tick: {tick}");
        assert_eq!((writes(&tick), tick.write_units), (2, 2.0), "the cursor, claimed and done: {tick}");
        for job in rider.queue.take() {
            let Task::Poll { connection } = &job.task else { panic!("only polls are left: {job:?}") };
            let poll = rider
                .used(async || {
                    let poll = rider.engine.poll(&job.user, connection).await.unwrap();
                    assert_eq!(poll, Poll::Idle);
                })
                .await;
            println!("an idle poll: {poll}");
            assert_eq!(writes(&poll), 0, "{poll}");
            assert!(poll.all_requests() <= 2 && poll.read_units <= 2.0, "{poll}");
            polled += 1;
        }
    }
    assert!(polled > 0, "somebody was polled");
}

#[tokio::test]
async fn a_ride_costs_a_bounded_number_of_requests() {
    let rider = Rider::connected(&Emulator::start().await).await;
    let idle = rider
        .used(async || {
            for _ in 0..60 {
                rider.minute().await;
            }
        })
        .await;
    rider.source.upload(&rider.source.account("global", "1"), FakeRide::generated(9));
    let stored = rider.sink.stored().len();
    let busy = rider
        .used(async || {
            for _ in 0..60 {
                rider.minute().await;
            }
        })
        .await;
    assert_eq!(rider.sink.stored().len(), stored + 1, "the ride arrived");
    let ride = busy.since(&idle);
    println!("an hour without a ride: {idle}\nan hour with one: {busy}\none ride at one sink: {ride}");
    assert!(writes(&ride) <= 10 && ride.write_units <= 25.0, "a ride's writes: {ride}");
    assert!(ride.read_units <= 20.0, "a ride's reads: {ride}");
}
