use fitbridge_core::{
    Policy,
    domain::{OwnerId, UserId},
    engine::{connect::Wish, secrets::SourceSecret},
    ports::{Clock, Source},
    testkit::{FakeSource, ManualClock, SourceCall, memory_ports},
};
use jiff::SignedDuration;

use super::*;
use crate::run::LocalQueue;

/// Lanes over adapters in memory, and the job of polling the one source.
async fn bench() -> (Lanes, FakeSource, Job) {
    let (clock, source, (queue, jobs)) = (ManualClock::default(), FakeSource::default(), LocalQueue::new());
    let ports = memory_ports(Arc::new(queue), &source, &clock);
    let engine = Arc::new(Engine::new(ports, Policy::default(), OwnerId::new("one").unwrap()));
    let account = source.account("global", "1");
    source.upload_many(&account, 1..4);
    let token = source.token(&account, Some(clock.now() + SignedDuration::from_hours(100)));
    let found = source.identify(&token, Some("global")).await.unwrap();
    let user = UserId::new("rider").unwrap();
    let wish = Wish { user: user.clone(), name: "igpsport".into(), history: None };
    let secret = SourceSecret { token, login: None };
    let connection = engine.connect_source(&wish, &found[0], &secret).await.unwrap().id;
    source.take_calls();
    (Lanes::new(engine, jobs, Limits::default()), source, Job { user, task: Task::Poll { connection } })
}

fn lists(source: &FakeSource) -> usize {
    source.take_calls().iter().filter(|call| matches!(call, SourceCall::List { .. })).count()
}

#[tokio::test]
async fn what_waits_already_is_not_put_beside_itself() {
    let (mut lanes, source, poll) = bench().await;
    for _ in 0..5 {
        lanes.start(poll.clone());
    }
    assert_eq!(lanes.running.len(), 1, "none of them has begun");
    lanes.drain().await;
    assert_eq!(lists(&source), 1);
    lanes.start(poll);
    lanes.drain().await;
    assert_eq!(lists(&source), 1, "one that comes later is another");
}

#[tokio::test]
async fn while_stopped_nothing_is_begun_and_afterwards_polls_are_made_up_for() {
    let (mut lanes, source, poll) = bench().await;
    let engine = Arc::clone(lanes.engine());
    engine.halt("").await.unwrap();
    lanes.start(poll.clone());
    lanes.drain().await;
    lanes.start(poll);
    lanes.drain().await;
    assert_eq!(lists(&source), 0);
    let failures = lanes.take_failures();
    assert_eq!(failures.iter().map(|failure| failure.code).collect::<Vec<_>>(), [Code::Stopped], "said once");
    engine.go_on().await.unwrap();
    lanes.go_on();
    lanes.drain().await;
    assert_eq!(lists(&source), 1);
    assert!(lanes.take_failures().is_empty());
}
