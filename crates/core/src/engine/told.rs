//! Committing a change together with what it means to people: events for the audit and news for notices.

use super::{Engine, EngineError, policy::later};
use crate::{
    Code, Failure,
    domain::{Cause, Contact, Event, News, Notice, NoticeState, Story, UserId},
    ports::{CommitError, Due, Key, Write},
    store::{StoreError, Stored},
};

/// How often a commit is tried again when only a notice was changed by somebody else.
const TRIES: usize = 4;
/// Most notices of a rider; the oldest are kept, further causes are only counted.
pub const MOST_NOTICES: usize = 60;

impl Engine {
    /// Commits writes with what they mean to people, all or nothing; `false` when one of the records was
    /// changed meanwhile. News never stand in the way: where a notice keeps changing under it, the writes are
    /// committed with the events alone.
    pub(super) async fn commit_told(
        &self,
        user: &UserId,
        writes: Vec<Write>,
        story: &Story,
    ) -> Result<bool, EngineError> {
        if story.is_empty() {
            return Ok(self.store.commit(writes).await?);
        }
        for attempt in 0..TRIES {
            let mut all = writes.clone();
            all.extend(self.event_writes(user, story, attempt)?);
            if attempt + 1 < TRIES {
                all.extend(self.notice_writes(user, story).await?);
            }
            match self.store.ledger().commit(all).await {
                Ok(()) => return Ok(true),
                Err(CommitError::Ledger(error)) => return Err(StoreError::from(error).into()),
                Err(CommitError::Conflict(keys)) => {
                    if keys.iter().any(|key| writes.iter().any(|write| write.key == *key)) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(self.store.commit(writes).await?)
    }

    fn event_writes(&self, user: &UserId, story: &Story, attempt: usize) -> Result<Vec<Write>, EngineError> {
        let now = self.now();
        let mut writes = Vec::new();
        for kind in &story.events {
            let event = Event::new(user, now, kind.clone(), attempt);
            writes.push(self.store.create(&event, None, None)?);
        }
        Ok(writes)
    }

    /// The notices that the news change. Where the rider wants to be told nothing, none is begun, and those
    /// that are over are closed without a word.
    async fn notice_writes(&self, user: &UserId, story: &Story) -> Result<Vec<Write>, EngineError> {
        if story.news.is_empty() {
            return Ok(Vec::new());
        }
        let contact: Option<Stored<Contact>> = self.store.read(&Key::contact(user)).await?;
        let silent = contact.is_none_or(|contact| contact.doc.channels.is_empty());
        let mut writes: Vec<Write> = Vec::new();
        for (cause, news) in &story.news {
            let news = match news {
                News::Fails(..) if silent => continue,
                _ if silent => &News::Ends(None),
                news => news,
            };
            let write = self.notice_write(user, cause, news).await?;
            // Two news about one cause in one change: the first stands.
            writes.extend(write.filter(|write| writes.iter().all(|other| other.key != write.key)));
        }
        Ok(writes)
    }

    async fn notice_write(&self, user: &UserId, cause: &Cause, news: &News) -> Result<Option<Write>, EngineError> {
        let stored: Option<Stored<Notice>> = self.store.read(&Key::notice(user, &cause.id())).await?;
        let now = self.now();
        match (stored, news) {
            (None, News::Recovers(_) | News::Ends(_)) => Ok(None),
            (None, News::Fails(failure, item)) => {
                if !self.is_room_for_a_notice(user).await? {
                    return self.count_only(user, failure).await;
                }
                let mut notice = Notice::new(user, cause.clone(), failure.clone(), 1, now);
                item.iter().for_each(|item| notice.concerns(item.clone()));
                Ok(Some(self.store.create(&notice, self.due_of_notice(&notice, None), None)?))
            }
            (Some(stored), news) => {
                let mut notice = stored.doc.clone();
                match news {
                    News::Fails(failure, item) => {
                        item.iter().for_each(|item| notice.concerns(item.clone()));
                        notice.fails(failure.clone(), 1, now);
                    }
                    // Others of the same cause still fail: the rider has to hear of those, or has heard.
                    News::Recovers(Some(item)) | News::Ends(Some(item)) if !notice.concerns_no_more(item) => {}
                    News::Recovers(_) if planted!(self, RecoveryUntold) => notice.close(now),
                    News::Recovers(_) => notice.recovers(now),
                    News::Ends(_) if notice.state == NoticeState::Closed => {}
                    News::Ends(_) => notice.close(now),
                }
                if planted!(self, ToldTwiceADay) {
                    notice.not_before = None;
                }
                if notice == stored.doc {
                    return Ok(None);
                }
                // A message that is being told goes on being told.
                let same = notice.message == stored.doc.message && notice.pending() == stored.doc.pending();
                let due = if same { stored.due.clone() } else { self.due_of_notice(&notice, None) };
                Ok(Some(stored.replace(&notice, due)?))
            }
        }
    }

    /// When a notice is to be told: after a while in which more of the same may come, and once a day.
    pub(super) fn due_of_notice(&self, notice: &Notice, at: Option<jiff::Timestamp>) -> Option<Due> {
        notice.pending()?;
        let gathered = at.unwrap_or_else(|| later(self.now(), self.policy.notice_gather));
        let at = notice.not_before.map_or(gathered, |day| day.max(gathered));
        Some(Due::at(self.shard(&notice.user), at))
    }

    /// Whether a rider may have one more notice. Closed ones are dropped by the next walk.
    async fn is_room_for_a_notice(&self, user: &UserId) -> Result<bool, EngineError> {
        let (known, next) = self.store.page::<Notice>(user, "notice/", None, 2 * MOST_NOTICES).await?;
        let open = known.iter().filter(|notice| notice.doc.state != NoticeState::Closed).count();
        Ok(open < MOST_NOTICES && next.is_none())
    }

    /// The outbox is full: the notice about that counts this one.
    async fn count_only(&self, user: &UserId, failure: &Failure) -> Result<Option<Write>, EngineError> {
        let cause = Cause { code: Code::NoticesOverflow, connection: None };
        let failure = Failure::new(Code::NoticesOverflow, format!("the last one: {failure}"));
        let now = self.now();
        let stored: Option<Stored<Notice>> = self.store.read(&Key::notice(user, &cause.id())).await?;
        let Some(stored) = stored else {
            let notice = Notice::new(user, cause, failure, 1, now);
            return Ok(Some(self.store.create(&notice, self.due_of_notice(&notice, None), None)?));
        };
        let mut notice = stored.doc.clone();
        notice.fails(failure, 1, now);
        let due =
            if notice.message == stored.doc.message { stored.due.clone() } else { self.due_of_notice(&notice, None) };
        Ok(Some(stored.replace(&notice, due)?))
    }
}
