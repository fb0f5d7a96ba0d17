//! Counting what a pass does, and showing how far it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use fitbridge_core::{
    Failure,
    domain::{Activity, ActivityId, ActivityState, Connection, ConnectionId, ContentId, Delivery, DeliveryState, How},
    engine::{Observer, Waiting},
};
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::duplicates::link_record;

/// The last state of everything that a pass touched.
#[derive(Debug, Default)]
struct Touched {
    rides: BTreeMap<ActivityId, Activity>,
    deliveries: BTreeMap<(ConnectionId, ContentId), Delivery>,
    /// Rides that were begun in this pass: seen for the first time, or let in by a wider history.
    begun: BTreeSet<ActivityId>,
}

/// Listens to a pass.
#[derive(Debug)]
pub(crate) struct Tally {
    since: Timestamp,
    touched: Mutex<Touched>,
    bar: ProgressBar,
}

/// What a pass comes to, in rides and in deliveries per sink.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Wanted for the first time: just seen, or let in by a wider history.
    pub new: usize,
    /// The same file had come by another inlet.
    pub duplicate: usize,
    /// Archived and linked to a ride that is the same, which stands for it.
    pub linked: usize,
    /// Seen for the first time and kept out by the chosen history.
    pub filtered: usize,
    /// Waiting for the rider's word at a sink.
    pub held: usize,
    /// Not where they should be, whatever comes of it later.
    pub failed: usize,
    /// By the sink's name.
    pub deliveries: BTreeMap<String, SinkCounts>,
}

/// Deliveries of one sink.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SinkCounts {
    /// Put there in this pass.
    pub created: usize,
    /// Found there in this pass.
    pub already_there: usize,
    /// Still to be tried.
    pub pending: usize,
    /// Given up, or waiting for a reconnect.
    pub failed: usize,
    /// Left out by the sink's rules in this pass.
    pub filtered: usize,
}

impl Tally {
    /// Counts from now on.
    pub(crate) fn new(since: Timestamp, bar: ProgressBar) -> Self {
        Self { since, touched: Mutex::default(), bar }
    }

    fn touched(&self) -> MutexGuard<'_, Touched> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The progress bar.
    pub(crate) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Adds what waits although this pass did not touch it.
    pub(crate) fn add_waiting(&self, waiting: &Waiting) {
        let mut touched = self.touched();
        for ride in &waiting.rides {
            touched.rides.entry(ride.id.clone()).or_insert_with(|| ride.clone());
        }
        for delivery in &waiting.deliveries {
            let key = (delivery.sink.clone(), delivery.content);
            touched.deliveries.entry(key).or_insert_with(|| delivery.clone());
        }
    }

    /// The counts; `sinks` are among them even where nothing happened.
    pub(crate) fn counts(&self, sinks: &[Connection]) -> Counts {
        let touched = self.touched();
        let mut counts = Counts::default();
        let names: BTreeMap<_, _> = sinks.iter().map(|sink| (&sink.id, sink.name.as_str())).collect();
        for name in names.values() {
            counts.deliveries.entry((*name).to_owned()).or_default();
        }
        let (mut held, mut failed) = (BTreeSet::new(), BTreeSet::new());
        for ride in touched.rides.values() {
            let first_seen = ride.first_seen_at >= self.since;
            match &ride.state {
                ActivityState::Duplicate { .. } => counts.duplicate += 1,
                ActivityState::Fetched { .. } if ride.link.is_some() => counts.linked += 1,
                ActivityState::Forgotten { .. } => {}
                ActivityState::Filtered { .. } => counts.filtered += usize::from(first_seen),
                state => {
                    counts.new += usize::from(first_seen || touched.begun.contains(&ride.id));
                    if state.failure().is_some() || state.stage().is_some() {
                        failed.insert(&ride.id);
                    }
                }
            }
        }
        for ((sink, _), delivery) in &touched.deliveries {
            let name = names.get(sink).map_or_else(|| sink.to_string(), |name| (*name).to_owned());
            let of_sink = counts.deliveries.entry(name).or_default();
            match &delivery.state {
                DeliveryState::Delivered { how: How::Created, .. } => of_sink.created += 1,
                DeliveryState::Delivered { how: How::AlreadyThere, .. } => of_sink.already_there += 1,
                DeliveryState::Held { .. } => {
                    held.insert(&delivery.activity);
                }
                DeliveryState::Skipped | DeliveryState::Withdrawn { .. } | DeliveryState::Accepted { .. } => {}
                DeliveryState::Filtered { .. } => of_sink.filtered += 1,
                state if state.is_open() => {
                    of_sink.pending += 1;
                    failed.insert(&delivery.activity);
                }
                _ => {
                    of_sink.failed += 1;
                    failed.insert(&delivery.activity);
                }
            }
        }
        (counts.held, counts.failed) = (held.len(), failed.len());
        counts
    }

    /// Every touched ride and delivery as a record.
    pub(crate) fn records(&self, sinks: &[Connection]) -> Vec<Value> {
        let touched = self.touched();
        let rides = touched.rides.values().map(ride_record);
        let deliveries = touched.deliveries.values().map(|delivery| {
            let sink = sinks.iter().find(|sink| sink.id == delivery.sink);
            delivery_record(delivery, sink.map_or(delivery.sink.as_str(), |sink| &sink.name))
        });
        rides.chain(deliveries).collect()
    }

    /// Failures by code, with how often each stands there, for people.
    pub(crate) fn failures(&self) -> BTreeMap<&'static str, (Failure, usize)> {
        let touched = self.touched();
        let rides = touched.rides.values().filter_map(|ride| ride.state.failure());
        let deliveries = touched.deliveries.values().filter_map(|delivery| delivery.state.failure());
        let mut failures = BTreeMap::new();
        for failure in rides.chain(deliveries) {
            failures.entry(failure.code.as_str()).or_insert_with(|| (failure.clone(), 0)).1 += 1;
        }
        failures
    }

    fn show(&self, touched: &Touched) {
        let done = |delivery: &&Delivery| !delivery.state.is_open();
        let delivered = touched.deliveries.values().filter(done).count();
        let fetched = touched.rides.values().filter(|ride| ride.state.stage().is_none()).count();
        self.bar.set_length(u64::try_from(touched.rides.len() + touched.deliveries.len()).unwrap_or(0));
        self.bar.set_position(u64::try_from(fetched + delivered).unwrap_or(0));
        self.bar.set_message(format!("{fetched} of {} rides fetched, {delivered} deliveries", touched.rides.len()));
    }
}

impl Observer for Tally {
    fn activity(&self, activity: &Activity) {
        let mut touched = self.touched();
        if activity.state == ActivityState::Discovered {
            touched.begun.insert(activity.id.clone());
        }
        touched.rides.insert(activity.id.clone(), activity.clone());
        if !self.bar.is_hidden() {
            self.show(&touched);
        }
    }

    fn delivery(&self, delivery: &Delivery) {
        let mut touched = self.touched();
        touched.deliveries.insert((delivery.sink.clone(), delivery.content), delivery.clone());
        if !self.bar.is_hidden() {
            self.show(&touched);
        }
    }
}

impl Counts {
    /// The summary line.
    pub(crate) fn record(&self) -> Value {
        let deliveries: serde_json::Map<_, _> = self
            .deliveries
            .iter()
            .map(|(name, of)| {
                let counts = json!({
                    "created": of.created,
                    "already_there": of.already_there,
                    "pending": of.pending,
                    "failed": of.failed,
                    "filtered": of.filtered,
                });
                (name.clone(), counts)
            })
            .collect();
        json!({
            "type": "summary",
            "new": self.new,
            "duplicate": self.duplicate,
            "linked": self.linked,
            "filtered": self.filtered,
            "held": self.held,
            "failed": self.failed,
            "deliveries": deliveries,
        })
    }
}

/// A ride as a record.
pub(crate) fn ride_record(ride: &Activity) -> Value {
    let failure = ride.state.failure();
    json!({
        "type": "ride",
        "ride": ride.rider_id(),
        "activity": ride.id,
        "state": ride.state.name(),
        "code": failure.map(|failure| failure.code.as_str()).or(match &ride.state {
            ActivityState::Filtered { rule } => Some(rule.as_str()),
            _ => None,
        }),
        "detail": failure.map(|failure| failure.detail.as_str()).filter(|detail| !detail.is_empty()),
        "title": ride.ride.title(),
        "date": ride.ride.local_date(),
        "start": ride.ride.start().map(|start| start.to_string()),
        "distance_m": ride.ride.distance_m(),
        "elapsed_s": ride.ride.elapsed_s(),
        "sha256": ride.state.content().map(|content| content.to_string()),
        "link": link_record(ride.link.as_ref()),
    })
}

/// A delivery as a record.
pub(crate) fn delivery_record(delivery: &Delivery, sink: &str) -> Value {
    let failure = delivery.state.failure();
    let filtered = match &delivery.state {
        DeliveryState::Filtered { why } => Some(why),
        _ => None,
    };
    let (remote_id, how) = match &delivery.state {
        DeliveryState::Delivered { remote_id, how, .. } => (remote_id.clone(), serde_json::to_value(how).ok()),
        _ => (None, None),
    };
    json!({
        "type": "delivery",
        "ride": delivery.rider_id(),
        "sink": sink,
        "activity": delivery.activity,
        "sha256": delivery.content.to_string(),
        "state": delivery.state.name(),
        "how": how,
        "remote_id": remote_id,
        "name": delivery.about.name,
        "code": failure.map(|failure| failure.code.as_str()).or(filtered.map(|why| why.rule.as_str())),
        "detail": failure
            .map(|failure| failure.detail.as_str())
            .filter(|detail| !detail.is_empty())
            .or(filtered.map(|why| why.sentence.as_str())),
        "attempts": delivery.attempts,
    })
}
