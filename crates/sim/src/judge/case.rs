//! One rider's rides: whether each is where it should be, once and whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use fitbridge_core::{
    Code,
    domain::{
        Activity, ActivityId, ActivityState, ContentId, Delivery, DeliveryState, Integrity, LinkReason, Origin,
        Withdrawal,
    },
    ports::{Archive, ArchiveError},
    store::Store,
};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};

use super::accounts;
use crate::{
    asks::connection,
    clockwork::lock,
    riders::Rider,
    trouble::Fault,
    world::{Kind, Manner, Recorder, TrueRide, World, row_problem, sink_account},
};

/// One rider's things.
pub(super) struct Case<'a> {
    world: &'a World,
    rider: &'a Rider,
    rides: BTreeMap<ActivityId, Activity>,
    deliveries: Vec<Delivery>,
}

impl<'a> Case<'a> {
    pub(super) fn new(world: &'a World, rider: &'a Rider) -> Self {
        let store = Store::new(Arc::new(world.ledger.clone()));
        let rides = store.all::<Activity>(&rider.user, "activity/").now_or_never().and_then(Result::ok);
        let deliveries = store.all::<Delivery>(&rider.user, "delivery/").now_or_never().and_then(Result::ok);
        Self {
            world,
            rider,
            rides: rides.unwrap_or_default().into_iter().map(|ride| (ride.doc.id.clone(), ride.doc)).collect(),
            deliveries: deliveries.unwrap_or_default().into_iter().map(|delivery| delivery.doc).collect(),
        }
    }

    fn broken(&self, law: &'static str, what: impl std::fmt::Display) {
        self.world.story.broken(law, format!("{}: {what}", self.rider.user));
    }

    pub(super) fn judge(&self) {
        for account in accounts(self.rider) {
            if !connection(self.world, &self.rider.user, &account).is_some_and(|known| known.is_active()) {
                self.broken("I5", format!("{} is not connected", account.connection_id()));
            }
        }
        let truth = lock(&self.world.truth).accounts.get(self.rider.user.as_str()).map(|account| account.rides.clone());
        let source = self.rider.account.connection_id();
        for (id, ride) in truth.unwrap_or_default() {
            // A ride that waits to be uploaded while a page is read may never have come.
            if self.world.source.bytes(&self.rider.account, id).is_none() {
                continue;
            }
            match self.rides.get(&Origin::cloud_id(&source, id)) {
                None if ride.bad_until == i64::MAX => self.judge_row(&row_problem(id).digest),
                Some(known) => self.judge_ride(known, &ride),
                None => self.broken("I1", format!("ride {id} is upstream, but not known")),
            }
        }
        self.judge_states();
        self.judge_owners();
        self.judge_groups();
        self.judge_archive();
        self.judge_imports();
        for ride in self.rides.values().filter(|ride| ride.link.is_none()) {
            if let ActivityState::Fetched { content, .. } = ride.state {
                for manner in &self.rider.sinks {
                    self.judge_copies(*manner, ride, content);
                }
            }
        }
    }

    /// A row that could not be decoded is named, until it can be.
    fn judge_row(&self, digest: &str) {
        let source = connection(self.world, &self.rider.user, &self.rider.account);
        let problems = source.and_then(|source| source.source().map(|source| source.problems.clone()));
        if !problems.unwrap_or_default().iter().any(|problem| problem.digest == digest) {
            self.broken("I7", format!("{digest} cannot be decoded, and nobody is told"));
        }
    }

    /// A ride is in the state that its file deserves.
    fn judge_ride(&self, known: &Activity, ride: &TrueRide) {
        let is_kept = match &known.state {
            ActivityState::Fetched { integrity: Integrity::Salvageable { .. }, .. } => ride.whole_at > 0,
            ActivityState::Fetched { content, .. } | ActivityState::Duplicate { content, .. } => {
                *content == ride.file.content() || ride.whole_at > 0
            }
            _ => false,
        };
        let failure = known.state.failure().map(|failure| failure.code);
        let (is_forgotten, may_be) = self.world.wishes(&self.rider.user, |wishes| {
            (wishes.forgotten.contains_key(&known.id), wishes.may_be_forgotten(&known.id))
        });
        if matches!(known.state, ActivityState::Forgotten { .. }) {
            if !may_be {
                self.broken("I1", format!("ride {} is forgotten, and nobody wanted that", known.rider_id()));
            }
            return;
        }
        if is_forgotten {
            self.broken("I1", format!("ride {} was forgotten, and is {:?}", known.rider_id(), known.state));
        }
        let is_right = match (ride.file.kind, &known.state) {
            _ if ride.ready_at == i64::MAX => matches!(known.state, ActivityState::DeadLetter { .. }),
            // Now and then death comes after the outcome was written.
            (_, ActivityState::DeadLetter { .. }) if ride.kills => true,
            (Kind::Ride, _) => is_kept,
            (Kind::Settings, ActivityState::Rejected { .. }) => failure == Some(Code::NotActivity),
            (Kind::Junk, ActivityState::Rejected { .. }) => failure == Some(Code::FitBadHeader),
            _ => false,
        };
        if !is_right {
            let law = if ride.file.kind == Kind::Ride { "I1" } else { "I7" };
            self.broken(law, format!("ride {} ({:?}) is {:?}", known.rider_id(), ride.file.kind, known.state));
        }
    }

    /// Nothing is left hanging, and what failed says why.
    fn judge_states(&self) {
        for ride in self.rides.values() {
            if ride.state.stage().is_some() || ride.state == ActivityState::Backlog {
                self.broken("I5", format!("ride {} hangs in {}", ride.rider_id(), ride.state.name()));
            }
            if ride.state.failure().is_some_and(|failure| failure.code == Code::Bug) {
                self.broken("I7", format!("ride {} ends in {:?}", ride.rider_id(), ride.state));
            }
        }
        let sinks: Vec<_> = self.rider.sinks.iter().map(|manner| sink_account(*manner, &self.rider.user)).collect();
        for delivery in &self.deliveries {
            let is_wanted = sinks.iter().any(|account| account.connection_id() == delivery.sink);
            // What waited for a ride that is fetched again and is not to be had any more.
            let ride = self.rides.get(&delivery.activity).map(|ride| &ride.state);
            let is_lost = matches!(ride, Some(ActivityState::Rejected { .. } | ActivityState::DeadLetter { .. }));
            let waits = matches!(delivery.state, DeliveryState::Pending | DeliveryState::Blocked { .. });
            let is_wanted = is_wanted && !(is_lost && waits);
            if is_wanted && (delivery.state.is_open() || matches!(delivery.state, DeliveryState::Blocked { .. })) {
                self.broken("I5", format!("{} hangs in {}", delivery.about.external_id, delivery.state.name()));
            }
        }
    }

    /// One file is one ride, whatever inlets it came by.
    fn judge_owners(&self) {
        let mut owners = BTreeMap::<ContentId, Vec<&Activity>>::new();
        for ride in self.rides.values() {
            if let ActivityState::Fetched { content, .. } = ride.state {
                owners.entry(content).or_default().push(ride);
            }
        }
        for (content, owners) in owners.iter().filter(|(_, owners)| owners.len() > 1) {
            let ids: Vec<_> = owners.iter().map(|ride| ride.rider_id()).collect();
            self.broken("I1", format!("the same file {content} is several rides: {ids:?}"));
        }
    }

    /// Two recorders of one ride are one ride, of which one is sent; somebody else's way at the same time is another.
    fn judge_groups(&self) {
        for ride in self.rides.values() {
            let Some(link) = &ride.link else { continue };
            if self.rides.get(&link.to).is_none_or(|other| other.link.is_some() || !other.linked.contains(&ride.id)) {
                self.broken("I1", format!("nothing stands for the linked ride {}", ride.rider_id()));
            }
        }
        let untouched: Vec<_> = self.rides.values().filter_map(|ride| self.recorded(ride)).collect();
        for (index, (a, number, by)) in untouched.iter().enumerate() {
            for (b, other_number, other_by) in &untouched[index + 1..] {
                let is_one = number == other_number && by.rode_with(*other_by);
                let is_together = a.primary() == b.primary();
                let by_itself =
                    [a, b].iter().all(|ride| ride.link.as_ref().is_none_or(|link| link.why != LinkReason::Rider));
                if number == other_number && by_itself && is_one != is_together {
                    let (a, b) = (a.rider_id(), b.rider_id());
                    self.broken("I1", format!("rides {a} and {b}: linked is {is_together}, one ride is {is_one}"));
                }
            }
        }
    }

    /// A ride's number and recorder, where these decide which group it is in: not where the rider had a say, or a
    /// file was lost or came cut, or a clock was wrong.
    fn recorded<'b>(&self, ride: &'b Activity) -> Option<(&'b Activity, i64, Recorder)> {
        let ActivityState::Fetched { content, ref integrity, .. } = ride.state else { return None };
        let truth = lock(&self.world.truth);
        let file = truth.served.get(&(self.rider.user.clone(), content))?;
        let tomorrow = ride.first_seen_at + SignedDuration::from_hours(24);
        let is_whole = !matches!(integrity, Integrity::Salvageable { .. });
        let is_clear = is_whole
            && self.world.wishes(&self.rider.user, |wishes| wishes.is_untouched(&ride.id))
            && truth.damaged.is_empty()
            && !self.world.has_jumped.load(Ordering::Relaxed)
            && ride.ride.start().is_some_and(|start| start < tomorrow);
        is_clear.then_some((ride, file.number, file.recorder))
    }

    /// What is kept is in the archive as it came, and what is to be erased is not.
    fn judge_archive(&self) {
        let has = |content| self.world.archive.open(&self.rider.user, content).now_or_never();
        let files = self.rides.values().filter_map(|ride| match ride.state {
            ActivityState::Fetched { content, .. } | ActivityState::Duplicate { content, .. } => Some(content),
            _ => None,
        });
        let kept: BTreeSet<_> = files.collect();
        let damaged = lock(&self.world.truth).damaged.clone();
        for ride in self.rides.values() {
            let is_erased = self.world.wishes(&self.rider.user, |wishes| wishes.forgotten.get(&ride.id) == Some(&true));
            match ride.state {
                ActivityState::Fetched { content, .. } => match has(content) {
                    Some(Ok(_)) => {}
                    // Nobody has looked at it since.
                    Some(Err(ArchiveError::Damaged(_))) if damaged.contains(&content) => {}
                    other => self.broken("I2", format!("the file of ride {} is {other:?}", ride.rider_id())),
                },
                ActivityState::Forgotten { .. } if is_erased => {
                    for file in ride.files().filter(|file| !kept.contains(file)) {
                        match has(file) {
                            Some(Err(ArchiveError::Missing(_))) => {}
                            found => {
                                let found = found.map(|found| found.map(|_| "there"));
                                let what = format!("the file of ride {} was to be erased: {found:?}", ride.rider_id());
                                self.broken("gone", what);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// What was imported is a ride's.
    fn judge_imports(&self) {
        for content in lock(&self.rider.imported).iter() {
            if !self.rides.values().any(|ride| ride.files().any(|file| file == *content)) {
                self.broken("I1", format!("{content} was imported, and is no ride's"));
            }
        }
    }

    /// A ride is at a sink: with the file it has, or with one that it had before and that stays there.
    fn judge_copies(&self, manner: Manner, ride: &Activity, content: ContentId) {
        let sink = sink_account(manner, &self.rider.user).connection_id();
        let known: Vec<_> = ride
            .files()
            .filter_map(|file| {
                self.deliveries.iter().find(|delivery| delivery.sink == sink && delivery.content == file)
            })
            .collect();
        if known.iter().any(|delivery| self.is_as_told(manner, delivery)) {
            return;
        }
        let is_withdrawn = |delivery: &&Delivery| {
            let because = [Withdrawal::Forgotten, Withdrawal::Linked];
            because.into_iter().any(|because| delivery.state == DeliveryState::Withdrawn { because })
        };
        if self.world.wishes(&self.rider.user, |wishes| wishes.came_back(&ride.id)) && known.iter().all(is_withdrawn) {
            return;
        }
        let Some(delivery) = known.iter().rev().find(|delivery| delivery.content == content).or(known.last()) else {
            return self.broken("I1", format!("{content} has no delivery to {sink}"));
        };
        let copies = lock(&self.world.sinks).copies(manner, &self.rider.user, delivery.content);
        let what = format!("{} lies {copies} times at {sink} and is {:?}", delivery.about.external_id, delivery.state);
        self.broken("I1", what);
    }

    /// Whether a sink has what the delivery says, and the delivery ended as it should.
    fn is_as_told(&self, manner: Manner, delivery: &Delivery) -> bool {
        let (user, content) = (&self.rider.user, delivery.content);
        let host = lock(&self.world.sinks);
        let copies = host.copies(manner, user, content);
        let truth = lock(&self.world.truth);
        let may_be_elsewhere = manner == Manner::Readable && {
            let start = delivery.about.start.map(Timestamp::as_second);
            start.is_some_and(|start| host.is_elsewhere(user, crate::world::number_at(start)))
        };
        let (is_taken_away, is_again) = self.world.wishes(user, |wishes| {
            (wishes.taken_away.contains(&(manner, content)), wishes.is_again(&delivery.activity))
        });
        // An earlier file of the ride is known by the same id.
        let is_known_by_id = copies == 0 && is_again && host.has_id(manner, user, &delivery.about.external_id);
        let has_jumped = self.world.has_jumped.load(Ordering::Relaxed);
        let most_attempts = u64::try_from(self.world.policy.delivery_backoff.len()).unwrap_or(u64::MAX);
        match &delivery.state {
            DeliveryState::Delivered { .. } => {
                copies == 1 || is_known_by_id || (copies == 0 && is_taken_away) || (copies > 1 && has_jumped)
            }
            DeliveryState::Held { .. } | DeliveryState::Skipped => may_be_elsewhere && (copies == 0 || is_again),
            DeliveryState::Rejected { .. } => {
                copies == 0 && (truth.unwanted.contains(&content) || truth.mended.contains(&content))
            }
            DeliveryState::DeadLetter { failure } => {
                // Chance may kill each of its workers (that they were so many is judged when it is given up), and one that
                // is killed may have sent it.
                let died_often = || self.world.trouble.count(Fault::Crash) > most_attempts;
                let is_deadly = copies == 0 && truth.deadly.contains(&content);
                is_deadly || (failure.code == Code::AttemptsUsedUp && copies <= 1 && died_often())
            }
            _ => false,
        }
    }
}
