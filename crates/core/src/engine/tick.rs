//! Picking who is polled.

use std::{collections::BTreeSet, ops::RangeInclusive};

use jiff::Timestamp;

use super::{
    Engine, EngineError,
    policy::{SKEW, later},
    sweep::Eagerness,
};
use crate::{
    domain::{ConnectionId, OwnerId, Shard},
    ports::{Job, Key, PlanSlot, PollClass, Scope, Task},
    store::{Cursor, CursorClaim, StoreError, Stored},
};

/// The slowest class comes round after this many minutes, so no tick has to look further back.
const LONGEST_PERIOD: i64 = 60;
/// Rows of the plan in one read.
const PLAN_PAGE: usize = 500;

/// What a tick handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick {
    /// Sources to poll.
    pub polls: usize,
    /// Records that were due.
    pub due: usize,
}

/// A tick that has begun: the shard's cursor is claimed for it until it is finished or given back.
#[derive(Debug)]
#[must_use = "until it is finished or given back, no other tick of the shard polls"]
pub struct Ticket {
    cursor: Stored<Cursor>,
    minutes: RangeInclusive<i64>,
}

impl Ticket {
    /// The minutes whose polls are made, since 1970.
    pub fn minutes(&self) -> RangeInclusive<i64> {
        self.minutes.clone()
    }
}

impl Engine {
    /// One tick of a shard: hands over the polls of all minutes since the last one that was done, each
    /// source once, and what is due. At most two writes of its own: the cursor, claimed and done. Nothing
    /// at all while the operator has stopped the service.
    #[tracing::instrument(skip_all, fields(shard = shard.0))]
    pub async fn tick(&self, shard: Shard) -> Result<Tick, EngineError> {
        let mut tick = Tick::default();
        if self.halted().await?.is_some() {
            return Ok(tick);
        }
        if let Some((ticket, polls)) = self.begin_tick(shard, usize::MAX).await? {
            tick.polls = polls.len();
            if planted!(self, CursorBeforePolls) {
                self.finish_tick(ticket).await?;
                self.hand_over(polls).await;
                return Ok(tick);
            }
            // Polls are no records that come due again: minutes whose polls were not taken are not done.
            if self.hand_over(polls).await {
                self.finish_tick(ticket).await?;
            } else {
                self.give_tick_back(ticket).await?;
            }
        }
        tick.due = self.sweep(shard, Eagerness::Due).await?;
        Ok(tick)
    }

    /// Begins a tick: claims the shard's cursor and names the polls of the minutes since the last one that was done,
    /// oldest first, each source once; of at least one minute, and of no more than have `most` polls, so that who has
    /// not caught up at once does so bit by bit. `None` when this minute is done, or another tick is at work. Whoever
    /// makes the polls itself calls [`Engine::finish_tick`] afterwards, so that no poll is lost with it; a
    /// tick that dies in between is made up for once its claim has ended (`Policy::tick_lease`).
    pub async fn begin_tick(&self, shard: Shard, most: usize) -> Result<Option<(Ticket, Vec<Job>)>, EngineError> {
        self.load_breakers().await?;
        let now = self.now();
        let minute = now.as_second().div_euclid(60);
        let Some(cursor) = self.claim_cursor(shard, minute, now).await? else { return Ok(None) };
        if cursor.doc.rewound {
            self.mend_times(shard).await?;
        }
        // Polls are no records: those of the last minute may have died with the process that had them in hand.
        let lost = cursor.doc.done_by.as_ref().is_some_and(|owner| self.ports.ledger.is_gone(owner));
        let from = self.catch_up_from(cursor.doc.done_minute - i64::from(lost), minute);
        let (last, polls) = self.planned_polls(shard, from..=minute, most).await?;
        Ok(Some((Ticket { cursor, minutes: from..=last }, polls)))
    }

    /// The first minute that a tick makes the polls of: the one after the last that was done, at most a period
    /// back; the whole period where the machine slept.
    fn catch_up_from(&self, done_minute: i64, minute: i64) -> i64 {
        let whole = minute - LONGEST_PERIOD + 1;
        let slept = self.policy.catch_up_after.is_some_and(|most| minute - done_minute > most.as_mins());
        if slept { whole } else { done_minute.saturating_add(1).max(whole) }
    }

    /// Marks a tick's minutes as done; `false` when another tick took them over meanwhile.
    pub async fn finish_tick(&self, ticket: Ticket) -> Result<bool, EngineError> {
        let (last, by) = (*ticket.minutes.end(), Some(self.owner.clone()));
        self.release(ticket, last, by).await
    }

    /// Gives a tick back whose polls were not all made: the next one makes them.
    pub async fn give_tick_back(&self, ticket: Ticket) -> Result<bool, EngineError> {
        let Cursor { done_minute, done_by, .. } = ticket.cursor.doc.clone();
        // The times were mended all the same.
        self.release(ticket, done_minute, done_by).await
    }

    async fn release(&self, ticket: Ticket, done_minute: i64, done_by: Option<OwnerId>) -> Result<bool, EngineError> {
        let done = Cursor { shard: ticket.cursor.doc.shard, done_minute, done_by, claimed: None, rewound: false };
        self.save(&ticket.cursor, &done, None).await
    }

    async fn claim_cursor(
        &self,
        shard: Shard,
        minute: i64,
        now: Timestamp,
    ) -> Result<Option<Stored<Cursor>>, EngineError> {
        let until = later(now, self.policy.tick_lease);
        let claimed = Some(CursorClaim { owner: self.owner.clone(), until });
        let key = Key::cursor(shard);
        let Some(mut stored) = self.store.read::<Cursor>(&key).await? else {
            // The first tick ever starts with the present minute's slots and all others of a period.
            let cursor = Cursor { shard, done_minute: minute - LONGEST_PERIOD, done_by: None, claimed, rewound: false };
            let made = self.store.commit(vec![self.store.create(&cursor, None, None)?]).await?;
            return Ok(made.then_some(Stored { doc: cursor, version: 1, due: None, plan: None }));
        };
        // A clock that was ahead has done minutes that are still to come: they are done anew from here on,
        // else nobody would be polled until the clock is there again.
        let rewound = stored.doc.done_minute > minute.saturating_add(SKEW.as_mins());
        if stored.doc.done_minute >= minute && !rewound {
            return Ok(None);
        }
        let longest = later(until, SKEW);
        let busy = |claim: &CursorClaim| {
            let holds = claim.until > now && claim.until <= longest;
            claim.owner != self.owner && holds && !self.ports.ledger.is_gone(&claim.owner)
        };
        if stored.doc.claimed.as_ref().is_some_and(busy) {
            return Ok(None);
        }
        let done_minute = if rewound { minute - 1 } else { stored.doc.done_minute };
        let rewound = rewound || stored.doc.rewound;
        let cursor = Cursor { shard, done_minute, done_by: stored.doc.done_by.clone(), claimed, rewound };
        if !self.save(&stored, &cursor, None).await? {
            return Ok(None);
        }
        stored.doc = cursor;
        stored.version += 1;
        Ok(Some(stored))
    }

    /// The polls of the first of these minutes, and of as many of the others as have `most` together; and the last of
    /// them.
    async fn planned_polls(
        &self,
        shard: Shard,
        minutes: RangeInclusive<i64>,
        most: usize,
    ) -> Result<(i64, Vec<Job>), EngineError> {
        let shards = self.with_dropped(shard).await?;
        let (mut last, end) = (*minutes.start(), *minutes.end());
        let (mut slots, mut seen, mut jobs) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for minute in minutes {
            let mut of_minute = Vec::new();
            for slot in slots_of(minute, &shards) {
                if slots.insert(slot) {
                    let keys = self.planned_keys(slot).await?.into_iter();
                    of_minute.extend(keys.filter(|key| seen.insert(key.clone())).filter_map(|key| poll_job(&key)));
                }
            }
            let is_too_much = !of_minute.is_empty() && jobs.len() + of_minute.len() > most;
            if is_too_much && !jobs.is_empty() {
                tracing::info!(
                    minutes_left = end - last,
                    "the polls of {} minutes are left to the next tick",
                    end - last
                );
                break;
            }
            jobs.extend(of_minute);
            last = minute;
        }
        Ok((last, jobs))
    }

    async fn planned_keys(&self, slot: PlanSlot) -> Result<Vec<Key>, EngineError> {
        let (mut keys, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = self.store.ledger().planned(slot, cursor.as_deref(), PLAN_PAGE).await;
            let page = page.map_err(StoreError::from)?;
            keys.extend(page.rows.into_iter().map(|row| row.key));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }
}

/// The slots whose polls are made in a minute.
fn slots_of(minute: i64, shards: &[Shard]) -> impl Iterator<Item = PlanSlot> {
    PollClass::ALL.into_iter().flat_map(move |class| {
        let slot = u16::try_from(minute.rem_euclid(i64::from(class.slots()))).unwrap_or(0);
        shards.iter().map(move |shard| PlanSlot { shard: *shard, class, slot })
    })
}

fn poll_job(key: &Key) -> Option<Job> {
    let Scope::User(user) = &key.scope else { return None };
    let connection = ConnectionId::new(key.path.strip_prefix("connection/")?).ok()?;
    Some(Job { user: user.clone(), task: Task::Poll { connection } })
}
