//! Trouble with what the service depends on: each rider and each sink for itself.

use fitbridge_aws::vault::{PerUserSecretVault, Recovery};
use fitbridge_core::{
    Code,
    domain::{ActivityState, DeliveryState},
    ports::SealedKey,
};
use fitbridge_simulator::{Fault, FaultRule, Role};

use crate::{runtime::Function, service::Service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_location_goes_back_to_the_poller() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(1, 2).await;
    let gone = Fault::Status { code: 404, retry_after: None };
    service.world().add_fault(FaultRule::new(gone).on(Role::Files).times(2));
    service.tick().await.done();
    let resolved = service.world().requests(Role::IgpsportGlobal, Some("detail"));
    service.pump().await;
    assert_eq!(service.world().requests(Role::IgpsportGlobal, Some("detail")), resolved, "the sink does not ask");
    // Without any wait: what the sink left is due at once.
    service.tick().await.done();
    assert_eq!(service.world().requests(Role::IgpsportGlobal, Some("detail")), 2 * resolved);
    service.pump().await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sinks_outage_delays_no_other_sink() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 2).await;
    let away = Fault::Status { code: 503, retry_after: None };
    service.world().add_fault(FaultRule::new(away).on(Role::Intervals).route("upload"));
    service.tick().await.done();
    service.pump().await;
    for rider in &riders {
        for delivery in service.deliveries(rider).await {
            match delivery.sink.as_str().starts_with("webhook") {
                true => assert!(matches!(delivery.state, DeliveryState::Delivered { .. }), "{delivery:?}"),
                false => assert!(matches!(delivery.state, DeliveryState::Retrying { .. }), "{delivery:?}"),
            }
        }
    }
    service.world().clear_faults();
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_was_deleted_pauses_its_rider_only_and_connecting_again_heals() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(3, 1).await;
    let prefix = service.environment.iter().find(|(name, _)| name == "FITBRIDGE_SECRET_PREFIX").expect("a prefix");
    let vault = PerUserSecretVault::new(service.clients.secrets.clone(), &prefix.1, Recovery::days(7));
    let key = SealedKey { user: riders[0].user.clone(), connection: riders[0].source.id.clone() };
    let delete = service.clients.secrets.delete_secret().secret_id(vault.name(&key));
    delete.recovery_window_in_days(7).send().await.expect("it is scheduled for deletion");

    service.tick().await.done();
    service.pump().await;
    service.assert_exactly_once(&riders[1..]);
    let paused = service.engine.find_connection(&riders[0].user, "igpsport").await.expect("it is there").doc;
    assert_eq!(paused.paused().map(|why| why.code), Some(Code::TokenMissing));

    service.connect_source(&riders[0].user, riders[0].member).await;
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_manager_being_away_pauses_nobody_and_loses_nothing() {
    let Some(mut service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 2).await;
    let mut without = service.environment.clone();
    without.push(("AWS_ENDPOINT_URL_SECRETS_MANAGER".to_owned(), "http://127.0.0.1:9".to_owned()));
    let (poller, sink) = (Function::new("poller", without.clone()).await, Function::new("sink", without).await);

    service.poller = poller;
    service.tick().await.done();
    assert_eq!(service.list_requests(), 2, "asked when they were connected, and not since");
    service.poller.said_with("vault_unavailable").await;
    service.poller = Function::new("poller", service.environment.clone()).await;
    service.pass_minutes(1).await;
    service.end_leases().await;
    service.tick().await.done();

    let working = std::mem::replace(&mut service.sink, sink);
    service.pump().await;
    for rider in &riders {
        let source = service.engine.find_connection(&rider.user, "igpsport").await.expect("it is there").doc;
        assert_eq!(source.paused(), None);
        let deliveries = service.deliveries(rider).await;
        let waits = deliveries.iter().filter(|delivery| matches!(delivery.state, DeliveryState::Retrying { .. }));
        assert_eq!((waits.count(), deliveries.len()), (4, 4), "{deliveries:?}");
    }
    service.sink = working;
    service.end_leases().await;
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_ride_delays_no_other() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 2).await;
    let broken = fitbridge_simulator::NewRide {
        file: fitbridge_simulator::FileSpec::Bytes(bytes_of("this is no FIT file at all")),
        ..fitbridge_simulator::NewRide::at(service.world().now())
    };
    service.world().add_ride(fitbridge_simulator::Region::Global, riders[0].member, &broken).expect("a ride");
    service.tick().await.done();
    service.pump().await;
    let states: Vec<_> = service.rides(&riders[0]).await.into_iter().map(|ride| ride.state).collect();
    assert_eq!(states.iter().filter(|state| matches!(state, ActivityState::Fetched { .. })).count(), 2, "{states:?}");
    for rider in &riders {
        let deliveries = service.deliveries(rider).await;
        let done = deliveries.iter().filter(|delivery| matches!(delivery.state, DeliveryState::Delivered { .. }));
        assert_eq!((done.count(), deliveries.len()), (4, 4), "{deliveries:?}");
    }
}

fn bytes_of(text: &'static str) -> axum::body::Bytes {
    axum::body::Bytes::from_static(text.as_bytes())
}
