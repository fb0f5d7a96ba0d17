//! Looking for new rides.

use std::fmt::Write as _;

use jiff::SignedDuration;

use super::{
    Engine, EngineError,
    policy::{is_to_come, later},
    reconcile::next_night,
    walk::Cut,
};
use crate::{
    Code, Failure,
    domain::{ActivityId, Backfill, Connection, ConnectionId, Reconcile, UserId, WalkMark, ids::short_digest},
    ports::{ListPage, SourceError},
};

/// So long before now the last nightly reconcile is taken to be where nobody knows when it was.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a poll led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Poll {
    /// The list is unchanged: one request, and nothing was written.
    Idle,
    /// The list was walked to its end.
    Walked {
        /// Rides seen for the first time that will be fetched.
        new: Vec<ActivityId>,
        /// Rides seen for the first time that the rider's history keeps out.
        filtered: usize,
        /// Rows that could not be decoded.
        undecodable: usize,
    },
    /// The list is longer than what one poll reads. It goes on in the next minute.
    GoesOn {
        /// Rides seen for the first time that will be fetched.
        new: Vec<ActivityId>,
        /// Rides seen for the first time that the rider's history keeps out.
        filtered: usize,
    },
    /// No call was made: the connection is gone, or another worker is at it.
    Skipped(Failure),
    /// The token was refused for the first time; the next refusal pauses.
    Refused(Failure),
    /// The connection is paused and needs the rider.
    Paused(Failure),
    /// The provider is away or asked for patience; it is tried again by itself.
    Away(Failure),
}

impl Engine {
    /// Polls a source: one request when nothing changed, else a walk over the whole list in which every
    /// row is accounted for; a part of it, where it is long, with the rest at the next polls.
    #[tracing::instrument(skip_all, fields(user = %user, connection = %connection))]
    pub async fn poll(&self, user: &UserId, connection: &ConnectionId) -> Result<Poll, EngineError> {
        let Some(mut stored) = self.store.connection(user, connection).await? else {
            return Ok(Poll::Skipped(Code::NoSuchConnection.into()));
        };
        if stored.doc.is_removed() || stored.doc.source().is_none() {
            return Ok(Poll::Skipped(Code::NoSuchConnection.into()));
        }
        let result = if let Some(reason) = stored.doc.paused() {
            let reason = reason.clone();
            self.poll_paused(&mut stored, reason).await?
        } else if let Some(breaker) = self.open_breaker(&stored.doc.account, self.now()) {
            self.wait_behind_probe(&stored.doc.account, user, connection);
            self.note_long_outage(&mut stored, &breaker).await?;
            Poll::Away(breaker.failure)
        } else {
            match self.poll_active(&mut stored).await {
                Ok(result) => {
                    if let Poll::Away(failure) = &result {
                        self.note_failing(&mut stored, failure).await?;
                    }
                    result
                }
                Err(error) => {
                    // A failure of ours keeps the rider's rides away too.
                    if let Err(unnoted) = self.note_failing(&mut stored, &error.failure()).await {
                        tracing::debug!(%unnoted, "that a poll failed could not be written down");
                    }
                    return Err(error);
                }
            }
        };
        self.ports.observer.polled(&stored.doc, &result);
        Ok(result)
    }

    pub(super) async fn poll_active(
        &self,
        stored: &mut crate::store::Stored<crate::domain::Connection>,
    ) -> Result<Poll, EngineError> {
        let secret = match self.open_token(stored).await? {
            Ok(secret) => secret,
            Err(instead) => return Ok(instead),
        };
        let connection = stored.doc.clone();
        let first = match self.list_page(&connection, &secret, 1).await {
            Ok(page) => page,
            Err(SourceError::Refused(_)) if planted!(self, TokenInFailure) => {
                let quoted = secrecy::ExposeSecret::expose_secret(&secret.token).to_owned();
                return self.source_failed(stored, SourceError::Refused(quoted)).await;
            }
            Err(error) => return self.source_failed(stored, error).await,
        };
        let now = self.now();
        self.provider_answered(&connection.account, &connection.id, now).await?;
        let source = connection.source().cloned().unwrap_or_default();
        let unchanged = source.mark.as_ref().is_some_and(|mark| {
            let holds = later(mark.walked_at, self.policy.rewalk_after) > now && !is_to_come(mark.walked_at, now);
            same_list(mark, &mark_of(&first, now)) && holds
        });
        if unchanged {
            if planted!(self, IdlePollWrites) {
                self.change_source(stored, |source| source.mark = Some(mark_of(&first, now))).await?;
            }
            let nightly = self.nightly_is_due(&connection, now);
            let place = self.look_at_plan(stored, false, now).await?;
            self.change_source_and_place(stored, place, |source| {
                (source.refusals, source.failing) = (None, None);
                if nightly && source.reconcile.is_none() {
                    source.reconcile = Some(Box::new(Reconcile::new(now, false)));
                }
            })
            .await?;
            return Ok(Poll::Idle);
        }
        if planted!(self, MarkBeforeWalk) {
            self.change_source(stored, |source| source.mark = Some(mark_of(&first, now))).await?;
        }
        let mut walked = self.walk(&connection, &secret, first).await?;
        if walked.strangers {
            return self.pause(stored, Code::StrangerRides.into()).await;
        }
        let cut = walked.cut.take();
        let goes_on = cut.as_ref().is_some_and(|cut| cut.error.is_none());
        // The rides of a first walk are history: nothing follows them.
        let found = source.mark.is_some() && walked.found() > 0;
        let place = match goes_on {
            true => Some(self.next_minute(&connection)),
            false => self.look_at_plan(stored, found, now).await?,
        };
        self.change_source_and_place(stored, place, |source| {
            source.broken_walk = cut.as_ref().and_then(|cut| cut.place.clone()).map(Box::new);
            // A list that shifted to the end leaves the old mark, so that the next poll walks again.
            if walked.is_complete {
                source.mark = Some(walked.mark.clone());
            }
            if cut.is_none() {
                source.problems = walked.problems.clone();
            }
            if cut.is_none() || goes_on {
                (source.refusals, source.failing) = (None, None);
            }
            walked.begin_backfill(&connection.id, source, now);
        })
        .await?;
        match cut {
            Some(Cut { error: Some(error), .. }) => return self.source_failed(stored, error).await,
            Some(Cut { error: None, .. }) => {
                return Ok(Poll::GoesOn { new: walked.new, filtered: walked.filtered });
            }
            None => {}
        }
        self.trim_events(&connection.user).await?;
        self.trim_notices(&connection.user).await?;
        Ok(Poll::Walked { new: walked.new, filtered: walked.filtered, undecodable: walked.problems.len() })
    }
}

impl Engine {
    /// Whether a source's nightly reconcile should begin: its minute of the night has passed since the last one,
    /// and nothing else is going on. The one write of an idle poll, once a night.
    fn nightly_is_due(&self, connection: &Connection, now: jiff::Timestamp) -> bool {
        let Some(source) = connection.source().filter(|_| self.policy.nightly) else { return false };
        let is_busy = source.reconcile.is_some() || source.backfill.as_deref().is_some_and(Backfill::is_running);
        let last = source.report.as_ref().map_or(connection.connected_at, |report| report.begun_at);
        // Nobody knows when the last one was that a wrong clock saw begin.
        let last = if is_to_come(last, now) { later(now, -DAY) } else { last };
        !is_busy && next_night(connection, source.offset_minutes.unwrap_or(0), last) <= now
    }
}

pub(super) fn same_list(a: &WalkMark, b: &WalkMark) -> bool {
    a.total_rows == b.total_rows && a.digest == b.digest
}

/// The mark that a walk starting with this page leaves.
pub(super) fn mark_of(first: &ListPage, now: jiff::Timestamp) -> WalkMark {
    let mut ids = String::new();
    for row in &first.rows {
        // Writing to a string does not fail.
        let _ = write!(ids, "{},", row.ride_id);
    }
    for problem in &first.problems {
        ids.push_str(&problem.digest);
        ids.push(',');
    }
    let rows = first.rows.len() + first.problems.len();
    let total_rows = first.total_rows.unwrap_or_else(|| u64::try_from(rows).unwrap_or(u64::MAX));
    WalkMark { total_rows, digest: short_digest(ids.as_bytes()), walked_at: now }
}
