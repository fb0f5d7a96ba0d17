//! The calls of iGPSport's API.

use axum::http::Method;

/// One call, its path parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Login,
    OauthToken,
    PublicKey,
    Config,
    UserInfo,
    List,
    /// The ride id as it stands in the path.
    Detail(String),
    /// The ride id as it stands in the path.
    DownloadUrl(String),
    Unknown,
}

impl Call {
    pub(crate) fn parse(method: &Method, path: &str) -> Self {
        let lower = path.to_ascii_lowercase();
        let ride = |prefix: &str| path.strip_prefix(prefix).map(str::to_owned);
        match *method {
            Method::POST => match path {
                "/service/auth/account/login" => Self::Login,
                "/service/auth/connect/token" => Self::OauthToken,
                _ => Self::Unknown,
            },
            Method::GET => match path {
                "/service/web-gateway/web-analyze/activity/queryMyActivity" => Self::List,
                "/service/edge-core/api/public/key" => Self::PublicKey,
                "/service/mobile/api/Config/GetDefaultConfig" => Self::Config,
                _ if lower == "/service/mobile/api/user/userinfo" => Self::UserInfo,
                _ => ride("/service/web-gateway/web-analyze/activity/queryActivityDetail/")
                    .map(Self::Detail)
                    .or_else(|| {
                        ride("/service/web-gateway/web-analyze/activity/getDownloadUrl/").map(Self::DownloadUrl)
                    })
                    .unwrap_or(Self::Unknown),
            },
            _ => Self::Unknown,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::OauthToken => "oauth_token",
            Self::PublicKey => "public_key",
            Self::Config => "config",
            Self::UserInfo => "user_info",
            Self::List => "list",
            Self::Detail(_) => "detail",
            Self::DownloadUrl(_) => "download_url",
            Self::Unknown => "unknown",
        }
    }

    /// Answered without a token, and without a signature when signing is on.
    pub(crate) fn is_public(&self) -> bool {
        matches!(self, Self::Login | Self::OauthToken | Self::PublicKey | Self::Config | Self::Unknown)
    }
}
