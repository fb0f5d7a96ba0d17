//! Walking over the whole list of a source that changes meanwhile.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

use super::{
    Engine, EngineError,
    policy::later,
    poll::{mark_of, same_list},
    secrets::SourceSecret,
};
use crate::{
    domain::{
        Activity, ActivityId, ActivityState, Backfill, BackfillPhase, BrokenWalk, Connection, ConnectionId, Origin,
        Ride, RideId, RowProblem, SourceProgress, WalkMark,
    },
    ports::{Job, Key, ListPage, ListedRow, Scope, SourceError, Task},
    store::Stored,
};

/// A walk is begun again at most this often when rows shift under it.
const MOST_WALKS: usize = 3;
/// A bound on a list that never ends; 100,000 rides at 20 a page.
const MOST_PAGES: u32 = 5_000;
/// Problems that are kept with the connection.
pub(super) const MOST_PROBLEMS: usize = 20;

/// When this process wants to have no walk under way any more.
#[derive(Debug, Default)]
pub(super) struct End(Mutex<Option<Timestamp>>);

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) mark: WalkMark,
    /// Whether every row that was there when the walk began was seen.
    pub(super) is_complete: bool,
    /// Why the walk is not through, where it was ended before.
    pub(super) cut: Option<Cut>,
    /// When this poll began to walk, and the pages it has read since.
    begun_at: Timestamp,
    pages: u32,
    /// The part of the walk that was made before, which goes on here.
    earlier: Option<BrokenWalk>,
    pub(super) new: Vec<ActivityId>,
    pub(super) filtered: usize,
    /// Rows whose rides stand on the backlog.
    backlog: BTreeSet<RideId>,
    /// The last ride that the backfill had looked at when this began: newer ones should be off the backlog.
    backfilled_to: Option<ActivityId>,
    /// How many of them were put there by this walk.
    pub(super) put_on_backlog: usize,
    pub(super) problems: Vec<RowProblem>,
    /// Not one listed ride is known although some should be: these are somebody else's.
    pub(super) strangers: bool,
    /// Whether this account's rides have been recognised, or there is nothing to recognise them by.
    pub(super) recognised: bool,
    /// Rows that wait until they have.
    held_back: Vec<ListedRow>,
}

/// The end of a walk in its middle.
#[derive(Debug)]
pub(super) struct Cut {
    /// The source's failure; `None` where so much was read as a poll may read at a time.
    pub(super) error: Option<SourceError>,
    /// Where the walk may go on; `None` where it has to begin again.
    pub(super) place: Option<BrokenWalk>,
}

impl Default for WalkMark {
    fn default() -> Self {
        Self { total_rows: 0, digest: String::new(), walked_at: Timestamp::UNIX_EPOCH }
    }
}

impl Engine {
    /// From that moment on walks end with the page that they are at, to go on a minute later; for a process that
    /// itself ends soon. Until this is called again.
    pub fn end_walks_at(&self, moment: Option<Timestamp>) {
        *self.walks_end.0.lock().unwrap_or_else(PoisonError::into_inner) = moment;
    }

    /// Walks to the end of the list, to where the source fails, or for as long as one poll may. Rides seen for the
    /// first time are recorded, page by page, and handed over to be resolved. When rows shifted meanwhile, the
    /// walk is begun again: what is known by then is skipped, so that costs list requests only.
    pub(super) async fn walk(
        &self,
        connection: &Connection,
        secret: &SourceSecret,
        first: ListPage,
    ) -> Result<Walked, EngineError> {
        let earlier = self.earlier_part(connection, &first);
        let is_recognised = earlier.as_ref().is_some_and(|earlier| !earlier.unrecognised);
        let mut walked = self.begin_walk(connection, is_recognised).await?;
        walked.earlier = earlier;
        let mut first = first;
        for _ in 0..MOST_WALKS {
            let begun_at = walked.earlier.as_ref().map_or_else(|| self.now(), |earlier| earlier.mark.walked_at);
            walked.mark = mark_of(&first, begun_at);
            walked.problems = walked.earlier.as_ref().map(|earlier| earlier.problems.clone()).unwrap_or_default();
            let shifted = match self.walk_once(connection, secret, first, &mut walked).await? {
                Ok(shifted) => shifted,
                Err(cut) => {
                    walked.cut = Some(cut);
                    return Ok(walked);
                }
            };
            if !shifted {
                walked.is_complete = true;
                break;
            }
            first = match self.list_page(connection, secret, 1).await {
                Ok(page) => page,
                Err(error) => {
                    walked.cut = Some(Cut { error: Some(error), place: None });
                    return Ok(walked);
                }
            };
            let again = mark_of(&first, self.now());
            // Rows that stand twice in a list look like a shift, and do so every time.
            if same_list(&again, &walked.mark) {
                walked.is_complete = true;
                break;
            }
            walked.earlier = None;
        }
        walked.strangers = walked.is_strange();
        walked.problems.truncate(MOST_PROBLEMS);
        Ok(walked)
    }

    /// The part of a walk that was made before, if the list is the same still.
    fn earlier_part(&self, connection: &Connection, first: &ListPage) -> Option<BrokenWalk> {
        let earlier = connection.source()?.broken_walk.as_deref()?;
        let now = self.now();
        let holds = later(earlier.mark.walked_at, self.policy.rewalk_after) > now;
        (holds && same_list(&earlier.mark, &mark_of(first, now))).then(|| earlier.clone())
    }

    /// What a walk starts with; rides of one that goes on with a part of the list are recognised already.
    pub(super) async fn begin_walk(&self, connection: &Connection, goes_on: bool) -> Result<Walked, EngineError> {
        let recognised = goes_on || !self.has_history(connection).await?;
        let backfilled_to = connection.backfill().and_then(|backfill| backfill.after.clone());
        Ok(Walked { recognised, backfilled_to, begun_at: self.now(), ..Walked::default() })
    }

    /// Whether there was a walk that left rides by which this account can be recognised.
    async fn has_history(&self, connection: &Connection) -> Result<bool, EngineError> {
        let walked_before = connection.source().and_then(|source| source.mark.as_ref());
        if walked_before.is_none_or(|mark| mark.total_rows == 0) {
            return Ok(false);
        }
        let scope = Scope::User(connection.user.clone());
        let prefix = activity_prefix(connection);
        let known = self.store.ledger().range(&scope, &prefix, None, 1).await;
        Ok(!known.map_err(crate::store::StoreError::from)?.records.is_empty())
    }

    /// One pass over the pages, or over those that an earlier part of the walk left; `true` when rows shifted
    /// under it.
    async fn walk_once(
        &self,
        connection: &Connection,
        secret: &SourceSecret,
        first: ListPage,
        walked: &mut Walked,
    ) -> Result<Result<bool, Cut>, EngineError> {
        let (mut seen, mut shifted) = (BTreeSet::<RideId>::new(), false);
        let (total_rows, mut page, mut number) = (first.total_rows, first, 1);
        let goes_on_with = walked.earlier.as_ref().map_or(1, |earlier| earlier.page);
        let mut before: Vec<RideId> = Vec::new();
        loop {
            let ids: Vec<_> = page.rows.iter().map(|row| row.ride_id).collect();
            let repeats_last_page = number > 1 && ids == before;
            shifted |= page.total_rows != total_rows;
            let is_empty = ids.is_empty() && page.problems.is_empty();
            if is_empty || repeats_last_page {
                // Short of what the source itself called the last page, rows were taken away meanwhile.
                shifted |= page.total_pages.is_some_and(|pages| number < pages);
                break;
            }
            shifted |= ids.iter().any(|id| seen.contains(id));
            let mut rows = page.rows;
            rows.retain(|row| seen.insert(row.ride_id));
            if planted!(self, BadRowHidesPage) && !page.problems.is_empty() {
                rows.clear();
            }
            let nothing_new = rows.is_empty() && page.problems.is_empty();
            walked.pages += 1;
            if number > 1 || goes_on_with <= 1 {
                walked.problems.append(&mut page.problems);
                self.note_rows(connection, rows, walked).await?;
            }
            if walked.has_passed_unrecognised() {
                return Ok(Err(Cut { error: None, place: Some(walked.place(1)) }));
            }
            // The page count is the source's word; without it the list ends where nothing new comes.
            let at_the_end = page.total_pages.map_or(nothing_new, |pages| number >= pages);
            if at_the_end || number >= MOST_PAGES {
                break;
            }
            let is_first = number == 1;
            number = if is_first { goes_on_with.max(2) } else { number + 1 };
            let error = match (!is_first).then(|| self.is_enough(walked)) {
                Some(true) => None,
                _ => match self.list_page(connection, secret, number).await {
                    Ok(next) => {
                        (before, page) = (ids, next);
                        continue;
                    }
                    Err(error) => Some(error),
                },
            };
            return Ok(Err(Cut { error, place: (!shifted).then(|| walked.place(number)) }));
        }
        Ok(Ok(shifted))
    }

    /// Whether a poll has read as much as it may at a time. Its first page only says whether the list stands.
    fn is_enough(&self, walked: &Walked) -> bool {
        let end = later(walked.begun_at, self.policy.walk_for);
        let of_process = *self.walks_end.0.lock().unwrap_or_else(PoisonError::into_inner);
        walked.pages > self.policy.walk_pages || of_process.map_or(end, |of_process| of_process.min(end)) <= self.now()
    }

    /// Records the rows of a page that are not known yet and hands them over.
    pub(super) async fn note_rows(
        &self,
        connection: &Connection,
        rows: Vec<ListedRow>,
        walked: &mut Walked,
    ) -> Result<(), EngineError> {
        let key = |row: &ListedRow| Key::activity(&connection.user, &Origin::cloud_id(&connection.id, row.ride_id));
        let keys: Vec<_> = rows.iter().map(key).collect();
        let known = self.store.read_many::<Activity>(&keys).await?;
        walked.recognised |= known.iter().any(Option::is_some);
        let on_backlog = |known: &Option<Stored<Activity>>| {
            known.as_ref().is_some_and(|known| known.doc.state == ActivityState::Backlog)
        };
        let waiting = rows.iter().zip(&known).filter(|(_, known)| on_backlog(known));
        walked.backlog.extend(waiting.map(|(row, _)| row.ride_id));
        let handed_over = walked.new.len();
        let unknown = rows.into_iter().zip(known).filter(|(_, known)| known.is_none()).map(|(row, _)| row);
        walked.held_back.extend(unknown);
        if !walked.recognised {
            return Ok(());
        }
        let rows = std::mem::take(&mut walked.held_back);
        for activity in self.record(connection, rows, walked.found()).await? {
            self.ports.observer.activity(&activity);
            match (&activity.state, &activity.origin) {
                (ActivityState::Discovered, _) => walked.new.push(activity.id),
                (ActivityState::Backlog, Origin::Cloud { ride_id, .. }) => {
                    walked.backlog.insert(*ride_id);
                    walked.put_on_backlog += 1;
                }
                _ => walked.filtered += 1,
            }
        }
        let job = |activity: &ActivityId| Job {
            user: connection.user.clone(),
            task: Task::Resolve { activity: activity.clone() },
        };
        self.hand_over(walked.new[handed_over..].iter().map(job).collect()).await;
        Ok(())
    }

    /// Records rides that were not known: those that are wanted now, up to a number of them, the others on
    /// the backlog, and those that the rider does not want as filtered. Names those that no other worker
    /// recorded first.
    async fn record(
        &self,
        connection: &Connection,
        rows: Vec<ListedRow>,
        found_before: usize,
    ) -> Result<Vec<Activity>, EngineError> {
        let now = self.now();
        let source = connection.source();
        // Until a walk was completed, what was there at connecting is history; what a later one finds is not.
        let old = source.filter(|source| source.mark.is_none()).and_then(|source| source.newest_at_connect);
        let mut found = found_before;
        let (mut rides, mut writes) = (Vec::new(), Vec::new());
        for row in rows {
            let rule =
                connection.filters_listed(row.ride_id, row.facts.date).filter(|_| !planted!(self, HistoryIgnored));
            // A first helping of history comes at once, so that a rider who connects sees rides arrive.
            let is_old = old.is_some_and(|newest| row.ride_id <= newest);
            let most = if is_old { self.policy.backfill_window } else { self.policy.new_at_once };
            let can_wait = found >= most;
            let state = match rule {
                Some(rule) => ActivityState::Filtered { rule },
                None if can_wait => ActivityState::Backlog,
                None => ActivityState::Discovered,
            };
            found += usize::from(state == ActivityState::Discovered);
            let due = state.stage().map(|_| self.handed_over(&connection.user, now));
            let id = Origin::cloud_id(&connection.id, row.ride_id);
            let origin = Origin::Cloud { connection: connection.id.clone(), ride_id: row.ride_id };
            let ride = Ride { listed: Some(row.facts), ..Ride::default() };
            let mut activity = Activity::new(connection.user.clone(), id, origin, ride, now);
            activity.state = state;
            writes.push(self.store.create(&activity, due, None)?);
            rides.push(activity);
        }
        let done = self.commit_each(writes).await?;
        Ok(rides.into_iter().zip(done).filter(|(_, done)| *done).map(|(ride, _)| ride).collect())
    }
}

impl Walked {
    /// Whether not one of the rows so far is known although some should be.
    pub(super) fn is_strange(&self) -> bool {
        let held_back_before = self.earlier.as_ref().is_some_and(|earlier| earlier.unrecognised);
        !self.recognised && (held_back_before || !self.held_back.is_empty())
    }

    /// Whether these are the account's rides, as is known since this part, and its earlier part has recorded none
    /// because it was not known then.
    fn has_passed_unrecognised(&self) -> bool {
        self.recognised && self.earlier.as_ref().is_some_and(|earlier| earlier.unrecognised)
    }

    /// Rides that it found and did not put on the backlog, those of its earlier part among them.
    pub(super) fn found(&self) -> usize {
        self.new.len() + self.earlier.as_ref().map_or(0, |earlier| earlier.found)
    }

    /// Where it goes on when it ends before this page.
    fn place(&self, page: u32) -> BrokenWalk {
        let problems = self.problems.iter().take(if page > 1 { MOST_PROBLEMS } else { 0 }).cloned().collect();
        let unrecognised = !self.recognised;
        BrokenWalk { mark: self.mark.clone(), page, found: self.found(), unrecognised, problems }
    }

    /// Whether the backfill, which is at `after` now, has left one of these rides behind: a walk that put it on the
    /// backlog died before it could say so.
    fn passed(&self, id: &ConnectionId, after: &ActivityId) -> bool {
        let Some((newest, before)) = self.backlog.last().zip(self.backfilled_to.as_ref()) else { return false };
        let newest = Origin::cloud_id(id, *newest);
        newest > *before && newest > *after
    }

    /// Lets a source's backfill begin, or begin again, where this walk left rides on the backlog.
    pub(super) fn begin_backfill(&self, id: &ConnectionId, source: &mut SourceProgress, now: Timestamp) {
        // Those of its earlier part stand there besides.
        let before = source.backfill.as_ref().filter(|backfill| self.earlier.is_some() && backfill.is_running());
        let before = before.map_or(0, |backfill| backfill.total.saturating_sub(backfill.taken));
        let on_backlog = u64::try_from(self.backlog.len()).unwrap_or(u64::MAX).saturating_add(before);
        let missed = source.backfill.as_ref().is_none_or(|backfill| {
            backfill.phase == BackfillPhase::Done || backfill.after.as_ref().is_some_and(|after| self.passed(id, after))
        });
        if on_backlog > 0 && (self.put_on_backlog > 0 || missed) {
            let again = source.backfill.as_ref().map(|backfill| backfill.again(now, on_backlog));
            source.backfill = Some(Box::new(again.unwrap_or_else(|| Backfill::new(now, on_backlog))));
        }
    }
}

/// The start of the paths of a source's rides.
pub(super) fn activity_prefix(connection: &Connection) -> String {
    format!("activity/{}-", connection.id)
}
