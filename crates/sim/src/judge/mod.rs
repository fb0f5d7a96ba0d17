//! The last day: whether every promise was kept.

mod case;
mod notices;

use std::{collections::BTreeMap, sync::Arc};

use fitbridge_core::{
    domain::{Activity, ActivityId, ActivityState, BackfillPhase, Connection, Shard, UserId},
    ports::{Key, Ledger, PollClass, Scope},
    store::Store,
};
use futures::{FutureExt, lock::Mutex as AsyncMutex};
use jiff::Timestamp;

use crate::{
    asks::connection,
    clockwork::lock,
    riders::Rider,
    world::{World, sink_account},
};

/// What still has to be done, in a few words each; nothing once the world is quiet.
pub(crate) fn what_is_left(world: &World, riders: &[Arc<AsyncMutex<Rider>>], shards: u16) -> Vec<String> {
    let mut left = Vec::new();
    world.ledger.settle();
    for shard in (0..shards).map(Shard) {
        let due = world.ledger.due(shard, Timestamp::MAX, 100).now_or_never();
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
    let record = world.ledger.get(key).now_or_never();
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
        if rider.is_leaving {
            nothing_is_left(world, &rider.user);
        } else {
            case::Case::new(world, &rider).judge();
            notices::judge(world, &rider);
        }
    }
}

/// Of a rider whose account was deleted there is nothing any more, nor is its name written anywhere.
fn nothing_is_left(world: &World, user: &UserId) {
    if world.knows_of(user) {
        let scope = Scope::User(user.clone());
        let page = world.ledger.range(&scope, "", None, 5).now_or_never().and_then(Result::ok);
        let records = page.map(|page| page.records).unwrap_or_default();
        let records: Vec<_> = records.into_iter().map(|record| record.key.path).collect();
        let secrets: Vec<_> = lock(&world.sealed).iter().filter(|(owner, _)| owner == user).cloned().collect();
        let files = world.archive.files().iter().filter(|(owner, _)| owner == user).count();
        let what = format!("{user} left, and there still are records {records:?}, secrets {secrets:?}, {files} files");
        world.story.broken("gone", what);
    }
}
