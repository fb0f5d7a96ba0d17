//! Rides that are one and come at the same moment, and processes that die at any point of it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    Engine,
    domain::{ActivityState, ContentId, OwnerId, RecordedFacts, Shard},
    engine::import::Imported,
    ports::{
        Archive, CommitError, DueRow, Key, Ledger, LedgerError, PlanPage, PlanSlot, Record, RecordPage, Scope, Write,
    },
    testkit::{FakeScanner, MemoryLedger},
};
use jiff::Timestamp;

use crate::world::World;

/// A ledger whose every call gives others a turn before and after it.
#[derive(Debug, Clone)]
struct Yielding(MemoryLedger);

async fn turn() {
    let mut given = false;
    std::future::poll_fn(|context| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl Ledger for Yielding {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        turn().await;
        self.0.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        turn().await;
        self.0.get_many(keys).await
    }

    async fn range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        turn().await;
        self.0.range(scope, prefix, after, limit).await
    }

    async fn range_back(
        &self,
        scope: &Scope,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        turn().await;
        self.0.range_back(scope, prefix, before, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        turn().await;
        let committed = self.0.commit(writes).await;
        turn().await;
        committed
    }

    async fn due(&self, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        turn().await;
        self.0.due(shard, until, limit).await
    }

    async fn planned(&self, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Result<PlanPage, LedgerError> {
        self.0.planned(slot, cursor, limit).await
    }

    fn is_gone(&self, owner: &OwnerId) -> bool {
        self.0.is_gone(owner)
    }
}

/// Lets a future take so many steps and then drops it, as a process that dies. `true` when it was done before.
fn dies_after<F: Future>(steps: usize, future: F) -> bool {
    let mut future: Pin<Box<F>> = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..steps).any(|_| future.as_mut().poll(&mut context).is_ready())
}

/// A file of a ride that begins so many seconds into a morning.
fn file(world: &World, name: &str, start_s: i64) -> Bytes {
    let bytes = Bytes::from(name.to_owned());
    let morning: Timestamp = "2025-05-01T06:00:00Z".parse().unwrap();
    let mut report = FakeScanner::ride(&bytes);
    let start = Some(morning + jiff::SignedDuration::from_secs(start_s));
    report.facts = RecordedFacts { start, ..report.facts };
    world.scanner.report(&bytes, report);
    bytes
}

fn engine(world: &World, owner: &str) -> Engine {
    world.engine_over(Arc::new(Yielding(world.ledger.clone())), owner)
}

#[tokio::test]
async fn of_two_files_of_one_ride_that_come_at_once_one_is_sent() {
    // Either side of midnight, and on one day; the second starts with every possible delay.
    for (first_s, second_s) in [(0, 100), (18 * 3600 - 50, 18 * 3600 + 50)] {
        for delay in 0..14 {
            let world = World::new();
            let calm = world.engine("calm");
            let sink = world.connect_sink(&calm, "s", None).await;
            let (a, b) = (file(&world, "a", first_s), file(&world, "b", second_s));
            let engines = [engine(&world, "a"), engine(&world, "b")];
            let later = async {
                for _ in 0..delay {
                    turn().await;
                }
                engines[1].import(&world.user, "b", b.clone()).await
            };
            let (one, other) = futures_join(engines[0].import(&world.user, "a", a.clone()), later).await;
            assert!(matches!(one, Ok(Imported::New(_))) && matches!(other, Ok(Imported::New(_))));
            world.quiet(&calm).await;
            let rides = world.rides(&calm).await;
            assert_eq!(rides.iter().filter(|ride| ride.link.is_none()).count(), 1, "delay {delay}: {rides:?}");
            assert_eq!(world.at(&sink).len(), 1, "delay {delay}");
        }
    }
}

/// Polls both by turns until both are done.
async fn futures_join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut from_a, mut from_b) = (None, None);
    std::future::poll_fn(|context| {
        if from_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            from_a = Some(output);
        }
        if from_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            from_b = Some(output);
        }
        match (from_a.take(), from_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (from_a, from_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

#[tokio::test]
async fn whoever_dies_while_a_ride_is_linked_split_or_sent_again_says_it_once_more_and_it_holds() {
    for verb in ["import", "link", "split", "resync"] {
        let mut was_done = false;
        for steps in 0..60 {
            let world = World::new();
            let calm = world.engine("calm");
            let sink = world.connect_sink(&calm, "s", None).await;
            let files = [file(&world, "a", 0), file(&world, "b", 100), file(&world, "c", 100_000)];
            let mut ids = Vec::new();
            for bytes in if verb == "import" { &files[..1] } else { &files[..] } {
                let Imported::New(ride) = calm.import(&world.user, "x", bytes.clone()).await.unwrap() else {
                    panic!("new")
                };
                world.work(&calm).await;
                ids.push(ride.id);
            }
            let dying = engine(&world, "dying");
            let act = async |engine: &Engine| match verb {
                "import" => engine.import(&world.user, "x", files[1].clone()).await.map(drop),
                "link" => engine.link(&world.user, &[ids[0].clone(), ids[2].clone()]).await.map(drop),
                "split" => engine.split(&world.user, &ids[1]).await.map(drop),
                _ => engine.resync(&world.user, &ids[1], &[], false).await.map(drop),
            };
            was_done = dies_after(steps, act(&dying));
            world.queue.take();
            // The rider runs the command again; where it had worked already, that is said or does nothing.
            let _ = act(&calm).await;
            world.quiet(&calm).await;
            let expected = match verb {
                "import" => vec![&files[0]],
                "link" => vec![&files[0], &files[2]],
                _ => files.iter().collect(),
            };
            let mut expected: Vec<_> = expected.into_iter().map(|file| ContentId::of(file)).collect();
            expected.sort();
            assert_eq!(world.at(&sink), expected, "{verb} after {steps} steps");
            for ride in world.rides(&calm).await {
                let primary = world.rides(&calm).await.into_iter().find(|other| other.id == *ride.primary());
                let primary = primary.expect("its primary is there");
                assert!(primary.link.is_none(), "{verb} after {steps} steps");
                assert!(ride.link.is_none() || primary.linked.contains(&ride.id), "{verb} after {steps} steps");
            }
        }
        assert!(was_done, "{verb}: the last ones were not cut");
    }
}

#[tokio::test]
async fn whoever_dies_while_a_ride_is_forgotten_leaves_no_half_of_it() {
    let mut was_done = false;
    for steps in 0..60 {
        let world = World::new();
        let calm = world.engine("calm");
        let bytes = file(&world, "a", 0);
        let Imported::New(ride) = calm.import(&world.user, "x", bytes.clone()).await.unwrap() else { panic!("new") };
        let dying = engine(&world, "dying");
        was_done = dies_after(steps, async {
            dying.forget(&world.user, &ride.id, true).await.unwrap();
            for job in world.queue.take() {
                dying.work(&job).await.unwrap();
            }
        });
        world.queue.take();
        world.quiet(&calm).await;
        let state = world.rides(&calm).await.remove(0).state;
        let is_there = world.archive.open(&world.user, ContentId::of(&bytes)).await.is_ok();
        match state {
            ActivityState::Fetched { .. } => assert!(is_there, "{steps}: nothing was done"),
            ActivityState::Forgotten { file, erase } => {
                assert!(!is_there && file.is_none() && !erase, "{steps}: all of it was done: {file:?}");
            }
            other => panic!("{steps}: {other:?}"),
        }
    }
    assert!(was_done);
}

#[tokio::test]
async fn a_ride_that_changes_while_a_new_sink_is_told_of_it_reaches_that_sink() {
    for delay in 0..14 {
        let world = World::new();
        let calm = world.engine("calm");
        let (a, b) = (file(&world, "a", 0), file(&world, "b", 100));
        let first = world.connect_sink(&calm, "first", None).await;
        calm.import(&world.user, "a", a.clone()).await.unwrap();
        world.quiet(&calm).await;
        let second = world.connect_sink(&calm, "second", None).await;
        // The same ride by another recorder is linked to it, just when the second sink's turn comes.
        let (settling, importing) = (engine(&world, "settling"), engine(&world, "importing"));
        let later = async {
            for _ in 0..delay {
                turn().await;
            }
            importing.import(&world.user, "b", b.clone()).await
        };
        let (settled, imported) = futures_join(settling.settle(&world.user, &second.id), later).await;
        assert!(settled.is_ok() && matches!(imported, Ok(Imported::New(_))), "delay {delay}");
        world.quiet(&calm).await;
        let sent = [ContentId::of(&a)];
        assert_eq!((world.at(&first), world.at(&second)), (sent.to_vec(), sent.to_vec()), "delay {delay}");
    }
}
