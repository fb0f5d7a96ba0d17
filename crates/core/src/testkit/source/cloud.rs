//! What the fake cloud holds.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::{PAGE_SIZE, date_of};
use crate::{
    domain::{ListedFacts, RemoteAccount, RideId, RowProblem},
    ports::{Access, FileError, ListPage, ListedRow, SourceError, TokenFacts},
};

/// A ride in the fake cloud.
#[derive(Debug, Clone, PartialEq)]
pub struct FakeRide {
    /// Which.
    pub id: RideId,
    /// What its row says; the date decides where it stands.
    pub facts: ListedFacts,
    /// Its file.
    pub bytes: Bytes,
    /// Whether its row stands in the list twice.
    pub twice: bool,
}

impl FakeRide {
    /// A ride whose date, title and bytes follow from its id.
    pub fn generated(id: u64) -> Self {
        let facts =
            ListedFacts { title: Some(format!("Ride {id}")), date: Some(date_of(id)), ..ListedFacts::default() };
        Self { id: RideId(id), facts, bytes: Bytes::from(format!("the FIT of ride {id}")), twice: false }
    }
}

/// Kinds of calls, for failure switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceVerb {
    /// `list_page`.
    List,
    /// `resolve`.
    Resolve,
    /// `reachable`.
    Reachable,
    /// `identify`.
    Identify,
    /// `log_in`.
    LogIn,
}

/// A call as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceCall {
    /// A page of the list.
    List {
        /// Whose.
        account: RemoteAccount,
        /// Which page, from 1.
        page: u32,
    },
    /// Where a file lies.
    Resolve {
        /// Whose.
        account: RemoteAccount,
        /// Which ride.
        ride: RideId,
    },
    /// Whether it answers.
    Reachable {
        /// Whose host.
        account: RemoteAccount,
    },
    /// Whose a token is.
    Identify,
    /// A login.
    LogIn {
        /// Where.
        realm: String,
    },
}

impl SourceCall {
    /// Which kind it is.
    pub fn verb(&self) -> SourceVerb {
        match self {
            Self::List { .. } => SourceVerb::List,
            Self::Resolve { .. } => SourceVerb::Resolve,
            Self::Reachable { .. } => SourceVerb::Reachable,
            Self::Identify => SourceVerb::Identify,
            Self::LogIn { .. } => SourceVerb::LogIn,
        }
    }
}

#[derive(Default)]
pub(super) struct Cloud {
    pub(super) accounts: HashMap<RemoteAccount, Vec<FakeRide>>,
    /// Which accounts a token opens; the first is the one it was made for.
    pub(super) tokens: HashMap<String, Vec<RemoteAccount>>,
    /// By realm, user name and password.
    pub(super) logins: HashMap<(String, String, String), (RemoteAccount, Option<Timestamp>)>,
    pub(super) shifts: Vec<(RemoteAccount, u32, FakeRide)>,
    pub(super) problems: Vec<(RemoteAccount, RowProblem)>,
    /// Failures of the next call for a page of a list.
    pub(super) pages_once: Vec<(u32, SourceError)>,
    pub(super) once: HashMap<SourceVerb, VecDeque<SourceError>>,
    pub(super) always: HashMap<SourceVerb, SourceError>,
    pub(super) calls: Vec<SourceCall>,
    pub(super) file_faults: HashMap<String, VecDeque<FileError>>,
    pub(super) files_down: Option<FileError>,
    pub(super) downloads: Vec<String>,
    pub(super) when_listed: Option<std::sync::Arc<dyn Fn() + Send + Sync>>,
    tokens_made: u64,
}

impl Cloud {
    pub(super) fn rides(&mut self, account: &RemoteAccount) -> &mut Vec<FakeRide> {
        self.accounts.entry(account.clone()).or_default()
    }

    pub(super) fn insert(&mut self, account: &RemoteAccount, ride: FakeRide) {
        let rides = self.rides(account);
        rides.retain(|known| known.id != ride.id);
        let place = rides.partition_point(|known| (known.facts.date, known.id) > (ride.facts.date, ride.id));
        rides.insert(place, ride);
    }

    pub(super) fn new_token(&mut self, account: &RemoteAccount, ends_at: Option<Timestamp>) -> String {
        self.tokens_made += 1;
        let ends = ends_at.map(|at| at.as_millisecond().to_string()).unwrap_or_default();
        let token = format!("fake.{}.{ends}.{}", account.account, self.tokens_made);
        self.tokens.insert(token.clone(), vec![account.clone()]);
        token
    }

    /// Notes a call, and fails it where the test said so.
    pub(super) fn enter(&mut self, call: SourceCall) -> Result<(), SourceError> {
        let verb = call.verb();
        self.calls.push(call);
        let once = self.once.get_mut(&verb).and_then(VecDeque::pop_front);
        once.or_else(|| self.always.get(&verb).cloned()).map_or(Ok(()), Err)
    }

    /// Whether the token opens the account.
    pub(super) fn check(&self, access: Access<'_>) -> Result<(), SourceError> {
        let opens = self.tokens.get(access.token.expose_secret());
        let opens = opens.ok_or_else(|| SourceError::Refused("401".into()))?;
        let here = opens.iter().find(|account| account.realm == access.account.realm);
        let here = here.ok_or_else(|| SourceError::Refused("401".into()))?;
        if here == access.account {
            return Ok(());
        }
        Err(SourceError::WrongMember { expected: access.account.account.clone(), got: here.account.clone() })
    }

    pub(super) fn page(&self, account: &RemoteAccount, page: u32) -> ListPage {
        let rides = self.accounts.get(account).map(Vec::as_slice).unwrap_or_default();
        let rows: Vec<_> = rides
            .iter()
            .flat_map(|ride| std::iter::repeat_n(ride, 1 + usize::from(ride.twice)))
            .map(|ride| ListedRow { ride_id: ride.id, facts: ride.facts.clone() })
            .collect();
        let problems: Vec<_> = self.problems.iter().filter(|(of, _)| of == account).collect();
        let start = usize::try_from(page.saturating_sub(1)).unwrap_or(usize::MAX).saturating_mul(PAGE_SIZE);
        ListPage {
            total_pages: u32::try_from(rows.len().div_ceil(PAGE_SIZE)).ok(),
            total_rows: u64::try_from(rows.len() + problems.len()).ok(),
            rows: rows.into_iter().skip(start).take(PAGE_SIZE).collect(),
            problems: problems.into_iter().filter(|_| page == 1).map(|(_, problem)| problem.clone()).collect(),
        }
    }

    /// Makes the rows shift that wait for this page.
    pub(super) fn shift(&mut self, account: &RemoteAccount, page: u32) {
        let (now, later) =
            std::mem::take(&mut self.shifts).into_iter().partition(|(of, at, _)| of == account && *at == page);
        self.shifts = later;
        let now: Vec<(RemoteAccount, u32, FakeRide)> = now;
        for (_, _, ride) in now {
            self.insert(account, ride);
        }
    }
}

pub(super) fn token_facts(token: &str) -> Result<TokenFacts, SourceError> {
    let mut parts = token.split('.');
    let (Some("fake"), Some(member), Some(ends)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(SourceError::BadToken("not made by the fake".into()));
    };
    let ends_at = ends.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    Ok(TokenFacts { member: member.to_owned(), ends_at })
}
