//! The list of rides: one page, and a walk over all of them.

use std::collections::HashSet;

use tracing::instrument;

use crate::client::{Call, Client};
use crate::error::ApiError;
use crate::row::{ListPage, RideId, Row, RowProblem};
use crate::token::Token;

pub(crate) const LIST_PATH: &str = "/service/web-gateway/web-analyze/activity/queryMyActivity";

/// Rows per page: the service gives no more, whatever is asked for.
pub const PAGE_SIZE: u32 = 20;

/// Most pages of one walk; 200,000 rides are nobody's.
const MAX_PAGES: u32 = 10_000;

pub(crate) fn list_query(page: u32, page_size: u32) -> String {
    format!("pageNo={page}&pageSize={page_size}&sort=1&reqType=0")
}

impl Client {
    /// Reads one page of the rider's rides, newest first; pages count from 1.
    ///
    /// A row that cannot be decoded is reported with the page and loses nothing else. Beyond the end
    /// the service gives an empty page, or none of the documented kind (`data: null`), which reads as
    /// an empty page, or its last page again: [`Client::list_all`] knows all three.
    ///
    /// # Errors
    /// Any [`ApiError`] but those of login and detail.
    #[instrument(level = "debug", skip_all, fields(igpsport.page = page))]
    pub async fn list_page(&self, token: &Token, page: u32) -> Result<ListPage, ApiError> {
        self.list(token, page, PAGE_SIZE).await
    }

    pub(crate) async fn list(&self, token: &Token, page: u32, page_size: u32) -> Result<ListPage, ApiError> {
        let query = list_query(page, page_size);
        let call = Call::get(LIST_PATH).with_token(token).with_query(&query);
        // A list that is not found is a service that has moved, not a ride that has gone.
        let data = self.call(call).await?.data().map_err(|error| match error {
            ApiError::NotFound => ApiError::Unavailable { status: 404, retry_after: None },
            other => other,
        })?;
        ListPage::decode(data.as_deref())
    }

    /// Starts a walk over all rides, page by page.
    pub fn list_all<'a>(&'a self, token: &'a Token) -> Walk<'a> {
        Walk { client: self, token, progress: Progress::default() }
    }
}

/// A walk over a list that may change meanwhile.
///
/// Rows shift when a ride is added or deleted between two pages. A ride that was shifted onto the
/// next page comes twice from the service and once from here. A ride that was shifted onto the page
/// before is missed: compare [`WalkSummary::distinct_rows`] with `total_rows`, and walk again.
#[derive(Debug)]
pub struct Walk<'a> {
    client: &'a Client,
    token: &'a Token,
    progress: Progress,
}

/// One page of a walk.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkPage {
    /// The page's number, from 1.
    pub page: u32,
    /// The rows not seen before on this walk.
    pub rows: Vec<Row>,
    /// The rows that could not be decoded.
    pub undecodable: Vec<RowProblem>,
    /// Rows in all, as this page says.
    pub total_rows: Option<u64>,
    /// Pages in all, as this page says.
    pub total_pages: Option<u64>,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkEnd {
    /// At the last page, by the service's own count.
    LastPage,
    /// At a page without rows.
    EmptyPage,
    /// At a page that brought nothing new, where the service does not count pages.
    RepeatedPage,
    /// At our own bound; there may be more.
    Bound,
}

/// What a walk saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkSummary {
    /// Pages read.
    pub pages: u32,
    /// Different rides seen.
    pub distinct_rows: u64,
    /// Rows that could not be decoded.
    pub undecodable: u64,
    /// Rows in all, as the last page that said so says.
    pub total_rows: Option<u64>,
    /// How it ended; `None` while it goes on.
    pub end: Option<WalkEnd>,
}

impl Walk<'_> {
    /// Reads the next page; `None` when the walk has ended. After an error the same page is asked
    /// for again.
    ///
    /// # Errors
    /// As [`Client::list_page`].
    pub async fn next(&mut self) -> Result<Option<WalkPage>, ApiError> {
        if self.progress.end.is_some() {
            return Ok(None);
        }
        let page = self.progress.pages + 1;
        let answer = self.client.list_page(self.token, page).await?;
        Ok(Some(self.progress.take(page, answer)))
    }

    /// What the walk saw so far.
    #[must_use]
    pub fn summary(&self) -> WalkSummary {
        WalkSummary {
            pages: self.progress.pages,
            distinct_rows: self.progress.seen.len() as u64,
            undecodable: self.progress.undecodable,
            total_rows: self.progress.total_rows,
            end: self.progress.end,
        }
    }
}

/// The walk's memory, without the network.
#[derive(Debug, Default)]
struct Progress {
    pages: u32,
    seen: HashSet<RideId>,
    undecodable: u64,
    total_rows: Option<u64>,
    total_pages: Option<u64>,
    last_problems: Vec<RowProblem>,
    end: Option<WalkEnd>,
}

impl Progress {
    fn take(&mut self, page: u32, answer: ListPage) -> WalkPage {
        let was_empty = answer.rows.is_empty() && answer.undecodable.is_empty();
        let problems_are_new = answer.undecodable != self.last_problems;
        let rows: Vec<Row> = answer.rows.into_iter().filter(|row| self.seen.insert(row.ride_id)).collect();
        let nothing_new = rows.is_empty() && (answer.undecodable.is_empty() || !problems_are_new);
        self.pages = page;
        self.total_rows = answer.total_rows.or(self.total_rows);
        self.total_pages = answer.total_pages.or(self.total_pages);
        // A page that comes again beyond the end brings its bad rows again, too.
        if problems_are_new {
            self.undecodable += answer.undecodable.len() as u64;
        }
        self.end = match self.total_pages {
            _ if was_empty => Some(WalkEnd::EmptyPage),
            // Zero pages with rows on them is no count.
            Some(total) if total > 0 && u64::from(page) >= total => Some(WalkEnd::LastPage),
            None | Some(0) if nothing_new => Some(WalkEnd::RepeatedPage),
            _ if page >= MAX_PAGES => Some(WalkEnd::Bound),
            _ => None,
        };
        self.last_problems.clone_from(&answer.undecodable);
        WalkPage {
            page,
            rows,
            undecodable: answer.undecodable,
            total_rows: answer.total_rows,
            total_pages: answer.total_pages,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: &[u64], total_pages: Option<u64>) -> ListPage {
        let rows = ids.iter().map(|id| Row::decode(&format!("{{\"rideId\":{id}}}")).unwrap());
        ListPage {
            total_pages,
            total_rows: total_pages.map(|n| n.saturating_mul(20)),
            rows: rows.collect(),
            ..ListPage::default()
        }
    }

    fn walk(pages: impl IntoIterator<Item = ListPage>) -> (Vec<u64>, Progress) {
        let mut progress = Progress::default();
        let mut ids = Vec::new();
        for (page, answer) in (1..).zip(pages) {
            let step = progress.take(page, answer);
            ids.extend(step.rows.iter().map(|row| row.ride_id.0));
            if progress.end.is_some() {
                break;
            }
        }
        (ids, progress)
    }

    #[test]
    fn a_shifted_row_comes_once() {
        let (ids, progress) = walk([page(&[9, 8, 7], Some(3)), page(&[7, 6, 5], Some(3)), page(&[4], Some(3))]);
        assert_eq!(ids, [9, 8, 7, 6, 5, 4]);
        assert_eq!(progress.end, Some(WalkEnd::LastPage));
    }

    #[test]
    fn a_list_that_grows_is_walked_to_its_new_end() {
        let (ids, progress) = walk([page(&[3], Some(1 + 1)), page(&[3, 2], Some(3)), page(&[1], Some(3))]);
        assert_eq!((ids, progress.pages), (vec![3, 2, 1], 3));
    }

    #[test]
    fn a_page_of_known_rows_only_ends_nothing_while_pages_are_counted() {
        let (ids, _) = walk([page(&[2], Some(3)), page(&[2], Some(3)), page(&[1], Some(3))]);
        assert_eq!(ids, [2, 1]);
    }

    #[test]
    fn without_a_count_repetition_or_emptiness_ends_the_walk() {
        let (ids, progress) = walk([page(&[2, 1], None), page(&[2, 1], None), page(&[0], None)]);
        assert_eq!((ids, progress.end), (vec![2, 1], Some(WalkEnd::RepeatedPage)));
        let (ids, progress) = walk([page(&[2, 1], None), page(&[], None), page(&[0], None)]);
        assert_eq!((ids, progress.end), (vec![2, 1], Some(WalkEnd::EmptyPage)));
        let (_, progress) = walk([ListPage::default()]);
        assert_eq!(progress.end, Some(WalkEnd::EmptyPage));
    }

    #[test]
    fn a_repeated_page_of_bad_rows_ends_and_counts_them_once() {
        let bad = || ListPage {
            undecodable: vec![RowProblem { position: 0, fault: Row::decode("{}").unwrap_err(), text: "{}".into() }],
            ..ListPage::default()
        };
        let (_, progress) = walk([bad(), bad(), bad()]);
        assert_eq!((progress.pages, progress.undecodable), (2, 1));
        assert_eq!(progress.end, Some(WalkEnd::RepeatedPage));
    }

    #[test]
    fn an_absurd_count_is_bounded() {
        let endless = (1..).map(|id| page(&[id], Some(u64::MAX)));
        let (ids, progress) = walk(endless);
        assert_eq!(ids.len(), MAX_PAGES as usize);
        assert_eq!(progress.end, Some(WalkEnd::Bound));
    }
}
