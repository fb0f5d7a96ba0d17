//! Reading the source's list to its end, a few pages at a time.

use jiff::Timestamp;

use super::{Engine, EngineError, Reconciled};
use crate::{
    Code,
    domain::{Connection, Reconcile, ReconcilePlace, RideId, WalkMark},
    engine::{
        Poll,
        policy::later,
        poll::{mark_of, same_list},
        secrets::SourceSecret,
        walk::{MOST_PROBLEMS, Walked},
    },
    ports::{ListPage, SourceError},
    store::{Document, SeenRides, Stored},
};

/// A list that changed while it was read is read again at most this often.
const MOST_AGAIN: u32 = 2;
/// A bound on a list that never ends; 100,000 rides at 20 a page.
const MOST_PAGES: u32 = 5_000;

/// How far some pages led.
enum Read {
    /// Go on with this page.
    On(u32),
    /// That was the last page; page 1 as it is now tells whether the list stood still.
    End(ListPage),
}

impl Engine {
    pub(super) async fn list_step(
        &self,
        mut source: Stored<Connection>,
        mut step: Reconcile,
    ) -> Result<Reconciled, EngineError> {
        let now = self.now();
        let ReconcilePlace::List { page, mark, again, recognised } = step.place.clone() else {
            return Ok(Reconciled::Skipped);
        };
        if let Some(breaker) = self.breaker_now(&source.doc.account, now) {
            self.keep_place(source, step, breaker.open_until).await?;
            return Ok(Reconciled::Waits(breaker.failure));
        }
        let secret = match self.open_token(&mut source).await? {
            Ok(secret) => secret,
            Err(instead) => return self.wait(source, step, instead).await,
        };
        let mut walked = self.begin_walk(&source.doc, recognised == Some(true)).await?;
        let (mut mark, mut seen) = (mark, Vec::new());
        let read = match self.read_pages(&source.doc, &secret, page, &mut mark, &mut walked, &mut seen).await? {
            Ok(read) => read,
            Err(error) => {
                let instead = self.source_failed(&mut source, error).await?;
                return self.wait(source, step, instead).await;
            }
        };
        self.provider_answered(&source.doc.account, &source.doc.id, self.now()).await?;
        // How many new rides there are says nothing of whose they are: that is known at the end of the list.
        let is_strange = !walked.recognised && (walked.is_strange() || recognised == Some(false));
        if is_strange && matches!(read, Read::End(_)) {
            let paused = self.pause(&mut source, Code::StrangerRides.into()).await?;
            return self.wait(source, step, paused).await;
        }
        self.keep_seen(&source.doc, again, page, &seen).await?;
        step.found.seen += u64::try_from(seen.len()).unwrap_or(u64::MAX);
        step.problems.append(&mut walked.problems);
        step.problems.truncate(MOST_PROBLEMS);
        let late = walked.new.len() + walked.put_on_backlog;
        step.found.late += u64::try_from(late).unwrap_or(u64::MAX);
        for ride in &walked.new {
            step.found.note(format!("late: {ride} was upstream and not known here"));
        }
        let pages = match &read {
            Read::On(next) => usize::try_from(next.saturating_sub(page)).unwrap_or(1),
            Read::End(_) => self.policy.reconcile_pages,
        };
        let mut finished = None;
        step.place = match read {
            // The unknown rows of the pages before are this account's too: they are read once more, and recorded.
            _ if walked.recognised && recognised == Some(false) => {
                step.found.seen = 0;
                step.problems.clear();
                ReconcilePlace::List { page: 1, mark: None, again, recognised: Some(true) }
            }
            Read::On(page) => {
                let recognised = if walked.recognised || is_strange { Some(!is_strange) } else { recognised };
                ReconcilePlace::List { page, mark, again, recognised }
            }
            Read::End(first) => {
                let began = mark.unwrap_or_default();
                let stands = same_list(&began, &mark_of(&first, now));
                if !stands && again < MOST_AGAIN {
                    step.found.seen = 0;
                    step.problems.clear();
                    ReconcilePlace::List { page: 1, mark: None, again: again + 1, recognised: Some(true) }
                } else {
                    step.is_whole = stands;
                    if stands {
                        finished = Some(began);
                    } else {
                        step.found.note("the list kept changing while it was read: what is gone is told next time");
                    }
                    ReconcilePlace::Rides { after: None }
                }
            }
        };
        let next = self.reserve(&source.doc.user, pages);
        self.record_list(source, step, next, finished, &walked).await?;
        Ok(Reconciled::Step)
    }

    /// Reads pages and records what is new on them.
    async fn read_pages(
        &self,
        source: &Connection,
        secret: &SourceSecret,
        first: u32,
        mark: &mut Option<WalkMark>,
        walked: &mut Walked,
        seen: &mut Vec<RideId>,
    ) -> Result<Result<Read, SourceError>, EngineError> {
        let enough = later(self.now(), self.policy.lease / 2);
        let most = u32::try_from(self.policy.reconcile_pages.max(1)).unwrap_or(1);
        let mut page = first;
        loop {
            let mut listed = match self.list_page(source, secret, page).await {
                Ok(listed) => listed,
                // What was read is read; the next step finds out whether the source is away for longer.
                Err(SourceError::Away(_) | SourceError::Unreached(_)) if page > first => return Ok(Ok(Read::On(page))),
                Err(error) => return Ok(Err(error)),
            };
            if page == 1 && mark.is_none() {
                *mark = Some(mark_of(&listed, self.now()));
            }
            let ids: Vec<_> = listed.rows.iter().map(|row| row.ride_id).collect();
            let nothing_new = ids.iter().all(|id| seen.contains(id));
            let is_empty = ids.is_empty() && listed.problems.is_empty();
            walked.problems.append(&mut listed.problems);
            seen.extend(ids);
            seen.sort_unstable();
            seen.dedup();
            self.note_rows(source, std::mem::take(&mut listed.rows), walked).await?;
            let at_the_end = is_empty || listed.total_pages.map_or(nothing_new, |pages| page >= pages);
            if at_the_end || page >= MOST_PAGES {
                let again = self.list_page(source, secret, 1).await;
                return Ok(again.map(Read::End));
            }
            page += 1;
            if page >= first.saturating_add(most) || self.now() >= enough {
                return Ok(Ok(Read::On(page)));
            }
        }
    }

    /// Keeps the ids of some pages, for the comparison afterwards.
    async fn keep_seen(&self, source: &Connection, again: u32, page: u32, ids: &[RideId]) -> Result<(), EngineError> {
        let part = SeenRides {
            user: source.user.clone(),
            source: source.id.clone(),
            part: format!("{again}-{page:06}"),
            rides: ids.to_vec(),
        };
        for _ in 0..super::TRIES {
            let write = match self.store.read::<SeenRides>(&part.key()).await? {
                Some(known) => known.replace(&part, None)?,
                None => self.store.create(&part, None, None)?,
            };
            if self.store.commit(vec![write]).await? {
                break;
            }
        }
        Ok(())
    }

    async fn record_list(
        &self,
        source: Stored<Connection>,
        step: Reconcile,
        next: Timestamp,
        finished: Option<WalkMark>,
        walked: &Walked,
    ) -> Result<(), EngineError> {
        let (now, id) = (self.now(), source.doc.id.clone());
        let mut step = step;
        // With the mark they are the source's: polls find the list unchanged from now on.
        let problems = finished.is_some().then(|| std::mem::take(&mut step.problems));
        self.record_step(source, next, |source| {
            if source.reconcile.as_ref().is_some_and(|known| known.begun_at == step.begun_at) {
                source.reconcile = Some(Box::new(step.clone()));
            }
            if let Some(mark) = &finished {
                source.mark = Some(mark.clone());
                (source.refusals, source.failing) = (None, None);
                source.problems = problems.clone().unwrap_or_default();
            }
            walked.begin_backfill(&id, source, now);
        })
        .await
    }

    /// The source cannot be read now: it goes on later, or, where it is paused, when it is connected again.
    async fn wait(
        &self,
        source: Stored<Connection>,
        step: Reconcile,
        instead: Poll,
    ) -> Result<Reconciled, EngineError> {
        let now = self.now();
        let next = self.breaker_now(&source.doc.account, now).map(|breaker| breaker.open_until);
        let next = next.unwrap_or_else(|| later(now, self.policy.refusal_gap));
        self.keep_place(source, step, next).await?;
        Ok(match instead {
            Poll::Skipped(failure) | Poll::Refused(failure) | Poll::Paused(failure) | Poll::Away(failure) => {
                Reconciled::Waits(failure)
            }
            Poll::Idle | Poll::Walked { .. } | Poll::GoesOn { .. } => Reconciled::Step,
        })
    }
}
