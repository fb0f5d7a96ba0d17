//! What happened to a rider's things, and dropping what is too old to keep.

use jiff::Timestamp;

use super::{Engine, EngineError};
use crate::{
    domain::{Event, EventKind, Notice, NoticeState, Story, UserId, notice::ONCE_IN},
    ports::{Change, Expect, MAX_BATCH, Write},
    store::{Document, Stored},
};

/// Old events that are dropped in one commit.
const TRIM: usize = 90;
/// Commits of one call: what is left is for the next walk.
const MOST_TRIMS: usize = 50;

impl Engine {
    /// Records something that changes no other record: an export, an act of an operator.
    pub async fn record_event(&self, user: &UserId, kind: EventKind) -> Result<(), EngineError> {
        self.commit_told(user, Vec::new(), &Story::event(kind)).await?;
        Ok(())
    }

    /// A page of a rider's events since a moment, oldest first, from behind the path `after`. The second value
    /// is the path to go on after. Events that are older than is kept are never shown.
    pub async fn events(
        &self,
        user: &UserId,
        since: Option<Timestamp>,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<Event>, Option<String>), EngineError> {
        let oldest = self.oldest_event();
        let since = since.map_or(oldest, |since| since.max(oldest));
        let after = after.or_else(|| Some(Event::path_at(since)));
        let (events, next) = self.store.page::<Event>(user, "event/", after.as_deref(), limit).await?;
        Ok((events.into_iter().map(|stored| stored.doc).collect(), next))
    }

    /// Drops events that are too old: one read where there are none.
    pub(super) async fn trim_events(&self, user: &UserId) -> Result<usize, EngineError> {
        let (keep_from, mut dropped) = (self.oldest_event(), 0);
        let mut read = 1;
        for _ in 0..MOST_TRIMS {
            let (oldest, _) = self.store.page::<Event>(user, "event/", None, read).await?;
            let writes: Vec<_> = oldest.iter().filter(|stored| stored.doc.at < keep_from).map(delete).collect();
            if writes.is_empty() {
                break;
            }
            dropped += writes.len();
            // Where another worker was faster, it is done.
            self.store.commit(writes).await?;
            read = TRIM;
        }
        Ok(dropped)
    }

    /// Drops notices that were closed long enough ago for nobody to be told twice in a day.
    pub(super) async fn trim_notices(&self, user: &UserId) -> Result<(), EngineError> {
        let (known, _) = self.store.page::<Notice>(user, "notice/", None, MAX_BATCH).await?;
        let keep_from = self.now().checked_sub(ONCE_IN.saturating_mul(2)).unwrap_or(Timestamp::MIN);
        let is_old = |notice: &Notice| notice.state == NoticeState::Closed && notice.updated_at < keep_from;
        let writes: Vec<_> = known.iter().filter(|stored| is_old(&stored.doc)).map(delete).collect();
        self.store.commit(writes).await?;
        Ok(())
    }

    fn oldest_event(&self) -> Timestamp {
        self.now().checked_sub(self.policy.keep_events).unwrap_or(Timestamp::MIN)
    }
}

fn delete<T: Document>(stored: &Stored<T>) -> Write {
    let expect = Expect::Version(stored.version);
    Write { key: stored.doc.key(), expect, change: Change::Delete }
}
