//! What is upstream, and what arrived at each sink.

use fitbridge_simulator::{Region, RideId};

use crate::bench::Bench;
use crate::sha256;
use crate::tree::tree_of;

impl Bench {
    /// SHA-256 of the files of all rides that are upstream now, sorted, each file once.
    #[must_use]
    pub fn upstream(&self) -> Vec<String> {
        let rides = self.world().rides(Region::Global, self.member);
        let mut found: Vec<_> =
            rides.iter().filter(|ride| !ride.deleted).map(|ride| self.sha_of(ride.ride_id)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// SHA-256 of a ride's file upstream.
    ///
    /// # Panics
    /// When there is no such ride.
    #[must_use]
    pub fn sha_of(&self, ride: RideId) -> String {
        self.world().ride_sha256(Region::Global, ride).expect("a ride's file")
    }

    /// SHA-256 of the file behind every activity that was uploaded at Intervals.icu, sorted.
    #[must_use]
    pub fn at_intervals(&self) -> Vec<String> {
        let activities = self.world().activities(&self.athlete);
        let mut found: Vec<_> = activities
            .into_iter()
            .filter(|activity| !activity.deleted)
            .filter_map(|activity| activity.sha256)
            .collect();
        found.sort();
        found
    }

    /// SHA-256 of every file in the folder sink, sorted. Unfinished files are hidden under a name of their
    /// own, and a process that is killed may leave one.
    #[must_use]
    pub fn in_folder(&self) -> Vec<String> {
        let tree = tree_of(&self.rides_folder());
        let unfinished = |name: &str| name.rsplit('/').next().is_some_and(|name| name.starts_with(".fitbridge-"));
        let files = tree.iter().filter(|(name, _)| !name.ends_with('/') && !unfinished(name));
        let mut found: Vec<_> = files.map(|(_, bytes)| sha256(bytes)).collect();
        found.sort();
        found
    }

    /// SHA-256 of the body of every webhook with a ride that was received under an id of its own, sorted.
    ///
    /// # Panics
    /// When one id came with two bodies, or one was refused.
    #[must_use]
    pub fn at_webhook(&self) -> Vec<String> {
        for attempt in self.world().webhook_attempts() {
            assert_eq!(attempt.refused, None, "{attempt:?}");
        }
        let mut deliveries = self.world().webhook_deliveries();
        // Connecting asks whether somebody is there.
        deliveries.retain(|delivery| !delivery.id.starts_with("ping_"));
        assert!(deliveries.iter().all(|delivery| delivery.same_body), "{deliveries:?}");
        let mut found: Vec<_> = deliveries.into_iter().map(|delivery| delivery.sha256).collect();
        found.sort();
        found
    }

    /// Asserts that exactly these files are in every sink, each once, byte for byte, and that the world is
    /// as it must be.
    ///
    /// # Panics
    /// When they are not.
    #[track_caller]
    pub fn assert_in_every_sink(&self, mut wanted: Vec<String>) {
        wanted.sort();
        let sinks =
            [("Intervals.icu", self.at_intervals()), ("folder", self.in_folder()), ("webhook", self.at_webhook())];
        for (sink, found) in sinks {
            let missing: Vec<_> = wanted.iter().filter(|sha| !found.contains(sha)).collect();
            assert!(missing.is_empty(), "{sink} lacks {} of {}: {missing:?}", missing.len(), wanted.len());
            let strange: Vec<_> = found.iter().filter(|sha| !wanted.contains(sha)).collect();
            assert!(strange.is_empty(), "{sink} has what it should not: {strange:?}");
            assert!(found.len() == wanted.len(), "{sink} has {} for {} files", found.len(), wanted.len());
        }
        self.assert_harmless();
    }

    /// Asserts that every ride upstream is in every sink exactly once.
    ///
    /// # Panics
    /// When they are not.
    #[track_caller]
    pub fn assert_exactly_once(&self) {
        self.assert_in_every_sink(self.upstream());
    }

    /// Asserts that no bearer reached the file host and nothing a forbidden address.
    ///
    /// # Panics
    /// When something did.
    #[track_caller]
    pub fn assert_harmless(&self) {
        assert_eq!(self.world().bearer_at_file_host(), 0, "a bearer at the file host");
        assert_eq!(self.world().trap_hits(), 0, "a forbidden address was reached");
    }
}
