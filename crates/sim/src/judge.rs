//! The last day: whether every promise was kept.

use std::{collections::BTreeMap, sync::Arc};

use fitbridge_core::{
    Code,
    domain::{
        Activity, ActivityId, ActivityState, BackfillPhase, Connection, ContentId, Delivery, DeliveryState, Integrity,
        Origin, Shard, UserId,
    },
    ports::{Key, PollClass},
    store::Store,
};
use futures::{FutureExt, lock::Mutex as AsyncMutex};
use jiff::Timestamp;

use crate::{
    clockwork::lock,
    riders::{Rider, connection},
    world::{Kind, Manner, TrueRide, World, sink_account},
};

/// What still has to be done, in a few words each; nothing once the world is quiet.
pub(crate) fn what_is_left(world: &World, riders: &[Arc<AsyncMutex<Rider>>], shards: u16) -> Vec<String> {
    let mut left = Vec::new();
    world.ledger.settle();
    for shard in (0..shards).map(Shard) {
        let due = fitbridge_core::ports::Ledger::due(&world.ledger, shard, Timestamp::MAX, 100).now_or_never();
        let due = due.and_then(Result::ok).unwrap_or_default();
        let due = due.iter().filter(|row| !only_warns(world, &row.key));
        left.extend(due.take(3).map(|row| format!("{} is due at {}", row.key.path, row.at)));
    }
    if world.messages.next_at().is_some() {
        left.push("a message".into());
    }
    for rider in riders {
        let Some(rider) = rider.try_lock() else {
            left.push("a rider is busy".into());
            continue;
        };
        left.extend(rider.asked.iter().map(|ask| format!("{} asks for {ask:?}", rider.user)));
        for account in accounts(&rider) {
            if connection(world, &rider.user, &account).is_some_and(|known| known.paused().is_some()) {
                left.push(format!("{} is paused", account.connection_id()));
            }
        }
    }
    left
}

/// Whether a connection only waits for the moment to warn of its token's end, which is days away.
fn only_warns(world: &World, key: &Key) -> bool {
    let record = fitbridge_core::ports::Ledger::get(&world.ledger, key).now_or_never();
    let body = record.and_then(Result::ok).flatten().map(|record| record.body).unwrap_or_default();
    let connection = serde_json::from_str::<Connection>(&body).ok().filter(|_| key.path.starts_with("connection/"));
    connection.is_some_and(|connection| !connection.has_work())
}

fn accounts(rider: &Rider) -> Vec<fitbridge_core::domain::RemoteAccount> {
    let source = rider.wants_source.then(|| rider.account.clone());
    source.into_iter().chain(rider.sinks.iter().map(|manner| sink_account(*manner, &rider.user))).collect()
}

/// Rides on the backlog of a source that works and has no backfill for them, and how often they were named in a row;
/// this is called once an hour. The next poll of the source begins one, so those that are named after the longest time
/// between two polls break a promise: nobody sees to them, until something else happens by chance to begin anew.
pub(crate) fn nobody_sees_to(
    world: &World,
    riders: &[Arc<AsyncMutex<Rider>>],
    before: &BTreeMap<(UserId, ActivityId), u16>,
) -> BTreeMap<(UserId, ActivityId), u16> {
    let most = PollClass::Cold.slots().div_ceil(60) + 1;
    let mut left = BTreeMap::new();
    for rider in riders {
        let Some(rider) = rider.try_lock() else { continue };
        let Some(source) = connection(world, &rider.user, &rider.account).filter(Connection::is_active) else {
            continue;
        };
        let progress = source.source().cloned().unwrap_or_default();
        let ended = progress.backfill.is_none_or(|backfill| backfill.phase == BackfillPhase::Done);
        if !ended || progress.resume.is_some() || progress.reconcile.is_some() {
            continue;
        }
        let rides = Store::new(Arc::new(world.ledger.clone())).all::<Activity>(&rider.user, "activity/").now_or_never();
        let rides = rides.and_then(Result::ok).unwrap_or_default().into_iter().map(|stored| stored.doc);
        for ride in rides.filter(|ride| ride.state == ActivityState::Backlog) {
            let key = (rider.user.clone(), ride.id);
            let times = before.get(&key).map_or(1, |times| times + 1);
            left.insert(key, times);
        }
    }
    for ((user, ride), _) in left.iter().filter(|(_, times)| **times > most) {
        world.story.broken("I1", format!("{ride} of {user} stands on the backlog, and its backfill is over"));
    }
    left
}

/// All that is checked once it is quiet.
pub(crate) fn last_day(world: &World, riders: &[Arc<AsyncMutex<Rider>>]) {
    for rider in riders {
        let Some(rider) = rider.try_lock() else { continue };
        Case::new(world, &rider).judge();
    }
}

/// One rider's things.
struct Case<'a> {
    world: &'a World,
    rider: &'a Rider,
    rides: BTreeMap<ActivityId, Activity>,
    deliveries: Vec<Delivery>,
}

impl<'a> Case<'a> {
    fn new(world: &'a World, rider: &'a Rider) -> Self {
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

    fn judge(&self) {
        for account in accounts(self.rider) {
            if !connection(self.world, &self.rider.user, &account).is_some_and(|known| known.is_active()) {
                self.broken("I5", format!("{} is not connected", account.connection_id()));
            }
        }
        let truth = lock(&self.world.truth).accounts.get(self.rider.user.as_str()).map(|account| account.rides.clone());
        let source = self.rider.account.connection_id();
        for (id, ride) in truth.unwrap_or_default() {
            // A ride that waits to be uploaded while a page is read may never have come.
            if self.world.source.bytes(&self.rider.account, id).is_some() {
                match self.rides.get(&Origin::cloud_id(&source, id)) {
                    Some(known) => self.judge_ride(known, &ride),
                    None => self.broken("I1", format!("ride {id} is upstream, but not known")),
                }
            }
        }
        self.judge_states();
        self.judge_owners();
        for content in self.wanted() {
            for manner in &self.rider.sinks {
                self.judge_copies(*manner, content);
            }
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

    /// Files that belong at every sink: of rides that were kept, and those that were imported, but not of rides
    /// for which another one stands.
    fn wanted(&self) -> Vec<ContentId> {
        let fetched = self.rides.values().filter_map(|ride| match ride.state {
            ActivityState::Fetched { content, .. } => Some(content),
            _ => None,
        });
        let mut wanted: Vec<_> = fetched.chain(lock(&self.rider.imported).iter().copied()).collect();
        let linked: Vec<_> = self.rides.values().filter(|ride| ride.link.is_some()).collect();
        for ride in &linked {
            let stands = ride.link.as_ref().and_then(|link| self.rides.get(&link.to));
            if stands.is_none_or(|other| other.link.is_some()) {
                self.broken("I1", format!("nothing stands for the linked ride {}", ride.rider_id()));
            }
        }
        wanted.retain(|content| !linked.iter().any(|ride| ride.state.content() == Some(*content)));
        wanted.sort();
        wanted.dedup();
        wanted
    }

    fn judge_copies(&self, manner: Manner, content: ContentId) {
        let user = &self.rider.user;
        let sink = sink_account(manner, user).connection_id();
        let delivery = self.deliveries.iter().find(|delivery| delivery.sink == sink && delivery.content == content);
        let copies = lock(&self.world.sinks).copies(manner, user, content);
        let truth = lock(&self.world.truth);
        let (is_unwanted, is_deadly) = (truth.unwanted.contains(&content), truth.deadly.contains(&content));
        let Some(delivery) = delivery else {
            return self.broken("I1", format!("{content} has no delivery to {sink}"));
        };
        let may_be_elsewhere = manner == Manner::Readable && {
            let host = lock(&self.world.sinks);
            let start = delivery.about.start.map(Timestamp::as_second);
            start.is_some_and(|start| host.is_elsewhere(user, crate::world::number_at(start)))
        };
        let is_right = match &delivery.state {
            DeliveryState::Delivered { .. } => copies == 1,
            DeliveryState::Held { .. } | DeliveryState::Skipped => copies == 0 && may_be_elsewhere,
            DeliveryState::Rejected { .. } => copies == 0 && is_unwanted,
            DeliveryState::DeadLetter { .. } => copies == 0 && is_deadly,
            _ => false,
        };
        if !is_right {
            let what =
                format!("{} lies {copies} times at {sink} and is {:?}", delivery.about.external_id, delivery.state);
            self.broken("I1", what);
        }
    }
}
