//! What riders said about their rides, and what may therefore lie where. The judge's own memory: the engine's
//! records are held against it.

use std::collections::{BTreeMap, BTreeSet};

use fitbridge_core::{
    domain::{Activity, ActivityId, ActivityState, ConnectionId, ContentId, Delivery},
    engine::forget::Forgot,
};

use crate::{clockwork::MINUTE, world::Manner};

/// What a rider takes back may still be done by whoever had it in hand, for so long; ms.
pub(crate) const UNDER_WAY: i64 = 30 * MINUTE;

/// A file that is to come to no sink any more.
#[derive(Debug)]
struct Gone {
    since: i64,
    /// The sinks that had it by then, or may have had it.
    sent: BTreeSet<ConnectionId>,
}

/// One rider's words. What is asked for may have been done whatever was answered; what is said to be done, is.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Rides that were asked to be forgotten.
    asked_to_forget: BTreeSet<ActivityId>,
    /// Rides that are forgotten, and whether their files are to be erased; not asked for again since.
    pub(crate) forgotten: BTreeMap<ActivityId, bool>,
    gone: BTreeMap<ContentId, Gone>,
    /// Rides that were asked to be sent again.
    again: BTreeSet<ActivityId>,
    /// Those of them that had been forgotten or left out: they may come to the sinks that are named, and to no other.
    came_back: BTreeSet<ActivityId>,
    /// Rides that the rider linked or split.
    regrouped: BTreeSet<ActivityId>,
    /// Copies that the rider took away at a sink, and has not been promised anew since.
    pub(crate) taken_away: BTreeSet<(Manner, ContentId)>,
    /// Rides from before this number are not wanted.
    pub(crate) not_before: Option<i64>,
    /// Whether a connection was ever removed.
    pub(crate) disconnected: BTreeSet<ConnectionId>,
    /// Since when quiet hours are kept, ms.
    pub(crate) quiet_since: Option<i64>,
    /// Whether all of the rider's channels stand since they were first set.
    pub(crate) lost_a_channel: bool,
    /// Whether the account was asked to be deleted, which may be done in part.
    pub(crate) is_leaving: bool,
    /// Since when the account is deleted, ms.
    pub(crate) deleted_at: Option<i64>,
}

impl Wishes {
    /// A ride is asked to be forgotten.
    pub(crate) fn asks_to_forget(&mut self, ride: &ActivityId) {
        self.asked_to_forget.insert(ride.clone());
    }

    /// A ride is forgotten.
    pub(crate) fn forgot(&mut self, forgot: &Forgot, erase: bool, now: i64) {
        let ride = &forgot.ride;
        let before = self.forgotten.get(&ride.id).copied().unwrap_or(false);
        self.forgotten.insert(ride.id.clone(), before || erase);
        // The file of one that is a duplicate is another ride's.
        if matches!(ride.state, ActivityState::Forgotten { file: None, .. }) && ride.earlier.is_empty() {
            return;
        }
        for file in ride.files() {
            let sent = forgot.sent.iter().filter(|delivery| delivery.content == file);
            let sent: BTreeSet<_> = sent.map(|delivery| delivery.sink.clone()).collect();
            let gone = self.gone.entry(file).or_insert(Gone { since: now, sent: BTreeSet::new() });
            gone.sent.extend(sent);
        }
    }

    /// A ride is asked to be sent again, whatever was said of it before.
    pub(crate) fn asks_again(&mut self, ride: &Activity) {
        self.again.insert(ride.id.clone());
        let may_be_left_out = matches!(ride.state, ActivityState::Filtered { .. } | ActivityState::Backlog);
        if self.may_be_forgotten(&ride.id) || may_be_left_out {
            self.came_back.insert(ride.id.clone());
        }
        self.forgotten.remove(&ride.id);
        for file in ride.files() {
            self.gone.remove(&file);
        }
    }

    /// Deliveries of a ride were begun anew: what the rider took away is to be there again.
    pub(crate) fn sent_again(&mut self, begun: &[Delivery]) {
        for delivery in begun.iter().filter(|delivery| delivery.state.is_open()) {
            self.taken_away.retain(|(manner, content)| {
                *content != delivery.content || !delivery.sink.as_str().starts_with(manner.service().as_str())
            });
        }
    }

    /// The rider linked rides, or took one out of its group.
    pub(crate) fn regroups(&mut self, rides: &[ActivityId]) {
        self.regrouped.extend(rides.iter().cloned());
    }

    /// Whether a ride may be a tombstone.
    pub(crate) fn may_be_forgotten(&self, ride: &ActivityId) -> bool {
        self.asked_to_forget.contains(ride)
    }

    /// Whether a ride was ever asked to be sent again.
    pub(crate) fn is_again(&self, ride: &ActivityId) -> bool {
        self.again.contains(ride)
    }

    /// Whether a ride was sent again after it had been forgotten, or may have been left out.
    pub(crate) fn came_back(&self, ride: &ActivityId) -> bool {
        self.came_back.contains(ride)
    }

    /// Whether the rider said nothing of a ride that would change which of its group is sent.
    pub(crate) fn is_untouched(&self, ride: &ActivityId) -> bool {
        ![&self.asked_to_forget, &self.again, &self.regrouped].into_iter().any(|rides| rides.contains(ride))
    }

    /// Since when a file must not come to a sink, in minutes, where that is so.
    pub(crate) fn is_gone(&self, content: ContentId, sink: &ConnectionId, now: i64) -> Option<i64> {
        let gone = self.gone.get(&content).filter(|gone| !gone.sent.contains(sink))?;
        (gone.since + UNDER_WAY < now).then(|| (now - gone.since) / MINUTE)
    }
}
