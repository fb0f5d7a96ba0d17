//! Where a ride's file lies.

use tracing::{debug, instrument};

use crate::client::{Call, Client};
use crate::detail::{Detail, Location, download_location};
use crate::error::ApiError;
use crate::row::RideId;
use crate::token::Token;

pub(crate) const DETAIL_PATH: &str = "/service/web-gateway/web-analyze/activity/queryActivityDetail";
pub(crate) const DOWNLOAD_PATH: &str = "/service/web-gateway/web-analyze/activity/getDownloadUrl";

/// Which call said where the file lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolvedBy {
    /// The detail's `fitUrl`.
    Detail,
    /// `getDownloadUrl`.
    DownloadUrl,
}

/// What is known of a ride's file.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// It lies there.
    Ready {
        /// Where; not checked, and to be fetched without the token.
        location: Location,
        /// Which call said so.
        by: ResolvedBy,
        /// The detail, where that call answered.
        detail: Option<Box<Detail>>,
    },
    /// The ride exists, its file does not yet. Ask again later.
    NotReady {
        /// The detail.
        detail: Box<Detail>,
    },
}

impl Client {
    /// Reads a ride's detail. Whose it is has to be compared: see [`Detail::belongs_to`].
    ///
    /// # Errors
    /// Any [`ApiError`] but those of login; [`ApiError::NotFound`] for a ride that does not exist,
    /// which the service also tells with a code of its own ([`ApiError::Api`]).
    #[instrument(level = "debug", skip_all, fields(igpsport.ride_id = %ride))]
    pub async fn detail(&self, token: &Token, ride: RideId) -> Result<Detail, ApiError> {
        let path = format!("{DETAIL_PATH}/{ride}");
        let answer = self.call(Call::get(&path).with_token(token)).await?;
        Detail::decode(answer.data()?.as_deref())
    }

    /// Asks for the address of a ride's file; `None` while there is none.
    ///
    /// # Errors
    /// As [`Client::detail`].
    #[instrument(level = "debug", skip_all, fields(igpsport.ride_id = %ride))]
    pub async fn download_url(&self, token: &Token, ride: RideId) -> Result<Option<Location>, ApiError> {
        let path = format!("{DOWNLOAD_PATH}/{ride}");
        let answer = self.call(Call::get(&path).with_token(token)).await?;
        download_location(answer.data()?.as_deref())
    }

    /// Finds where a ride's file lies: the detail says it, or else `getDownloadUrl` does. Either of
    /// the two is known to fail or to be empty where the other works.
    ///
    /// # Errors
    /// [`ApiError::MemberMismatch`] when the ride is not the token's member's; otherwise the detail's
    /// error when both calls fail, as that is the more telling one, or the second one's when the
    /// token was refused there.
    #[instrument(level = "debug", skip_all, fields(igpsport.ride_id = %ride))]
    pub async fn resolve(&self, token: &Token, ride: RideId) -> Result<Resolution, ApiError> {
        let member = token.decode()?.member;
        let detail = match self.detail(token, ride).await {
            Ok(mut detail) => {
                detail.belongs_to(&member)?;
                if let Some(location) = detail.fit_url.take() {
                    return Ok(Resolution::Ready { location, by: ResolvedBy::Detail, detail: Some(Box::new(detail)) });
                }
                Ok(Box::new(detail))
            }
            Err(error) if forbids_another_call(&error) => return Err(error),
            Err(error) => {
                debug!(error.code = error.code(), "no detail of ride {ride}, asking for its download URL");
                Err(error)
            }
        };
        match (self.download_url(token, ride).await, detail) {
            (Ok(Some(location)), detail) => {
                Ok(Resolution::Ready { location, by: ResolvedBy::DownloadUrl, detail: detail.ok() })
            }
            (Err(error), _) if forbids_another_call(&error) => Err(error),
            (_, Err(error)) => Err(error),
            // The detail shows that the ride exists.
            (Ok(None) | Err(ApiError::NotFound), Ok(detail)) => Ok(Resolution::NotReady { detail }),
            (Err(error), Ok(_)) => Err(error),
        }
    }
}

/// Whether an error speaks against asking anything else now.
fn forbids_another_call(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::Refused { .. }
            | ApiError::SignatureRequired { .. }
            | ApiError::Throttled { .. }
            | ApiError::BadToken(_)
            | ApiError::MemberMismatch { .. }
            | ApiError::Request(_)
    )
}
