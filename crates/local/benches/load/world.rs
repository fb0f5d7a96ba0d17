//! The world around the engine: in this process, computed and not kept, so that what grows is the engine's.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    Code, Failure,
    domain::{About, ContentId, DetailFacts, FileLocation, ListedFacts, RemoteAccount, RemoteId, RideId, UserId},
    ports::{
        Access, Archive, ArchiveError, Attempt, Clock, FileError, Files, Identity, ListPage, ListedRow, Login, Outcome,
        Put, Resend, Resolution, Sink, SinkError, SinkFile, SinkTarget, Source, SourceError, SourceIdentity,
        TokenFacts,
    },
    testkit::ManualClock,
};
use jiff::{SignedDuration, Timestamp, tz::Offset};
use secrecy::{ExposeSecret, SecretString};

/// Rows on a page of the list.
const PAGE: u64 = 20;
/// What the number of a ride begins with: the rider's own number follows, then three digits.
pub(crate) const FIRST_MEMBER: u64 = 7_310_000;
/// Files that the archive holds: more than are on their way at a time.
const ARCHIVED: usize = 20_000;
/// Of so many first attempts the sink fails one, so that deliveries come due again.
const FAILS_ONE_OF: u64 = 10;

/// The cloud: a rider has some rides from before, and uploads one each evening.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) clock: ManualClock,
    pub(crate) begin: Timestamp,
    pub(crate) history: u64,
    pub(crate) pages: AtomicU64,
}

impl Cloud {
    /// How many rides are in a rider's list now.
    fn count(&self, member: u64) -> u64 {
        let since = self.clock.now().duration_since(self.begin) - upload_of_the_day(member);
        let uploads = since.as_hours().div_euclid(24) + 1;
        self.history + u64::try_from(uploads.max(0)).unwrap_or(0)
    }

    fn row(&self, member: u64, number: u64) -> ListedRow {
        let days = i64::try_from(number).unwrap_or(0) - i64::try_from(self.history).unwrap_or(0);
        let date = self.begin.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(self.begin);
        let facts = ListedFacts {
            title: Some("Evening ride".into()),
            date: Some(Offset::UTC.to_datetime(date).date()),
            distance_m: Some(31_400.0),
            moving_s: Some(4_200.0),
            ..ListedFacts::default()
        };
        ListedRow { ride_id: RideId(member * 1000 + number), facts }
    }

    fn page(&self, account: &RemoteAccount, page: u32) -> ListPage {
        let member: u64 = account.account.parse().unwrap_or(FIRST_MEMBER);
        let count = self.count(member);
        let newest = count.saturating_sub(u64::from(page.saturating_sub(1)) * PAGE);
        let rows = (newest.saturating_sub(PAGE)..newest).rev().map(|number| self.row(member, number)).collect();
        ListPage {
            total_pages: u32::try_from(count.div_ceil(PAGE)).ok(),
            total_rows: Some(count),
            rows,
            problems: Vec::new(),
        }
    }
}

/// Between 16:00 and 21:00, each rider at a minute of their own.
pub(crate) fn upload_of_the_day(member: u64) -> SignedDuration {
    SignedDuration::from_mins(16 * 60 + i64::try_from(member * 7 % 300).unwrap_or(0))
}

/// The account of a member.
pub(crate) fn account(member: u64) -> RemoteAccount {
    let service = fitbridge_core::domain::Service::from_any("igpsport");
    RemoteAccount { service, realm: "global".into(), account: member.to_string() }
}

#[async_trait]
impl Source for Cloud {
    async fn list_page(&self, access: Access<'_>, page: u32) -> Result<ListPage, SourceError> {
        self.pages.fetch_add(1, Relaxed);
        Ok(self.page(access.account, page))
    }

    async fn resolve(&self, _access: Access<'_>, ride: RideId) -> Result<Resolution, SourceError> {
        let detail = DetailFacts { title: Some("Evening ride".into()), ..DetailFacts::default() };
        Ok(Resolution { location: FileLocation(format!("memory://{ride}")), detail: Some(detail) })
    }

    async fn reachable(&self, _account: &RemoteAccount) -> Result<(), SourceError> {
        Ok(())
    }

    fn token_facts(&self, token: &SecretString) -> Result<TokenFacts, SourceError> {
        // Longer than any run: what is measured is not the rider's week.
        let ends_at = self.begin.checked_add(SignedDuration::from_hours(24 * 60)).ok();
        Ok(TokenFacts { member: token.expose_secret().to_owned(), ends_at })
    }

    async fn identify(&self, token: &SecretString, _realm: Option<&str>) -> Result<Vec<SourceIdentity>, SourceError> {
        let member = token.expose_secret().parse().map_err(|_| SourceError::BadToken("no number".into()))?;
        let account = account(member);
        Ok(vec![SourceIdentity { nickname: None, latest: self.page(&account, 1), account }])
    }

    async fn log_in(&self, _realm: &str, _login: &Login) -> Result<SecretString, SourceError> {
        Err(SourceError::BadPassword("nobody signs in here".into()))
    }
}

/// The file host: a ride's file follows from its number.
#[derive(Debug)]
pub(crate) struct FileHost;

#[async_trait]
impl Files for FileHost {
    async fn open(&self, location: &FileLocation) -> Result<Bytes, FileError> {
        Ok(Bytes::from(format!("the file of {}", location.0)))
    }
}

/// An archive of what came last.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<VecDeque<(ContentId, Bytes)>>);

#[async_trait]
impl Archive for Shelf {
    async fn put(&self, _user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= ARCHIVED {
            files.pop_front();
        }
        files.push_back((content, bytes));
        Ok(Put::Created)
    }

    async fn open(&self, _user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = files.iter().rev().find(|(known, _)| *known == content);
        found.map(|(_, bytes)| bytes.clone()).ok_or(ArchiveError::Missing(content))
    }

    async fn delete(&self, _user: &UserId, _content: ContentId) -> Result<(), ArchiveError> {
        Ok(())
    }

    async fn forget_user(&self, _user: &UserId) -> Result<u64, ArchiveError> {
        Ok(0)
    }
}

/// A sink that counts, fails some first attempts, and can be away.
#[derive(Debug)]
pub(crate) struct Counter {
    pub(crate) clock: ManualClock,
    /// The evening on which it is away, from and until.
    pub(crate) away: std::ops::Range<Timestamp>,
    pub(crate) created: AtomicU64,
}

#[async_trait]
impl Sink for Counter {
    fn resend(&self) -> Resend {
        Resend::Repeat
    }

    async fn check(&self, settings: &serde_json::Value, _secret: Option<&SecretString>) -> Result<Identity, SinkError> {
        let service = fitbridge_core::domain::Service::from_any("counter");
        let name = settings.get("account").and_then(serde_json::Value::as_str).unwrap_or("me").to_owned();
        let account = RemoteAccount { service, realm: String::new(), account: name.clone() };
        Ok(Identity { account, label: name, settings: settings.clone() })
    }

    async fn deliver(&self, _target: &SinkTarget, file: &SinkFile, _about: &About, attempt: &Attempt) -> Outcome {
        let digit = file.content.as_bytes().first().map_or(0, |byte| u64::from(*byte));
        let fails = attempt.number == 1 && digit.is_multiple_of(FAILS_ONE_OF);
        if fails || self.away.contains(&self.clock.now()) {
            return Outcome::Transient { failure: Failure::new(Code::SinkAway, "503"), retry_after: None };
        }
        let number = self.created.fetch_add(1, Relaxed);
        Outcome::Created { remote_id: Some(RemoteId(number.to_string())) }
    }
}
