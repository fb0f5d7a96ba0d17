//! Whom a token belongs to, and whether the service answers at all.

use tracing::{debug, instrument};

use crate::client::{Call, Client};
use crate::error::ApiError;
use crate::lenient::Fields;
use crate::region::Region;
use crate::row::ListPage;
use crate::token::{MemberId, Token};

pub(crate) const USER_PATH: &str = "/service/mobile/api/User/UserInfo";
pub(crate) const CONFIG_PATH: &str = "/service/mobile/api/Config/GetDefaultConfig";

/// The rider as the service shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// The account.
    pub member: Option<MemberId>,
    /// Nickname.
    pub nickname: Option<String>,
    /// Number of rides.
    pub rides: Option<u64>,
    /// Time zone of the account, s east of UTC.
    pub utc_offset_s: Option<i64>,
}

/// An account that a token opens in a region.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// The token's member. In the other region the same number is another person.
    pub member: MemberId,
    /// Nickname, where the service tells it.
    pub nickname: Option<String>,
    /// The first page of its list: the latest rides.
    pub latest: ListPage,
}

impl Client {
    /// Asks whether the service answers at all; no token is needed, so a refusal elsewhere while this
    /// works is about the token.
    ///
    /// # Errors
    /// Why it does not.
    #[instrument(level = "debug", skip_all)]
    pub async fn reachable(&self) -> Result<(), ApiError> {
        let call = Call::get(CONFIG_PATH).with_query("type=0");
        self.call(call).await?.data().map(|_| ()).map_err(not_about_the_token)
    }

    /// Reads the rider's own data.
    ///
    /// # Errors
    /// A 401 or 403 here is [`ApiError::Unavailable`]: this part of the service is known to refuse
    /// valid tokens, so it says nothing about them.
    #[instrument(level = "debug", skip_all)]
    pub async fn user_info(&self, token: &Token) -> Result<UserInfo, ApiError> {
        let answer = self.call(Call::get(USER_PATH).with_token(token)).await?;
        let data = answer.data().map_err(not_about_the_token)?;
        let fields = data
            .as_deref()
            .and_then(|data| Fields::parse(data.get()).ok())
            .ok_or_else(|| ApiError::malformed("the user's data is no object"))?;
        let member = fields.id("memberId").map(|id| id.to_string()).ok().or_else(|| fields.text("strMemberId"));
        Ok(UserInfo {
            member: member.and_then(|text| MemberId::new(&text)),
            nickname: fields.text("nickName"),
            rides: fields.id("rideNum").ok(),
            utc_offset_s: fields.int("timeZone"),
        })
    }

    /// Checks a token with the cheapest call that is known to refuse only bad ones: a list of one row.
    ///
    /// # Errors
    /// [`ApiError::Refused`] when the token is no good; others say nothing about it.
    #[instrument(level = "debug", skip_all)]
    pub async fn probe(&self, token: &Token) -> Result<ListPage, ApiError> {
        self.list(token, 1, 1).await
    }

    /// Asks whose account the token opens here: the first page of the list, and the nickname if it is
    /// to be had.
    ///
    /// # Errors
    /// Those of the list; [`ApiError::MemberMismatch`] when the service names another member than the
    /// token does.
    #[instrument(level = "debug", skip_all)]
    pub async fn account(&self, token: &Token) -> Result<Account, ApiError> {
        let member = token.decode()?.member;
        let latest = self.list_page(token, 1).await?;
        let nickname = match self.user_info(token).await {
            Ok(UserInfo { member: Some(got), .. }) if got != member => {
                return Err(ApiError::MemberMismatch { expected: member, got });
            }
            Ok(info) => info.nickname,
            Err(error) => {
                debug!(error.code = error.code(), "no nickname to be had");
                None
            }
        };
        Ok(Account { member, nickname, latest })
    }
}

/// Asks several regions at once whose account a token opens there. Both regions take each other's
/// tokens, for different people: where both answer, only the rider can say which account is theirs.
pub async fn probe_regions(clients: &[&Client], token: &Token) -> Vec<(Region, Result<Account, ApiError>)> {
    let answers = clients.iter().map(|client| async move { (client.region(), client.account(token).await) });
    futures::future::join_all(answers).await
}

fn not_about_the_token(error: ApiError) -> ApiError {
    match error {
        ApiError::Refused { status, .. } => ApiError::Unavailable { status, retry_after: None },
        ApiError::NotFound => ApiError::Unavailable { status: 404, retry_after: None },
        other => other,
    }
}
