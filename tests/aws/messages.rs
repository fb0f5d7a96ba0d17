//! What can happen to messages, and to the function that works on them.

use std::time::Duration;

use fitbridge_core::domain::{Activity, ActivityState};
use fitbridge_simulator::{Entry, Fault, FaultRule, Region, RideBatch, Role};
use serde_json::json;

use crate::{
    queue::{MAX_RECEIVES, event},
    runtime::{Answer, Function},
    service::Service,
};

/// Waits until this host has had a request at this route, for as long as an invocation may last.
async fn asked(service: &Service, role: Role, route: &str) {
    while service.world().requests(role, Some(route)) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Why the function refuses the messages below.
const POISON: [&str; 4] = ["message_foreign", "message_oversized", "message_version_unknown", "task_of_the_poller"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_record_takes_no_other_with_it_and_ends_as_a_dead_letter() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(1, 3).await;
    let user = &riders[0].user;
    let poison = [
        "what is this".to_owned(),
        r#"{"v":2,"user":"rider-000","task":"fetch","activity":"a"}"#.to_owned(),
        format!(r#"{{"v":1,"user":"{user}","task":"poll","connection":"{}"}}"#, riders[0].source.id),
        "x".repeat(5000),
    ];
    for body in &poison {
        service.send(body).await;
    }
    service.tick().await.done();
    let batch = service.receive().await;
    assert!(batch.len() > poison.len());
    let answer = service.sink.invoke(&event(&batch)).await;
    let failed = answer.clone().done()["batchItemFailures"].as_array().expect("failures").len();
    assert_eq!(failed, poison.len());
    service.settle(&batch, &answer).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);

    for _ in 0..MAX_RECEIVES {
        service.end_hiding().await;
        service.pump().await;
    }
    let listed = service.admin(&["dead-letters", "list"], "").await.exits(0);
    let mut reasons: Vec<_> = listed.of_type("message").into_iter().map(|line| line["reason"].clone()).collect();
    reasons.sort_by_key(ToString::to_string);
    assert_eq!(reasons, POISON, "{listed}");
    let (mut dead, mut sent) = (service.dead_letters().await, poison.to_vec());
    dead.sort();
    sent.sort();
    assert_eq!(dead, sent);
    for reason in POISON {
        service.sink.said_with(reason).await;
    }
    assert_eq!(service.world().requests(Role::IgpsportGlobal, Some("detail")), 3, "the sink asked the source nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_others_fail_as_a_whole() {
    let Some(service) = Service::start(&[]).await else { return };
    for event in [json!({}), json!({ "Records": [{ "body": "x" }] }), json!([1])] {
        let Answer::Failed(error) = service.sink.invoke(&event).await else { panic!("{event}") };
        assert_eq!(error["errorType"], "event_foreign");
    }
    let s3 = json!({ "Records": [{ "messageId": "m-1", "eventSource": "aws:s3", "body": "{}" }] });
    let answer = service.sink.invoke(&s3).await.done();
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "m-1" }] }));
    for event in [json!({}), json!({ "shard": 1 }), json!({ "shard": "0" }), json!({ "Records": [] })] {
        let Answer::Failed(error) = service.poller.invoke(&event).await else { panic!("{event}") };
        assert_eq!(error["errorType"], "event_foreign");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_three_times_or_never_change_nothing() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(3, 2).await;
    let other = Function::new("sink", service.environment.clone()).await;
    service.tick().await.done();
    // Each batch comes three times, twice of them at once in two processes.
    loop {
        let batch = service.receive().await;
        if batch.is_empty() {
            break;
        }
        let event = event(&batch);
        let (one, two) = tokio::join!(service.sink.invoke(&event), other.invoke(&event));
        let three = service.sink.invoke(&event).await;
        for answer in [&one, &two] {
            assert_eq!(answer, &Answer::Done(json!({ "batchItemFailures": [] })));
        }
        service.settle(&batch, &three).await;
    }
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);

    for rider in &riders {
        service.world().add_rides(Region::Global, rider.member, &RideBatch::small(2)).expect("rides");
    }
    service.pass_minutes(1).await;
    service.tick().await.done();
    service.purge().await;
    service.end_leases().await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_is_killed_mid_record_doubles_nothing() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(1, 3).await;
    // While a file is on its way, and while one is being uploaded: the work is done there, the answer waits. Every
    // answer does, so that none of them is got by before the kill, and a new ride needs each of them.
    let stages = [
        (Role::Files, "file", Fault::Stall),
        (Role::Intervals, "upload", Fault::Stall),
        (Role::Webhook, "receive", Fault::Slow { ms: 600_000 }),
    ];
    let world = service.world();
    let done = |role| match role {
        Role::Intervals => world.activities(&riders[0].athlete).len(),
        Role::Webhook => world.webhook_deliveries().len(),
        _ => usize::MAX,
    };
    for (role, route, fault) in stages {
        service.world().clear_journal();
        let before = done(role).min(usize::MAX - 1);
        service.world().add_fault(FaultRule::new(fault).on(role).route(route));
        service.tick().await.done();
        loop {
            let batch = service.receive().await;
            assert!(!batch.is_empty(), "{route} is on the way of every ride");
            let event = event(&batch);
            let answer = tokio::select! {
                answer = service.sink.invoke(&event) => answer,
                () = async {
                    asked(&service, role, route).await;
                    while done(role) <= before {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    service.sink.kill();
                    std::future::pending::<()>().await;
                } => unreachable!(),
            };
            service.settle(&batch, &answer).await;
            if answer == Answer::Died {
                break;
            }
        }
        service.world().clear_faults();
        service.end_leases().await;
        service.world().add_rides(Region::Global, riders[0].member, &RideBatch::small(1)).expect("a ride");
        service.pass_minutes(1).await;
    }
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_kills_its_worker_each_time_ends_as_a_dead_letter() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(1, 2).await;
    let deadly = service.world().rides(Region::Global, riders[0].member)[0].clone();
    service.world().add_fault(FaultRule::new(Fault::Slow { ms: 60_000 }).on(Role::Files).path(&deadly.file_path));
    let mut deaths = 0;
    service.tick().await.done();
    for _ in 0..150 {
        let batch = service.receive().await;
        if batch.is_empty() {
            service.end_leases().await;
            service.pass_minutes(1).await;
            service.tick().await.done();
            if service.engine.waiting(fitbridge_core::domain::Shard(0)).await.expect("what waits").rides.is_empty() {
                break;
            }
            continue;
        }
        service.world().clear_journal();
        let event = event(&batch);
        // It dies when it has begun with the file and is done with the other, however long that takes.
        let answer = tokio::select! {
            answer = service.sink.invoke(&event) => answer,
            () = async {
                let asks = |entry: &Entry| entry.role == Role::Files && entry.path.contains(&deadly.file_path);
                while !service.world().journal_since(0).iter().any(asks) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let is_done = |ride: &Activity| matches!(ride.state, ActivityState::Fetched { .. });
                while !service.rides(&riders[0]).await.iter().any(is_done) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                service.sink.kill();
                std::future::pending::<()>().await;
            } => unreachable!(),
        };
        deaths += usize::from(answer == Answer::Died);
        service.settle(&batch, &answer).await;
    }
    service.pump().await;
    let rides = service.rides(&riders[0]).await;
    let dead = rides.iter().filter(|ride| matches!(ride.state, ActivityState::DeadLetter { .. })).count();
    let fetched = rides.iter().filter(|ride| matches!(ride.state, ActivityState::Fetched { .. })).count();
    assert!(deaths > 10, "it was killed {deaths} times only");
    assert_eq!((dead, fetched), (1, 1), "after {deaths} deaths: {rides:?}");
}
