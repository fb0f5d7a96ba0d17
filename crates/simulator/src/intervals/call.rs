//! The calls of Intervals.icu's API.

use axum::http::Method;

/// One call, its path parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The athlete in the path.
    Upload(String),
    /// The athlete in the path.
    List(String),
    /// The athlete in the path.
    Athlete(String),
    /// The athlete in the path.
    Profile(String),
    /// The activity in the path.
    Activity(String),
    /// The activity in the path.
    Update(String),
    /// The activity in the path.
    Delete(String),
    DisconnectApp,
    Authorize,
    OauthToken,
    Unknown,
}

impl Call {
    pub(crate) fn parse(method: &Method, path: &str) -> Self {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let get = *method == Method::GET;
        match *segments.as_slice() {
            ["api", "v1", "athlete", id, "activities"] if *method == Method::POST => Self::Upload(id.to_owned()),
            ["api", "v1", "athlete", id, "activities"] if get => Self::List(id.to_owned()),
            ["api", "v1", "athlete", id] if get => Self::Athlete(id.to_owned()),
            ["api", "v1", "athlete", id, "profile"] if get => Self::Profile(id.to_owned()),
            ["api", "v1", "activity", id] if get => Self::Activity(id.to_owned()),
            ["api", "v1", "activity", id] if *method == Method::PUT => Self::Update(id.to_owned()),
            ["api", "v1", "activity", id] if *method == Method::DELETE => Self::Delete(id.to_owned()),
            ["api", "v1", "disconnect-app"] if *method == Method::DELETE => Self::DisconnectApp,
            ["oauth", "authorize"] if get => Self::Authorize,
            ["api", "oauth", "token"] if *method == Method::POST => Self::OauthToken,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Upload(_) => "upload",
            Self::List(_) => "list",
            Self::Athlete(_) => "athlete",
            Self::Profile(_) => "profile",
            Self::Activity(_) => "activity",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
            Self::DisconnectApp => "disconnect_app",
            Self::Authorize => "authorize",
            Self::OauthToken => "oauth_token",
            Self::Unknown => "unknown",
        }
    }
}
