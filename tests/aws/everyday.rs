//! What the service does all day.

use std::collections::BTreeMap;

use fitbridge_core::ports::Clock as _;
use fitbridge_local::SystemClock;
use fitbridge_simulator::{Region, RideBatch};
use serde_json::Value;

use crate::{runtime::Answer, service::Service};

/// Requests to DynamoDB that a tick makes, however many riders it polls: the cursor, the breakers, the plan
/// and due indexes.
const OF_A_TICK: usize = 16;

fn all_requests(counts: &BTreeMap<String, usize>) -> usize {
    counts.values().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ride_arrives_once_and_an_idle_minute_costs_one_request_per_rider() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(20, 3).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);

    // A minute in which nothing happened.
    service.pass_minutes(1).await;
    service.world().clear_journal();
    service.table.take_counts();
    service.tick().await.done();
    assert_eq!(service.list_requests(), 20);
    assert_eq!(service.world().request_counts().values().sum::<u64>(), 20, "and nothing else is asked");
    let counts = service.table.take_counts();
    assert_eq!((counts.get("PutItem"), counts.get("TransactWriteItems")), (Some(&2), None), "{counts:?}");
    assert!(all_requests(&counts) <= 2 * 20 + OF_A_TICK, "{counts:?}");
    assert!(service.receive().await.is_empty(), "nothing is handed over");
    // Alarms are set on the functions' whole names.
    service.poller.said_with("\"Function\":\"fitbridge-poller\"").await;
    service.sink.said_with("\"Function\":\"fitbridge-sink\"").await;

    // New rides of some.
    for rider in &riders[..5] {
        service.world().add_rides(Region::Global, rider.member, &RideBatch::small(2)).expect("rides");
    }
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_riders_over_the_keyring() {
    let settings = [
        ("FITBRIDGE_VAULT", "keyring"),
        ("FITBRIDGE_KEYRING_SECRET", "fitbridge/keyring"),
        ("FITBRIDGE_POLL_MINUTES", "5"),
        ("FITBRIDGE_POLL_PLAN", "fixed"),
    ];
    let Some(service) = Service::start(&settings).await else { return };
    for keys in service.clients.keyrings("fitbridge/keyring").values() {
        keys.init().await.expect("a keyring");
    }
    let riders = service.add_riders(200, 2).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);

    // Of an idle minute, only those who are planned for it pay: their connection and their sealed token. What the
    // clock has moved by until now is behind us first.
    let (planned, polled, counts) = loop {
        let minute = SystemClock.now().as_second().div_euclid(60);
        service.tick().await.done();
        service.pass_minutes(1).await;
        service.world().clear_journal();
        service.table.take_counts();
        service.tick().await.done();
        let counts = service.table.take_counts();
        let planned = service.planned(minute).await;
        let polled = usize::try_from(service.list_requests()).expect("a small number");
        if SystemClock.now().as_second().div_euclid(60) == minute {
            break (planned, polled, counts);
        }
    };
    assert_eq!(polled, planned, "those of one minute of five");
    assert_eq!((counts.get("PutItem"), counts.get("TransactWriteItems")), (Some(&2), None), "{counts:?}");
    assert!(all_requests(&counts) <= 2 * polled + OF_A_TICK, "{polled} polls: {counts:?}");

    // New rides of some: within five minutes everybody was asked.
    for rider in riders.iter().step_by(10) {
        service.new_rides(rider, 1);
    }
    service.pass_minutes(5).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_service_asks_nobody_and_its_heart_beats() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 2).await;
    service.tick().await.done();
    service.world().clear_journal();
    service.admin(&["stop"], "").await.exits(0);
    service.pass_minutes(1).await;
    assert_eq!(service.tick().await, Answer::Done(Value::Null));
    service.pump().await;
    assert_eq!(service.world().request_counts().values().sum::<u64>(), 0);
    service.poller.said_with("\"TicksDone\":1.0").await;

    service.admin(&["go"], "").await.exits(0);
    service.end_leases().await;
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}
