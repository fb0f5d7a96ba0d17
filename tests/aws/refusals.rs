//! What no emulator does: throttling, expired credentials, and workers that fight over one record.

use fitbridge_simulator::{Fault, FaultRule, Role};
use futures::future::join_all;
use serde_json::json;

use crate::{
    queue::event,
    runtime::{Answer, Function},
    service::Service,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_table_delays_and_loses_nothing() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(3, 2).await;
    // For a moment: whoever is refused asks again.
    service.table.refuse("ThrottlingException", &[], 3);
    service.table.refuse("ProvisionedThroughputExceededException", &["PutItem", "TransactWriteItems"], 3);
    service.run_until_quiet().await;
    assert_eq!(service.table.take_refused(), 6);
    service.assert_exactly_once(&riders);

    // For longer than anybody is patient: each end says so, and everything is made up for.
    for rider in &riders {
        service.new_rides(rider, 2);
    }
    service.pass_minutes(1).await;
    service.table.refuse("ProvisionedThroughputExceededException", &["PutItem", "TransactWriteItems"], 100_000);
    let Answer::Failed(error) = service.tick().await else { panic!("the cursor could not be claimed") };
    assert_eq!(error["errorType"], "ledger_unavailable");
    assert!(service.table.take_refused() > 0);
    service.tick().await.done();
    let batch = service.receive().await;
    assert!(!batch.is_empty());
    service.table.refuse("ThrottlingException", &["PutItem", "TransactWriteItems"], 100_000);
    let answer = service.sink.invoke(&event(&batch)).await;
    assert!(service.table.take_refused() > 0);
    let failed = answer.clone().done()["batchItemFailures"].as_array().expect("failures").len();
    assert_eq!(failed, batch.len(), "each record goes back");
    service.settle(&batch, &answer).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_expire_fail_a_tick_and_a_batch_and_no_more() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 2).await;
    // The process is up, and has made its first call.
    assert!(matches!(service.poller.invoke(&json!({})).await, Answer::Failed(_)));
    service.table.refuse("ExpiredTokenException", &[], 1);
    let Answer::Failed(error) = service.tick().await else { panic!("the first request was refused") };
    assert_eq!(error["errorType"], "ledger_unavailable");
    assert!(error["errorMessage"].as_str().expect("a message").contains("credentials"), "{error}");
    assert_eq!(service.table.take_refused(), 1, "it is not asked again with the same credentials");
    service.tick().await.done();

    let batch = service.receive().await;
    service.table.refuse("ExpiredTokenException", &["PutItem"], 1);
    let answer = service.sink.invoke(&event(&batch)).await;
    assert_eq!(answer.clone().done()["batchItemFailures"].as_array().expect("failures").len(), 1);
    service.settle(&batch, &answer).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sinks_that_fight_over_the_same_messages_send_once() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 3).await;
    let mut sinks = Vec::new();
    for _ in 0..4 {
        sinks.push(Function::new("sink", service.environment.clone()).await);
    }
    // Uploads take a while, so that the others come while one is at work.
    service.world().add_fault(FaultRule::new(Fault::Slow { ms: 150 }).on(Role::Intervals).route("upload"));
    service.tick().await.done();
    service.table.take_conflicts();
    let mut storms = 0;
    loop {
        let batch = service.receive().await;
        if batch.is_empty() {
            break;
        }
        let event = event(&batch);
        for _ in 0..3 {
            storms += 1;
            let answers = join_all(sinks.iter().map(|sink| sink.invoke(&event))).await;
            for answer in answers {
                assert_eq!(answer, Answer::Done(json!({ "batchItemFailures": [] })), "losing is no failure");
            }
        }
        service.settle(&batch, &Answer::Done(json!({ "batchItemFailures": [] }))).await;
    }
    assert!(storms >= 6, "{storms}");
    assert!(service.table.take_conflicts() > 0, "they did fight over a record");
    service.world().clear_faults();
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
    assert_eq!(service.world().requests(Role::Intervals, Some("upload")), 6, "each file was sent once");
    assert!(service.world().webhook_deliveries().iter().all(|delivery| delivery.attempts == 1));
    assert!(sinks.iter().all(|sink| !sink.said().contains("panicked")));
}
