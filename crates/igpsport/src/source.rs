//! The client as the sync engine's source of rides.

use async_trait::async_trait;
use fitbridge_core::domain::ids::short_digest;
use fitbridge_core::domain::{self as core, DetailFacts, FileLocation, ListedFacts, RemoteAccount, Service};
use fitbridge_core::ports::{
    Access, ListPage as SourcePage, ListedRow, Login, Resolution as SourceResolution, Source, SourceError,
    SourceIdentity, TokenFacts as SourceTokenFacts,
};
use fitbridge_core::{Code, Failure};
use fitbridge_http::{ApiOptions, BuildError, api_clients};
use secrecy::{ExposeSecret, SecretString};

use crate::account::{Account, probe_regions};
use crate::client::Client;
use crate::detail::Detail;
use crate::error::ApiError;
use crate::region::{Endpoints, Region};
use crate::resolve::Resolution;
use crate::row::{ListPage, RideId, Row};
use crate::token::Token;

/// The service's name in records.
const SERVICE: &str = "igpsport";

/// iGPSport in both regions. An account's realm is its region's name.
#[derive(Debug, Clone)]
pub struct IgpsportSource {
    clients: Vec<Client>,
}

impl IgpsportSource {
    /// A source over the given hosts, one for each region that is to be asked; they share one pool of
    /// connections.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoints>) -> Result<Self, BuildError> {
        let http = api_clients(&ApiOptions::default())?;
        Ok(Self::over(endpoints.into_iter().map(|endpoints| Client::over(http.clone(), endpoints))))
    }

    /// A source over clients that exist, one for each region.
    pub fn over(clients: impl IntoIterator<Item = Client>) -> Self {
        Self { clients: clients.into_iter().collect() }
    }

    /// The client of a region, by the name of the realm.
    ///
    /// # Errors
    /// When this source has no such region.
    pub fn client(&self, realm: &str) -> Result<&Client, SourceError> {
        self.clients.iter().find(|client| client.region().as_str() == realm).ok_or_else(|| {
            let what = format!("there is no iGPSport region {realm:?}");
            SourceError::Away(Failure::new(Code::Bug, what))
        })
    }

    /// The client and the token for an account. A token of another member is not used at all: in a
    /// place that knows that member it would open a stranger's rides.
    fn open(&self, access: Access<'_>) -> Result<(&Client, Token), SourceError> {
        let client = self.client(&access.account.realm)?;
        let token = read_token(access.token)?;
        let got = token.decode().map_err(ApiError::from)?.member;
        if got.as_str() != access.account.account {
            return Err(SourceError::WrongMember { expected: access.account.account.clone(), got: got.to_string() });
        }
        Ok((client, token))
    }
}

#[async_trait]
impl Source for IgpsportSource {
    async fn list_page(&self, access: Access<'_>, page: u32) -> Result<SourcePage, SourceError> {
        let (client, token) = self.open(access)?;
        let mut answer = client.list_page(&token, page).await?;
        if answer.total_pages.is_some_and(|total| total > 0 && u64::from(page) > total) {
            // The service may repeat its last page there; the engine is promised an empty one.
            answer.rows.clear();
            answer.undecodable.clear();
        }
        Ok(answer.into())
    }

    async fn resolve(&self, access: Access<'_>, ride: core::RideId) -> Result<SourceResolution, SourceError> {
        let (client, token) = self.open(access)?;
        match client.resolve(&token, RideId(ride.0)).await? {
            Resolution::Ready { location, detail, .. } => Ok(SourceResolution {
                location: FileLocation(location.0),
                detail: detail.map(|detail| facts_of_detail(*detail)),
            }),
            Resolution::NotReady { .. } => Err(SourceError::NotReady),
        }
    }

    async fn reachable(&self, account: &RemoteAccount) -> Result<(), SourceError> {
        match self.client(&account.realm)?.reachable().await {
            // It answers, if only to say that it knows no such call: then a refusal elsewhere was about the
            // token. A refusal here, where no token is needed, is what an outage looks like.
            Err(ApiError::NotFound | ApiError::Api { .. } | ApiError::Malformed { .. })
            | Err(ApiError::Unavailable { status: 404 | 405 | 410, .. }) => Ok(()),
            answer => Ok(answer?),
        }
    }

    fn token_facts(&self, token: &SecretString) -> Result<SourceTokenFacts, SourceError> {
        let facts = read_token(token)?.decode().map_err(ApiError::from)?;
        Ok(SourceTokenFacts { member: facts.member.to_string(), ends_at: facts.expires_at })
    }

    async fn identify(&self, token: &SecretString, realm: Option<&str>) -> Result<Vec<SourceIdentity>, SourceError> {
        let token = read_token(token)?;
        token.decode().map_err(ApiError::from)?;
        let clients: Vec<&Client> = match realm {
            Some(realm) => vec![self.client(realm)?],
            None => self.clients.iter().collect(),
        };
        let mut found = Vec::new();
        let mut trouble = None;
        for (region, answer) in probe_regions(&clients, &token).await {
            match answer {
                Ok(account) => found.push(identity(region, account)?),
                Err(ApiError::Refused { .. }) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        match trouble {
            Some(error) if found.is_empty() => Err(error.into()),
            _ => Ok(found),
        }
    }

    async fn log_in(&self, realm: &str, login: &Login) -> Result<SecretString, SourceError> {
        let answer = self.client(realm)?.login(&login.username, &login.password).await?;
        Ok(answer.token.secret().clone())
    }
}

fn read_token(token: &SecretString) -> Result<Token, SourceError> {
    Token::parse(token.expose_secret()).map_err(|error| SourceError::BadToken(error.to_string()))
}

fn identity(region: Region, account: Account) -> Result<SourceIdentity, SourceError> {
    let service =
        Service::new(SERVICE).map_err(|error| SourceError::Away(Failure::new(Code::Bug, error.to_string())))?;
    Ok(SourceIdentity {
        account: RemoteAccount { service, realm: region.as_str().into(), account: account.member.to_string() },
        nickname: account.nickname,
        latest: account.latest.into(),
    })
}

impl From<ListPage> for SourcePage {
    fn from(page: ListPage) -> Self {
        let problems = page.undecodable.into_iter().map(|problem| core::RowProblem {
            digest: short_digest(problem.text.as_bytes()),
            reason: problem.fault.to_string(),
        });
        Self {
            total_pages: page.total_pages.map(|total| u32::try_from(total).unwrap_or(u32::MAX)),
            total_rows: page.total_rows,
            rows: page.rows.into_iter().map(ListedRow::from).collect(),
            problems: problems.collect(),
        }
    }
}

impl From<Row> for ListedRow {
    fn from(row: Row) -> Self {
        Self {
            ride_id: core::RideId(row.ride_id.0),
            facts: ListedFacts {
                title: row.title,
                date: row.start.map(|start| start.date()),
                distance_m: row.distance_m,
                moving_s: row.moving_s,
                avg_speed_mps: row.avg_speed_mps,
                ascent_m: row.ascent_m,
                device: row.product_name,
                exercise_type: row.exercise_type,
            },
        }
    }
}

fn facts_of_detail(detail: Detail) -> DetailFacts {
    DetailFacts {
        title: detail.title,
        local_start: detail.local_start,
        elapsed_s: detail.elapsed_s,
        moving_s: detail.moving_s,
        distance_m: detail.distance_m,
        ascent_m: detail.ascent_m,
        avg_speed_mps: detail.avg_speed_mps,
        avg_heart_rate_bpm: detail.avg_heart_rate_bpm,
        device: detail.product_name,
        exercise_type: detail.exercise_type,
    }
}

impl From<ApiError> for SourceError {
    fn from(error: ApiError) -> Self {
        let away = |code, detail: String| Self::Away(Failure::new(code, detail));
        match error {
            ApiError::Refused { status, code: Some(code) } => Self::Refused(format!("status {status}, code {code}")),
            ApiError::Refused { status, code: None } => Self::Refused(format!("status {status}")),
            ApiError::BadPassword => Self::BadPassword("or they belong to the other region".into()),
            ApiError::SignatureRequired { status } => Self::SignatureRequired(format!("status {status}")),
            ApiError::MemberMismatch { expected, got } => {
                Self::WrongMember { expected: expected.to_string(), got: got.to_string() }
            }
            ApiError::NotFound => Self::NotFound("it may have been deleted there".into()),
            ApiError::BadToken(why) => Self::BadToken(why.to_string()),
            ApiError::Throttled { retry_after } => Self::Throttled { retry_after },
            // An outage that names its end is to be left alone until then.
            ApiError::Unavailable { status, retry_after: Some(retry_after) } => {
                Self::AwayFor { failure: Failure::new(Code::ProviderAway, format!("status {status}")), retry_after }
            }
            ApiError::Unavailable { status, .. } => away(Code::ProviderAway, format!("status {status}")),
            ApiError::Redirected { status } => away(Code::ProviderAway, format!("a redirect, status {status}")),
            ApiError::WafPage => away(Code::ProviderAway, "a web page, status 403".into()),
            ApiError::Connect(why) => Self::Unreached(Failure::new(Code::ProviderAway, why)),
            ApiError::Timeout => Self::Away(Code::ProviderTimeout.into()),
            // Like a timeout it leaves open what the service did, which matters after a login.
            ApiError::Interrupted(why) => away(Code::ProviderTimeout, format!("the connection broke: {why}")),
            ApiError::Malformed { what } => away(Code::ProviderMalformed, what),
            ApiError::Api { code, message } => away(Code::ProviderError, format!("code {code}: {message}")),
            ApiError::Request(why) => away(Code::Bug, why),
        }
    }
}
