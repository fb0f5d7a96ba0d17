//! A bad day: a tenth of all requests goes wrong, a function stands still for longer than its leases, and the clock
//! of its host is wrong.

use std::{sync::atomic::Ordering, time::Duration};

use fitbridge_simulator::{Fault, FaultRule, Role};
use fitbridge_tests::{MovedClock, one_in_ten_goes_wrong, struck};

use crate::{
    queue::event,
    riders::Rider,
    runtime::{Answer, Function},
    service::Service,
};

impl Service {
    /// How many rides have arrived at both sinks, as the ledger has it.
    async fn arrived(&self, riders: &[Rider]) -> usize {
        let mut arrived = 0;
        for rider in riders {
            let deliveries = self.deliveries(rider).await;
            arrived += deliveries.iter().filter(|delivery| delivery.state.name() == "delivered").count();
        }
        arrived / 2
    }

    /// One minute of the schedule with all that follows, at the end of which nothing waits or is claimed any more.
    async fn bad_minute(&self) {
        let _ = self.tick().await;
        self.pump().await;
        self.end_leases().await;
        self.end_breakers().await;
        self.pass_minutes(1).await;
    }

    async fn wait_for(&self, role: Role, route: &'static str, requests: u64) {
        while self.world().requests(role, Some(route)) < requests {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_while_a_tenth_of_all_requests_goes_wrong() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(6, 20).await;
    one_in_ten_goes_wrong(service.world());
    for _ in 0..60 {
        service.bad_minute().await;
        if service.arrived(&riders).await == 120 && service.open_rows().await.is_empty() {
            break;
        }
    }
    service.assert_exactly_once(&riders);
    let routes = struck(service.world());
    for route in ["igpsport-global detail", "files file", "intervals upload", "webhook receive"] {
        let (requests, wrong) = routes.get(route).copied().unwrap_or_default();
        assert!(requests >= 120 && wrong >= 1, "{route}: {wrong} of {requests}: {routes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_stands_still_while_another_does_its_records_doubles_nothing_afterwards() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(1, 4).await;
    // Fetched first, so that the batch is one of deliveries.
    service.tick().await.done();
    let batch = service.receive().await;
    let fetched = service.sink.invoke(&event(&batch)).await;
    service.settle(&batch, &fetched).await;
    let batch = service.receive().await;
    assert!(!batch.is_empty(), "deliveries were handed over");
    let slow = FaultRule::new(Fault::Slow { ms: 1000 }).on(Role::Intervals).route("upload");
    service.world().add_fault(slow);

    let other = Function::new("sink", service.environment.clone()).await;
    let records = event(&batch);
    let (late, again) = tokio::join!(service.sink.invoke(&records), async {
        service.wait_for(Role::Intervals, "upload", 1).await;
        service.sink.signal("-STOP");
        // What it had sent is there by then; what it holds is another's now.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        service.end_leases().await;
        let again = other.invoke(&records).await;
        service.sink.signal("-CONT");
        again
    });
    assert!(matches!((&late, &again), (Answer::Done(_), Answer::Done(_))), "{late:?} {again:?}");
    service.settle(&batch, &again).await;
    service.world().clear_faults();
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_that_stands_still_while_another_takes_its_tick_over_harms_nothing_afterwards() {
    let Some(service) = Service::start(&[("FITBRIDGE_REQUESTS_PER_SECOND", "20")]).await else { return };
    let riders = service.add_riders(8, 2).await;
    let before = service.list_requests();
    let slow = FaultRule::new(Fault::Slow { ms: 500 }).on(Role::IgpsportGlobal).route("list").skip(3);
    service.world().add_fault(slow);
    let shard = serde_json::json!({ "shard": 0 });
    let other = Function::new("poller", service.environment.clone()).await;
    let (late, next) = tokio::join!(service.poller.invoke(&shard), async {
        service.wait_for(Role::IgpsportGlobal, "list", before + 4).await;
        service.poller.signal("-STOP");
        tokio::time::sleep(Duration::from_millis(1000)).await;
        service.world().clear_faults();
        // The claim of its tick ends with its time.
        service.pass_minutes(0).await;
        service.end_leases().await;
        let next = other.invoke(&shard).await;
        service.poller.signal("-CONT");
        next
    });
    assert!(matches!(next, Answer::Done(_)), "{next:?}");
    assert!(matches!(late, Answer::Done(_) | Answer::Failed(_)), "{late:?}");
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
    // And the schedule goes on.
    service.new_rides(&riders[0], 1);
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_with_wrong_clocks_lose_and_double_nothing() {
    const HOUR: i64 = 3600;
    let Some(mut service) = Service::start(&[]).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let Some((clock, variables)) = MovedClock::of(folder.path().join("clock")) else { return };
    let mut environment = service.environment.clone();
    environment.extend(variables.map(|(name, value)| (name.to_owned(), value)));
    service.poller = Function::new("poller", environment.clone()).await;
    service.sink = Function::new("sink", environment).await;
    let riders = service.add_riders(3, 2).await;
    for (number, ahead) in [0, HOUR, 0, 24 * HOUR, 0, -HOUR, 0].into_iter().enumerate() {
        clock.set(ahead);
        for function in [&service.poller, &service.sink] {
            function.ahead_ms.store(ahead * 1000, Ordering::Relaxed);
        }
        if number > 0 {
            riders.iter().for_each(|rider| service.new_rides(rider, 1));
        }
        service.bad_minute().await;
        service.bad_minute().await;
    }
    service.run_until_quiet().await;
    let there = service.assert_at_intervals(&riders);
    assert_eq!(there.len(), 3 * (2 + 6));
    for said in [service.poller.said(), service.sink.said()] {
        assert!(!said.contains("panicked"), "{said}");
    }
}
