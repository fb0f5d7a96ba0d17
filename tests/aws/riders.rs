//! Riders of the service: how they join, and what has come of their rides.

use fitbridge_core::{
    domain::{Activity, Connection, Delivery, UserId},
    engine::{connect::Wish, secrets::SourceSecret},
};
use fitbridge_simulator::{AthleteId, MemberId, NewAthlete, NewMember, Region, RideBatch};
use futures::{StreamExt, stream};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::service::{Service, WEBHOOK_SECRET};

/// A rider with an account at iGPSport, one at Intervals.icu, and a webhook.
#[derive(Debug, Clone)]
pub(crate) struct Rider {
    pub(crate) user: UserId,
    pub(crate) member: MemberId,
    pub(crate) athlete: AthleteId,
    pub(crate) source: Connection,
}

impl Service {
    /// Riders with so many rides each, connected to everything.
    pub(crate) async fn add_riders(&self, count: usize, rides: usize) -> Vec<Rider> {
        let riders = (0..count).map(async |number| self.add_rider(&format!("rider-{number:03}"), rides).await);
        stream::iter(riders).buffered(8).collect().await
    }

    /// One rider.
    pub(crate) async fn add_rider(&self, name: &str, rides: usize) -> Rider {
        let world = self.world();
        let member = world.add_member(NewMember::default()).expect("a member");
        world.add_rides(Region::Global, member, &RideBatch::small(rides)).expect("rides");
        let (athlete, key) = world.add_athlete(NewAthlete::default());
        let user = UserId::new(name).expect("a name that does");
        let source = self.connect_source(&user, member).await;
        let secret = fitbridge_sinks::intervals::api_key_secret(&SecretString::from(key));
        self.connect_sink(&user, "intervals", json!({}), &secret).await;
        let secret = fitbridge_sinks::webhook::sealed_secret(&SecretString::from(WEBHOOK_SECRET)).expect("a secret");
        self.connect_sink(&user, "webhook", json!({ "url": self.simulator.webhook_url() }), &secret).await;
        Rider { user, member, athlete, source }
    }

    /// Connects a member's rides with a fresh token.
    pub(crate) async fn connect_source(&self, user: &UserId, member: MemberId) -> Connection {
        let token = SecretString::from(self.world().token(Region::Global, member).expect("a token"));
        let found = self.engine.ports().source.identify(&token, Some("global")).await.expect("an answer");
        let wish = Wish { user: user.clone(), name: "igpsport".into(), history: None };
        let secret = SourceSecret { token, login: None };
        let source = self.engine.connect_source(&wish, &found[0], &secret).await.expect("it is connected");
        self.skip_the_night(&source).await;
        source
    }

    /// Connects a sink, or renews it with other settings.
    pub(crate) async fn connect_sink(&self, user: &UserId, service: &str, settings: Value, secret: &SecretString) {
        let service = fitbridge_core::domain::Service::new(service).expect("a service");
        let sink = &self.engine.ports().sinks[&service];
        let identity = sink.check(&settings, Some(secret)).await.expect("an account");
        let wish = Wish { user: user.clone(), name: service.to_string(), history: None };
        self.engine.connect_sink(&wish, &identity, Some(secret)).await.expect("it is connected");
    }

    /// A rider's rides.
    pub(crate) async fn rides(&self, rider: &Rider) -> Vec<Activity> {
        let all = self.engine.store().all::<Activity>(&rider.user, "activity/").await.expect("rides");
        all.into_iter().map(|stored| stored.doc).collect()
    }

    /// A rider's deliveries.
    pub(crate) async fn deliveries(&self, rider: &Rider) -> Vec<Delivery> {
        let all = self.engine.store().all::<Delivery>(&rider.user, "delivery/").await.expect("deliveries");
        all.into_iter().map(|stored| stored.doc).collect()
    }

    /// So many more rides.
    pub(crate) fn new_rides(&self, rider: &Rider, count: usize) {
        self.world().add_rides(Region::Global, rider.member, &RideBatch::small(count)).expect("rides");
    }

    /// Asserts that every ride of these riders is at Intervals.icu exactly once, byte for byte; their hashes.
    #[track_caller]
    pub(crate) fn assert_at_intervals(&self, riders: &[Rider]) -> Vec<String> {
        let world = self.world();
        let mut all = Vec::new();
        for rider in riders {
            let rides = world.rides(Region::Global, rider.member);
            let sha = |ride: fitbridge_simulator::RideId| world.ride_sha256(Region::Global, ride).expect("a file");
            let mut upstream: Vec<_> =
                rides.iter().filter(|ride| !ride.deleted).map(|ride| sha(ride.ride_id)).collect();
            let there = world.activities(&rider.athlete).into_iter().filter(|activity| !activity.deleted);
            let mut there: Vec<_> = there.filter_map(|activity| activity.sha256).collect();
            upstream.sort();
            there.sort();
            assert_eq!(there, upstream, "{} at Intervals.icu", rider.user);
            all.extend(upstream);
        }
        all
    }

    /// Asserts that every ride of these riders is at both sinks exactly once, byte for byte, and that no
    /// bearer went astray and no secret was printed.
    #[track_caller]
    pub(crate) fn assert_exactly_once(&self, riders: &[Rider]) {
        let world = self.world();
        self.assert_rights();
        let mut all = self.assert_at_intervals(riders);
        let mut deliveries = world.webhook_deliveries();
        deliveries.retain(|delivery| !delivery.id.starts_with("ping_"));
        assert!(deliveries.iter().all(|delivery| delivery.same_body), "{deliveries:?}");
        let mut there: Vec<_> = deliveries.into_iter().map(|delivery| delivery.sha256).collect();
        all.sort();
        there.sort();
        assert_eq!(there, all, "at the webhooks");
        assert_eq!((world.bearer_at_file_host(), world.trap_hits()), (0, 0));
        for said in [self.poller.said(), self.sink.said()] {
            assert!(!said.contains("eyJ") && !said.contains(WEBHOOK_SECRET.trim_start_matches("whsec_")), "{said}");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}
