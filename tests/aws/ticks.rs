//! What can happen to ticks: nobody is left out, and nobody is asked for twice.

use std::{collections::BTreeMap, time::Duration};

use fitbridge_core::ports::Clock as _;
use fitbridge_local::SystemClock;
use fitbridge_simulator::{Fault, FaultRule, Role};

use crate::{
    runtime::{Answer, Function},
    service::Service,
};

/// How often each rider's list was asked for since the journal was cleared, by token.
fn polls(service: &Service) -> BTreeMap<String, usize> {
    let mut polls = BTreeMap::new();
    for entry in service.world().journal_since(0) {
        if (entry.role, entry.route) == (Role::IgpsportGlobal, "list") {
            let bearer = entry.header("authorization").unwrap_or_default().to_owned();
            *polls.entry(bearer).or_default() += 1;
        }
    }
    polls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_that_come_twice_late_or_at_once_poll_each_rider_once() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(12, 1).await;
    service.run_until_quiet().await;
    let each_once = |what: &str| {
        let polls = polls(&service);
        assert_eq!(polls.len(), riders.len(), "{what}");
        assert!(polls.values().all(|count| *count == 1), "{what}: {polls:?}");
        service.world().clear_journal();
    };
    service.world().clear_journal();

    // The machine's clock may come to another minute in between; then it was not the same tick twice.
    let minute = || SystemClock.now().as_second().div_euclid(60);
    loop {
        let begun = minute();
        service.pass_minutes(1).await;
        service.world().clear_journal();
        service.tick().await.done();
        service.tick().await.done();
        if minute() == begun {
            break;
        }
    }
    each_once("twice");

    service.pass_minutes(600).await;
    service.tick().await.done();
    each_once("late");

    let other = Function::new("poller", service.environment.clone()).await;
    let shard = serde_json::json!({ "shard": 0 });
    loop {
        let begun = minute();
        service.pass_minutes(1).await;
        service.world().clear_journal();
        let (one, two) = tokio::join!(service.poller.invoke(&shard), other.invoke(&shard));
        assert!(matches!((&one, &two), (Answer::Done(_), Answer::Done(_))), "{one:?} {two:?}");
        if minute() == begun {
            break;
        }
    }
    each_once("two pollers at once");
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_that_dies_half_way_is_made_up_for() {
    let Some(service) = Service::start(&[("FITBRIDGE_REQUESTS_PER_SECOND", "20")]).await else { return };
    let riders = service.add_riders(10, 1).await;
    service.run_until_quiet().await;
    service.world().clear_journal();
    service.pass_minutes(1).await;
    service
        .world()
        .add_fault(FaultRule::new(Fault::Slow { ms: 60_000 }).on(Role::IgpsportGlobal).route("list").skip(4));
    let event = serde_json::json!({ "shard": 0 });
    let answer = tokio::select! {
        answer = service.poller.invoke(&event) => answer,
        () = async {
            while service.list_requests() < 5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            service.poller.kill();
            std::future::pending::<()>().await;
        } => unreachable!(),
    };
    assert_eq!(answer, Answer::Died);
    service.world().clear_faults();
    // What it had sent with its last breath is read by then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    service.world().clear_journal();
    // While the dead tick's claim stands, nobody polls; then everybody of its minutes is polled.
    service.tick().await.done();
    assert_eq!(service.list_requests(), 0);
    service.pass_minutes(0).await;
    service.tick().await.done();
    assert_eq!(polls(&service).len(), riders.len());
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_without_time_for_all_is_given_back_and_the_next_goes_on() {
    let Some(service) = Service::start(&[("FITBRIDGE_REQUESTS_PER_SECOND", "5")]).await else { return };
    let riders = service.add_riders(12, 0).await;
    let event = serde_json::json!({ "shard": 0 });
    // The process is up before the time counts.
    assert!(matches!(service.poller.invoke(&serde_json::json!({})).await, Answer::Failed(_)));
    let short = Duration::from_millis(1200);
    service.world().clear_journal();
    service.poller.invoke_for(&event, short).await.done();
    assert!(polls(&service).len() < riders.len());
    // The metrics are the last thing that is printed.
    service.poller.said_with("time ran out").await;
    let said = service.poller.said_with("PollSucceeded").await;
    assert!(!said.contains("TicksDone"), "{said}");
    // On a machine that is busy a short tick may begin nothing at all: each has a little more than the one before.
    for round in 1..120 {
        if polls(&service).len() == riders.len() {
            break;
        }
        service.poller.invoke_for(&event, short + round * Duration::from_millis(20)).await.done();
    }
    assert_eq!(polls(&service).len(), riders.len(), "whoever was left out comes first another time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_takes_longer_than_a_tick_is_read_over_several_and_holds_up_nobody() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = [service.add_rider("long", 120).await, service.add_rider("short", 1).await];
    // Six pages of the one take longer than a tick has: 8 s before its end a walk goes no further.
    service.world().add_fault(FaultRule::new(Fault::Slow { ms: 7_000 }).on(Role::IgpsportGlobal).route("list"));
    let (event, time) = (serde_json::json!({ "shard": 0 }), Duration::from_secs(40));
    let progress = async || {
        let found = service.engine.find_connection(&riders[0].user, "igpsport").await.expect("it is there");
        found.doc.source().cloned().expect("a source")
    };
    service.poller.invoke_for(&event, time).await.done();
    assert!(progress().await.broken_walk.is_some() && progress().await.mark.is_none());
    assert!(!service.rides(&riders[0]).await.is_empty(), "its rides are handed over all the same");
    assert_eq!(service.rides(&riders[1]).await.len(), 1);
    service.poller.said_with("\"TicksDone\":1.0").await;
    for _ in 0..4 {
        if progress().await.mark.is_some() {
            break;
        }
        service.pass_minutes(1).await;
        service.poller.invoke_for(&event, time).await.done();
    }
    assert!(progress().await.mark.is_some());
    assert_eq!(service.rides(&riders[0]).await.len(), 120);
}
