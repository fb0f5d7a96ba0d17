//! Shards that are no more: whoever shares their riders now looks after what is left there.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{Engine, EngineError, policy::later};
use crate::{
    domain::Shard,
    ports::{Key, Scope},
    store::StoreError,
};

/// More shards than anybody has.
const MOST: usize = 1000;
/// How long what was read of the shards holds.
const HOLDS: SignedDuration = SignedDuration::from_hours(1);

/// Which shards are no more, and when that was read.
#[derive(Debug, Default)]
pub(super) struct Dropped(Mutex<Option<(Timestamp, Vec<Shard>)>>);

impl Engine {
    /// A shard, and those shards that are no more whose turn falls to it. After an operator made them fewer,
    /// riders are still planned there until their next poll, and what is due there until it is leased: either
    /// moves them to a shard of today. Once there was a tick for a shard, there is a cursor that tells of it.
    pub(super) async fn with_dropped(&self, shard: Shard) -> Result<Vec<Shard>, EngineError> {
        let (now, count) = (self.now(), self.policy.shards.max(1));
        let known = self.dropped.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let dropped = match known.filter(|(at, _)| *at <= now && later(*at, HOLDS) > now) {
            Some((_, dropped)) => dropped,
            None => {
                let last = Key::cursor(Shard(count - 1)).path;
                let page = self.store.ledger().range(&Scope::System, "cursor/", Some(&last), MOST).await;
                let records = page.map_err(StoreError::from)?.records;
                let number = |path: &str| path.strip_prefix("cursor/")?.parse().ok().map(Shard);
                let dropped: Vec<_> = records.iter().filter_map(|record| number(&record.key.path)).collect();
                *self.dropped.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, dropped.clone()));
                dropped
            }
        };
        let mine = dropped.into_iter().filter(|dropped| dropped.0 % count == shard.0);
        Ok(std::iter::once(shard).chain(mine).collect())
    }
}
