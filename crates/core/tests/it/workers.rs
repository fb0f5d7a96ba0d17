//! Several workers on one ledger: claims, leases, lost and repeated jobs, workers that die.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine,
    domain::{ActivityState, DeliveryState},
    engine::{Delivered, Eagerness},
    ports::{Job, Task},
    testkit::{FailingLedger, Moment, SinkCall},
};
use jiff::SignedDuration;

use crate::world::{SHARD, World, is_delivered};

#[tokio::test]
async fn two_engines_work_at_once_and_nothing_is_doubled() {
    let mut world = World::new();
    world.sink = fitbridge_core::testkit::FakeSink::forgetful();
    world.source.upload_many(&world.account, 1..31);
    let (one, two) = (world.engine("a"), world.engine("b"));
    let source = world.connect(&one, None).await;
    let sink = world.connect_sink(&one, "s", None).await;
    let polls = [one.poll(&world.user, &source.id), two.poll(&world.user, &source.id)];
    for poll in futures::future::join_all(polls).await {
        poll.unwrap();
    }
    loop {
        let jobs = world.queue.take();
        if jobs.is_empty() {
            break;
        }
        // Each job goes to both.
        let work = jobs.iter().flat_map(|job| [one.work(job), two.work(job)]);
        for done in futures::future::join_all(work).await {
            done.unwrap();
        }
    }
    world.quiet(&two).await;
    assert_eq!(world.at(&sink), world.files_of(1..31));
    assert_eq!(world.source.files().take_calls().len(), 30, "each file is fetched once");
}

#[tokio::test]
async fn what_another_living_worker_has_in_hand_is_told_from_what_waits() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..6);
    let (one, two) = (world.engine("a"), world.engine("b"));
    let source = world.connect(&one, None).await;
    world.connect_sink(&one, "s", None).await;
    world.work(&one).await;
    one.poll(&world.user, &source.id).await.unwrap();
    let (mine, theirs) = (one.waiting(SHARD).await.unwrap(), two.waiting(SHARD).await.unwrap());
    assert_eq!((mine.rides.len(), mine.elsewhere), (5, 0));
    assert_eq!((theirs.rides.len(), theirs.elsewhere), (5, 5));
    world.ledger.kill(one.owner());
    assert_eq!(two.waiting(SHARD).await.unwrap().elsewhere, 0, "it is gone");
}

#[tokio::test]
async fn a_lost_job_comes_due_again_after_its_lease() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.work(&engine).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    // The queue took the jobs and loses them.
    assert_eq!(world.queue.take().len(), 2);
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 0, "its lease has not ended");
    assert_eq!(engine.sweep(SHARD, Eagerness::Eager).await.unwrap(), 0, "not for the asking either");
    world.clock.advance(world.policy.lease);
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 2);
    world.queue.take();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..3));
    assert!(world.rides(&engine).await.iter().all(|ride| ride.attempts == 0));
}

#[tokio::test]
async fn the_claims_of_a_dead_owner_are_taken_over_at_once_and_those_of_a_live_one_are_not() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let dying = world.engine("dying");
    let source = world.connect(&dying, None).await;
    let sink = world.connect_sink(&dying, "s", None).await;
    world.work(&dying).await;
    dying.poll(&world.user, &source.id).await.unwrap();
    let jobs = world.queue.take();
    dies_at(&world, &jobs[0], "dying").await;

    let heir = world.engine("heir");
    heir.work(&jobs[0]).await.unwrap();
    assert_eq!(heir.sweep(SHARD, Eagerness::Due).await.unwrap(), 0);
    assert!(world.at(&sink).is_empty(), "its owner may be at it");
    world.ledger.kill(dying.owner());
    assert_eq!(heir.sweep(SHARD, Eagerness::Due).await.unwrap(), 3);
    let now = world.now();
    world.drain(&heir).await;
    assert_eq!((world.at(&sink), world.now()), (world.files_of(1..4), now), "without waiting");
}

/// The job of a ride that was just found.
async fn a_found_ride(world: &World, engine: &Engine) -> Job {
    world.source.upload_many(&world.account, 1..2);
    let source = world.connect(engine, None).await;
    world.work(engine).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    world.queue.take().remove(0)
}

/// A worker takes the job and dies at it, its claim in the ledger.
async fn dies_at(world: &World, job: &Job, owner: &str) -> Engine {
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let dying = world.engine_over(Arc::new(ledger.clone()), owner);
    ledger.crash_at_call(3);
    assert!(dying.work(job).await.is_err());
    dying
}

#[tokio::test]
async fn after_a_few_deaths_a_job_waits_so_that_its_neighbours_get_through() {
    let world = World::new();
    let engine = world.engine("a");
    let job = a_found_ride(&world, &engine).await;
    for (owner, taken_over) in [("b", 1), ("c", 1), ("d", 0)] {
        let died = dies_at(&world, &job, owner).await;
        world.ledger.kill(died.owner());
        assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), taken_over, "after the death of {owner}");
        world.queue.take();
    }
    let waits = world.policy.ride_backoff[2];
    world.clock.advance(waits * 2);
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 1, "then it is tried again");
}

#[tokio::test]
async fn where_nothing_is_known_of_owners_a_lease_that_ends_again_and_again_parts_neighbours_as_well() {
    let world = World::new();
    let engine = world.engine("a");
    let job = a_found_ride(&world, &engine).await;
    for taken_over in [1, 1, 0] {
        dies_at(&world, &job, "one-of-many").await;
        world.clock.advance(world.policy.lease);
        assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), taken_over);
        world.queue.take();
    }
    world.clock.advance(world.policy.ride_backoff[2] * 2);
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 1, "then it is tried again");
}

#[tokio::test]
async fn a_job_that_kills_its_worker_each_time_ends_as_a_dead_letter() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.settle(&world.user, &sink.id).await.unwrap();
    world.queue.take();
    let delivery = world.delivery(&engine, &sink).await;
    let job =
        Job { user: world.user.clone(), task: Task::Deliver { sink: sink.id.clone(), content: delivery.content } };
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "b");
    for _ in 0..=world.policy.delivery_backoff.len() {
        // Dies after the claim, before anything is sent.
        ledger.crash_at_call(3);
        assert!(crashing.work(&job).await.is_err());
        ledger.revive();
        world.clock.advance(world.policy.lease);
    }
    crashing.work(&job).await.unwrap();
    let state = world.delivery_state(&engine, &sink).await;
    assert!(
        matches!(&state, DeliveryState::DeadLetter { failure } if failure.code == Code::AttemptsUsedUp),
        "{state:?}"
    );
    world.quiet(&engine).await;
    assert!(world.at(&sink).is_empty());
}

#[tokio::test]
async fn a_ride_that_kills_its_worker_each_time_ends_as_a_dead_letter() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    let job = world.queue.take().into_iter().find(|job| matches!(job.task, Task::Resolve { .. })).unwrap();
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "b");
    let mut crashes = 0;
    while !matches!(world.state(&engine, &source, 1).await, ActivityState::DeadLetter { .. }) {
        // Dies after the claim; giving up itself takes a call more.
        ledger.crash_at_call(4);
        let _ = crashing.work(&job).await;
        ledger.revive();
        world.clock.advance(world.policy.lease);
        crashes += 1;
        assert!(crashes < 30, "it never runs out");
    }
    assert_eq!(crashes, world.policy.ride_backoff.len() + 2);
}

#[tokio::test]
async fn a_worker_that_dies_after_sending_makes_no_second_ride() {
    let mut world = World::new();
    world.sink = fitbridge_core::testkit::FakeSink::forgetful();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.settle(&world.user, &sink.id).await.unwrap();
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "b");
    ledger.fail_commit(2, Moment::Before);
    let jobs = world.queue.take();
    let job = jobs.iter().find(|job| matches!(job.task, Task::Deliver { .. })).unwrap();
    assert!(crashing.work(job).await.is_err());
    assert_eq!((world.at(&sink).len(), world.delivery_state(&engine, &sink).await), (1, DeliveryState::Sending));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
}

#[tokio::test]
async fn a_claim_that_was_spent_waiting_is_given_back_before_anything_is_sent() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.settle(&world.user, &sink.id).await.unwrap();
    let content = world.delivery(&engine, &sink).await.content;
    // The clock runs on while the archive reads: here, during the claim's own first read of it.
    let late = world.policy.lease / 2 + SignedDuration::from_secs(1);
    let slow = fitbridge_core::Policy { lease: world.policy.lease, ..world.policy.clone() };
    let mut ports = world.ports(Arc::new(world.ledger.clone()));
    ports.archive = Arc::new(SlowArchive { archive: world.archive.clone(), clock: world.clock.clone(), late });
    let slow = fitbridge_core::Engine::new(ports, slow, engine.owner().clone());
    world.sink.take_calls();
    assert_eq!(slow.deliver(&world.user, &sink.id, &content).await.unwrap(), Delivered::Skipped);
    assert!(!world.sink.take_calls().iter().any(|call| matches!(call, SinkCall::Deliver { .. })));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[derive(Debug)]
struct SlowArchive {
    archive: fitbridge_core::testkit::MemoryArchive,
    clock: fitbridge_core::testkit::ManualClock,
    late: SignedDuration,
}

#[async_trait::async_trait]
impl fitbridge_core::ports::Archive for SlowArchive {
    async fn put(
        &self,
        user: &fitbridge_core::domain::UserId,
        content: fitbridge_core::domain::ContentId,
        bytes: bytes::Bytes,
    ) -> Result<fitbridge_core::ports::Put, fitbridge_core::ports::ArchiveError> {
        self.archive.put(user, content, bytes).await
    }
    async fn open(
        &self,
        user: &fitbridge_core::domain::UserId,
        content: fitbridge_core::domain::ContentId,
    ) -> Result<bytes::Bytes, fitbridge_core::ports::ArchiveError> {
        self.clock.advance(self.late);
        self.archive.open(user, content).await
    }
    async fn delete(
        &self,
        user: &fitbridge_core::domain::UserId,
        content: fitbridge_core::domain::ContentId,
    ) -> Result<(), fitbridge_core::ports::ArchiveError> {
        self.archive.delete(user, content).await
    }
    async fn forget_user(
        &self,
        user: &fitbridge_core::domain::UserId,
    ) -> Result<u64, fitbridge_core::ports::ArchiveError> {
        self.archive.forget_user(user).await
    }
}
