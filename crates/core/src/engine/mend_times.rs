//! After a clock that was ahead: what it put off waits for times that are far away.

use jiff::Timestamp;

use super::{
    Engine, EngineError,
    policy::is_to_come,
    sweep::{Eagerness, with_attempt_back},
};
use crate::{
    domain::Shard,
    ports::{Change, Due, Expect, MAX_BATCH, Record, Write},
    store::StoreError,
};

/// Rows of the due index that are looked at: all there are.
const EVERYTHING: usize = 1_000_000;

impl Engine {
    /// Makes due now what waits for the times of a clock that was wrong: claims that hold for longer than any does, and
    /// what only waits for our own backoff, as if its rider had asked for it. May be begun again after a crash.
    pub(super) async fn mend_times(&self, shard: Shard) -> Result<(), EngineError> {
        tracing::warn!("the clock was set back: what waits is tried now, since its times are those of the other clock");
        let now = self.now();
        let mut rows = self.due_rows(shard, Timestamp::MAX, EVERYTHING).await?;
        rows.retain(|row| row.at > now);
        for rows in rows.chunks(MAX_BATCH) {
            let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
            let records = self.store.ledger().get_many(&keys).await.map_err(StoreError::from)?;
            let writes = records.into_iter().flatten().filter_map(|record| self.due_now(record, shard, now));
            // A record that somebody else changes meanwhile has a time of the right clock.
            self.commit_each(writes.collect()).await?;
        }
        Ok(())
    }

    fn due_now(&self, record: Record, shard: Shard, now: Timestamp) -> Option<Write> {
        let due = record.due.as_ref()?;
        let is_claimed = due.claim.is_some();
        if due.at <= now || !(self.is_held_too_long(due, now) || self.is_due(&record, Eagerness::Eager, now)) {
            return None;
        }
        let body = match is_claimed {
            true => record.body,
            // The last try was the other clock's, ahead of its time as well: two workers whose clocks are far apart
            // would use up in an hour, between them, the attempts of days.
            false if is_written_ahead(&record.body, now) => with_attempt_back(with_attempt_back(record.body)),
            false => with_attempt_back(record.body),
        };
        let change = Change::Put { body, due: Some(Due::at(shard, now)), plan: record.plan };
        Some(Write { key: record.key, expect: Expect::Version(record.version), change })
    }
}

/// Whether a clock that was ahead wrote a record.
fn is_written_ahead(body: &str, now: Timestamp) -> bool {
    #[derive(serde::Deserialize)]
    struct Written {
        updated_at: Timestamp,
    }
    serde_json::from_str::<Written>(body).is_ok_and(|written| is_to_come(written.updated_at, now))
}
