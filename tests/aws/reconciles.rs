//! What no poll sees: a reconcile finds it through the built functions, and mends it without sending anything twice.

use fitbridge_core::{
    domain::{ActivityState, Delivery, DeliveryState, Found, Report},
    ports::{Change, Expect, Key, Write},
};
use fitbridge_simulator::{Fault, FaultRule, Region, RideId, Role};
use jiff::SignedDuration;
use serde_json::json;

use crate::{riders::Rider, service::Service};

/// More than a page of the list has.
const RIDES: usize = 24;

impl Service {
    /// A ride is uploaded that is older than all others, and an old one is deleted: the number of rides and page 1 stay
    /// as they were. Says which came.
    fn upload_late(&self, rider: &Rider) -> RideId {
        let rides = self.world().rides(Region::Global, rider.member);
        let oldest = rides.iter().rfind(|ride| !ride.deleted).expect("a ride");
        self.world().delete_ride(Region::Global, oldest.ride_id).expect("it is deleted");
        let start = oldest.start - SignedDuration::from_hours(72);
        self.world().add_late_upload(Region::Global, rider.member, start).expect("a ride")
    }

    /// Two rides whose deliveries to Intervals.icu are lost before anything was sent: of one the record, of the other
    /// only that it is due.
    async fn lose_two_deliveries(&self, rider: &Rider) {
        let away = Fault::Status { code: 503, retry_after: None };
        self.world().add_fault(FaultRule::new(away).on(Role::Intervals).route("upload"));
        self.new_rides(rider, 2);
        self.pass_minutes(1).await;
        self.tick().await.done();
        self.pump().await;
        self.world().clear_faults();
        let all = self.engine.store().all::<Delivery>(&rider.user, "delivery/").await.expect("deliveries");
        let retrying = |delivery: &Delivery| matches!(delivery.state, DeliveryState::Retrying { .. });
        let lost: Vec<_> = all.into_iter().filter(|delivery| retrying(&delivery.doc)).collect();
        let [record, due] = &lost[..] else { panic!("two that are tried again: {lost:?}") };
        let delete = Write {
            key: Key::delivery(&rider.user, &record.doc.sink, &record.doc.content),
            expect: Expect::Version(record.version),
            change: Change::Delete,
        };
        let writes = vec![delete, due.replace(&due.doc, None).expect("a write")];
        assert!(self.engine.store().commit(writes).await.expect("a ledger"));
    }

    /// The last report of a rider's source, whose reconcile is over.
    async fn report(&self, rider: &Rider) -> Report {
        let source = self.engine.find_connection(&rider.user, "igpsport").await.expect("it is connected").doc;
        let progress = source.source().expect("a source");
        assert!(progress.reconcile.is_none(), "{:?}", progress.reconcile);
        progress.report.as_deref().cloned().expect("a report")
    }

    /// Asserts that every ride that ever was upstream is at both sinks exactly once, and in the archive, byte for byte.
    async fn assert_all_there(&self, rider: &Rider) {
        let world = self.world();
        let rides = world.rides(Region::Global, rider.member);
        let mut upstream = Vec::new();
        for ride in &rides {
            upstream.push(world.ride_sha256(Region::Global, ride.ride_id).expect("a file"));
        }
        upstream.sort();
        let mut there: Vec<_> = world.activities(&rider.athlete).into_iter().filter_map(|one| one.sha256).collect();
        there.sort();
        assert_eq!(there, upstream, "at Intervals.icu");
        let mut sent = world.webhook_deliveries();
        sent.retain(|delivery| !delivery.id.starts_with("ping_"));
        let mut there: Vec<_> = sent.into_iter().map(|delivery| delivery.sha256).collect();
        there.sort();
        assert_eq!(there, upstream, "at the webhook");
        let mut kept = Vec::new();
        for ride in self.rides(rider).await {
            let ActivityState::Fetched { content, .. } = ride.state else { panic!("{ride:?}") };
            let bytes = self.engine.ports().archive.open(&rider.user, content).await.expect("it is in the archive");
            kept.push(fitbridge_tests::sha256(&bytes));
        }
        kept.sort();
        assert_eq!(kept, upstream, "in the archive");
        self.assert_rights();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconcile_finds_what_came_late_and_mends_what_was_lost() {
    let Some(service) = Service::start(&[]).await else { return };
    let rider = service.add_rider("ada", RIDES).await;
    service.run_until_quiet().await;
    service.assert_all_there(&rider).await;

    for night in [false, true] {
        service.lose_two_deliveries(&rider).await;
        let rides = service.rides(&rider).await;
        if !night {
            // A night reads a file in 28; who asks has all of them read.
            let ActivityState::Fetched { content, .. } = rides[5].state else { panic!("{:?}", rides[5]) };
            service.engine.ports().archive.delete(&rider.user, content).await.expect("it is gone");
        }
        let late = service.upload_late(&rider);
        service.end_leases().await;
        service.pass_minutes(1).await;
        service.run_until_quiet().await;
        let known = service.rides(&rider).await;
        assert_eq!(known.len(), rides.len(), "no poll sees it");
        assert!(known.iter().all(|ride| ride.rider_id() != late.to_string()), "no poll sees it");

        if night {
            service.let_the_night_come(&rider.source).await;
        } else {
            let begun = service.admin(&["reconcile", "ada"], "").await.exits(0);
            assert_eq!(begun.summary()["changed"], 1, "{begun}");
            let again = service.admin(&["reconcile", "ada", "igpsport"], "").await.exits(0);
            assert_eq!(again.of_type("reconcile")[0]["new"], json!(false), "{again}");
        }
        service.pass_minutes(1).await;
        service.run_until_quiet().await;
        let report = service.report(&rider).await;
        let Found { late: found, gone, repaired, missing, .. } = report.found;
        let repairs = if night { 2 } else { 3 };
        assert_eq!((report.asked, found, repaired, missing), (!night, 1, repairs, 0), "{:?}", report.found);
        assert_eq!(
            gone,
            if night { 2 } else { 1 },
            "what was deleted upstream stays here, and is told: {:?}",
            report.found
        );
        service.assert_all_there(&rider).await;
        let shown = service.admin(&["users", "show", "ada"], "").await.exits(0);
        assert!(shown.text().contains("\"late\":1"), "{shown}");
    }
}
