//! Walking over the whole list of a source that changes meanwhile.

use std::collections::BTreeSet;

use super::{
    Engine, EngineError,
    access::access,
    poll::{mark_of, same_list},
    secrets::SourceSecret,
};
use crate::{
    domain::{Activity, ActivityId, ActivityState, Connection, Origin, Ride, RideId, RowProblem, WalkMark},
    ports::{Job, Key, ListPage, ListedRow, Scope, SourceError, Task},
};

/// A walk is begun again at most this often when rows shift under it.
const MOST_WALKS: usize = 3;
/// A bound on a list that never ends; 100,000 rides at 20 a page.
const MOST_PAGES: u32 = 5_000;
/// Problems that are kept with the connection.
const MOST_PROBLEMS: usize = 20;

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) mark: WalkMark,
    /// Whether every row that was there when the walk began was seen.
    pub(super) is_complete: bool,
    pub(super) new: Vec<ActivityId>,
    pub(super) filtered: usize,
    pub(super) problems: Vec<RowProblem>,
    /// Not one listed ride is known although some should be: these are somebody else's.
    pub(super) strangers: bool,
    /// Whether this account's rides have been recognised, or there is nothing to recognise them by.
    recognised: bool,
    /// Rows that wait until they have.
    held_back: Vec<ListedRow>,
}

impl Default for WalkMark {
    fn default() -> Self {
        Self { total_rows: 0, digest: String::new(), walked_at: jiff::Timestamp::UNIX_EPOCH }
    }
}

impl Engine {
    /// Walks to the end of the list. Rides seen for the first time are recorded, page by page, and handed
    /// over to be resolved. When rows shifted meanwhile, the walk is begun again: what is known by then is
    /// skipped, so that costs list requests only.
    pub(super) async fn walk(
        &self,
        connection: &Connection,
        secret: &SourceSecret,
        first: ListPage,
    ) -> Result<Result<Walked, SourceError>, EngineError> {
        let mut walked = Walked { recognised: !self.has_history(connection).await?, ..Walked::default() };
        let mut first = first;
        for _ in 0..MOST_WALKS {
            walked.mark = mark_of(&first, self.now());
            walked.problems.clear();
            let shifted = match self.walk_once(connection, secret, first, &mut walked).await? {
                Ok(shifted) => shifted,
                Err(error) => return Ok(Err(error)),
            };
            if !shifted {
                walked.is_complete = true;
                break;
            }
            first = match self.ports.source.list_page(access(connection, secret), 1).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            let again = mark_of(&first, self.now());
            // Rows that stand twice in a list look like a shift, and do so every time.
            if same_list(&again, &walked.mark) {
                walked.is_complete = true;
                break;
            }
        }
        walked.strangers = !walked.recognised && !walked.held_back.is_empty();
        walked.problems.truncate(MOST_PROBLEMS);
        Ok(Ok(walked))
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

    /// One pass over the pages; `true` when rows shifted under it.
    async fn walk_once(
        &self,
        connection: &Connection,
        secret: &SourceSecret,
        first: ListPage,
        walked: &mut Walked,
    ) -> Result<Result<bool, SourceError>, EngineError> {
        let (mut seen, mut shifted) = (BTreeSet::<RideId>::new(), false);
        let (total_rows, mut page, mut number) = (first.total_rows, first, 1);
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
            let nothing_new = rows.is_empty() && page.problems.is_empty();
            walked.problems.append(&mut page.problems);
            self.note_rows(connection, rows, walked).await?;
            // The page count is the source's word; without it the list ends where nothing new comes.
            let at_the_end = page.total_pages.map_or(nothing_new, |pages| number >= pages);
            if at_the_end || number >= MOST_PAGES {
                break;
            }
            number += 1;
            before = ids;
            page = match self.ports.source.list_page(access(connection, secret), number).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
        }
        Ok(Ok(shifted))
    }

    /// Records the rows of a page that are not known yet and hands them over.
    async fn note_rows(
        &self,
        connection: &Connection,
        rows: Vec<ListedRow>,
        walked: &mut Walked,
    ) -> Result<(), EngineError> {
        let key = |row: &ListedRow| Key::activity(&connection.user, &Origin::cloud_id(&connection.id, row.ride_id));
        let keys: Vec<_> = rows.iter().map(key).collect();
        let known = self.store.read_many::<Activity>(&keys).await?;
        walked.recognised |= known.iter().any(Option::is_some);
        let unknown = rows.into_iter().zip(known).filter(|(_, known)| known.is_none()).map(|(row, _)| row);
        walked.held_back.extend(unknown);
        if !walked.recognised {
            return Ok(());
        }
        let mut jobs = Vec::new();
        for row in std::mem::take(&mut walked.held_back) {
            if let Some(activity) = self.discover(connection, row).await? {
                if activity.state.stage().is_some() {
                    let task = Task::Resolve { activity: activity.id.clone() };
                    jobs.push(Job { user: connection.user.clone(), task });
                    walked.new.push(activity.id);
                } else {
                    walked.filtered += 1;
                }
            }
        }
        self.hand_over(jobs).await;
        Ok(())
    }

    /// Records one ride; `None` when another worker was faster.
    async fn discover(&self, connection: &Connection, row: ListedRow) -> Result<Option<Activity>, EngineError> {
        let now = self.now();
        let rule = connection.filters_listed(row.ride_id, row.facts.date);
        let id = Origin::cloud_id(&connection.id, row.ride_id);
        let origin = Origin::Cloud { connection: connection.id.clone(), ride_id: row.ride_id };
        let ride = Ride { listed: Some(row.facts), ..Ride::default() };
        let mut activity = Activity::new(connection.user.clone(), id, origin, ride, now);
        if let Some(rule) = rule {
            activity.state = ActivityState::Filtered { rule };
        }
        let due = activity.state.stage().map(|_| self.handed_over(&connection.user, now));
        if !self.store.commit(vec![self.store.create(&activity, due, None)?]).await? {
            return Ok(None);
        }
        self.ports.observer.activity(&activity);
        Ok(Some(activity))
    }
}

/// The start of the paths of a source's rides.
pub(super) fn activity_prefix(connection: &Connection) -> String {
    format!("activity/{}-", connection.id)
}
