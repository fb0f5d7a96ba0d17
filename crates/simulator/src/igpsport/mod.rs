//! iGPSport's cloud: two regions of the same shape, each with its own members and rides.

mod auth;
pub(crate) mod call;
mod detail;
mod hooks;
mod list;
mod respond;
mod ride;
mod store;
mod toggles;
mod token;

pub use hooks::PageAction;
pub use ride::{FileSpec, NewRide, RideBatch, RideView, RowShape};
pub use store::{MemberView, NewMember};
pub use toggles::{
    AuthFailure, BeyondEnd, DateStyle, DownloadUrlShape, FieldFailure, MemberClaim, Outage, PageSizeEcho,
    PasswordFailure, SigningFailure, Toggles, UnknownRide, UrlShape,
};

pub(crate) use hooks::PageHook;
pub(crate) use ride::Ride;
pub(crate) use store::{Member, RegionState};
pub(crate) use token::{Tokens, mint};

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::reply::{Incoming, Reply};
use crate::rng::digest;
use crate::state::State;
use call::Call;

/// The two clouds, which share no accounts (but trust each other's tokens: the hazard).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// The world outside mainland China.
    #[default]
    Global,
    /// Mainland China.
    China,
}

impl Region {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Global, Self::China];

    /// The name used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::China => "china",
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No such region.
#[derive(Debug, thiserror::Error)]
#[error("no region is called {0:?}: global or china")]
pub struct UnknownRegion(String);

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|region| region.as_str() == s).ok_or_else(|| UnknownRegion(s.to_owned()))
    }
}

/// A member's number. The same number is another person in the other region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A ride's number, unique within a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RideId(pub i64);

impl fmt::Display for RideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl State {
    /// One call to a region's API.
    pub(crate) fn igpsport(&mut self, region: Region, call: &Call, request: &Incoming) -> Reply {
        let toggles = self.region(region).toggles.clone();
        let reply = match respond::outage(&toggles, call.is_public()) {
            Some(reply) => reply,
            None if toggles.signing_required && !call.is_public() && request.header("x-signature").is_none() => {
                respond::unsigned(&toggles)
            }
            None => self.igpsport_up(region, call, request),
        };
        respond::dress(reply, &toggles, request)
    }

    fn igpsport_up(&mut self, region: Region, call: &Call, request: &Incoming) -> Reply {
        match call {
            Call::Login => return self.login(region, request),
            Call::OauthToken => return self.oauth_token(region, request),
            Call::PublicKey => {
                // 256 bytes in base64, as the handshake of the China web app hands out.
                let key = digest(self.seed, &["signing", region.as_str()]).repeat(4);
                let key = BASE64.encode(key);
                return respond::success(&json!({ "secret_key": key }));
            }
            Call::Config => return respond::mobile_success(&json!("")),
            Call::Unknown => return respond::failure(404, 404, "Not Found"),
            Call::UserInfo | Call::List | Call::Detail(_) | Call::DownloadUrl(_) => {}
        }
        let caller = match self.caller(region, request) {
            Ok(caller) => caller,
            Err(refused) => return refused,
        };
        match call {
            Call::List => self.list(region, caller, request),
            Call::Detail(ride) => self.detail(region, caller, ride, request),
            Call::DownloadUrl(ride) => self.download_url(region, caller, ride, request),
            _ => self.user_info(region, caller),
        }
    }
}
