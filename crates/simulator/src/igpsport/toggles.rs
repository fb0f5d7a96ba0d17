//! What is assumed or only likely about iGPSport, as switches.

use serde::{Deserialize, Serialize};

/// How an absent, malformed, expired or revoked token is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthFailure {
    /// HTTP 401 with `{"code":401,"message":"Unauthorized"}`.
    #[default]
    Envelope401,
    /// HTTP 401 without a body.
    Empty401,
    /// HTTP 401 with an HTML page.
    Html401,
    /// HTTP 200 with `code` 401 and a message about the token.
    Ok200,
    /// HTTP 403 with `{"code":403,"message":"Forbidden"}`.
    Forbidden403,
}

/// How a wrong password (or account, or region) is refused; the body is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordFailure {
    /// HTTP 403.
    #[default]
    Forbidden403,
    /// HTTP 200.
    Ok200,
}

/// How a login with missing fields or another `appId` is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldFailure {
    /// HTTP 400.
    #[default]
    BadRequest400,
    /// HTTP 200 with a code other than 0.
    Ok200,
}

/// Where the token names the member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberClaim {
    /// `memberid` as text, and `sub`.
    #[default]
    Text,
    /// `memberid` as a number, and `sub`.
    Number,
    /// Only `sub`.
    SubOnly,
}

/// What `pageSize` the list says it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageSizeEcho {
    /// At most 20, as used.
    #[default]
    Clamped,
    /// What was asked for.
    Requested,
}

/// How the list writes a ride's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateStyle {
    /// `2026.06.02`
    #[default]
    Dotted,
    /// `2026-06-02 13:56:49`
    Full,
    /// `null`
    Null,
    /// `""`
    Empty,
}

/// What a page after the last one holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeyondEnd {
    /// No rows.
    #[default]
    Empty,
    /// The rows of the last page again.
    RepeatLast,
    /// `data: null`.
    NullData,
}

/// How `getDownloadUrl` hands out a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownloadUrlShape {
    /// The URL itself.
    #[default]
    Text,
    /// `null`
    Null,
    /// `""`
    Empty,
    /// `{"url": …}`
    Object,
}

/// How the detail hands out `fitUrl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlShape {
    /// The URL.
    #[default]
    Text,
    /// `null`
    Null,
    /// `""`
    Empty,
    /// No such key.
    Absent,
}

/// How a ride that is unknown, deleted or another member's is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownRide {
    /// HTTP 404 with an envelope.
    #[default]
    NotFound404,
    /// HTTP 200 with `code` 500.
    Ok200,
}

/// How an unsigned call is refused while signing is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigningFailure {
    /// HTTP 403 with an envelope that names the signature.
    #[default]
    Forbidden403,
    /// HTTP 401 with an envelope that names the signature.
    Unauthorized401,
    /// HTTP 200 with a code other than 0 and a message that names the signature.
    Ok200,
    /// HTTP 500.
    ServerError500,
}

/// The whole region is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// It is not.
    #[default]
    None,
    /// Every token is refused, in the region's way of refusing.
    RefuseEverybody,
    /// Everything answers 503.
    Unavailable,
    /// A firewall answers 403 with HTML.
    Firewall,
    /// Connections are reset.
    Reset,
}

/// The switches of one region. The default is what is confirmed or likeliest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Toggles {
    /// How a bad token is refused.
    pub auth_failure: AuthFailure,
    /// How a bad password is refused.
    pub password_failure: PasswordFailure,
    /// How an incomplete login is refused.
    pub field_failure: FieldFailure,
    /// A login revokes the member's other tokens.
    pub evict_on_login: bool,
    /// The other region's tokens open this region's member of the same number.
    pub accept_other_region: bool,
    /// `connect/token` knows the password grant.
    pub oauth_password_grant: bool,
    /// `connect/token` knows the refresh grant.
    pub refresh_grant: bool,
    /// User info answers 403 to good tokens.
    pub user_info_403: bool,
    /// Life of a minted token in seconds.
    pub token_life_s: i64,
    /// Where a token names its member.
    pub member_claim: MemberClaim,
    /// The page size echoed.
    pub page_size_echo: PageSizeEcho,
    /// How rows write the start.
    pub dates: DateStyle,
    /// What lies after the last page.
    pub beyond_end: BeyondEnd,
    /// `endTime` excludes its own day.
    pub end_time_exclusive: bool,
    /// Every row's `rideId` is text.
    pub ride_id_as_text: bool,
    /// Rows omit what is optional.
    pub sparse_rows: bool,
    /// Rows carry a field nobody has seen before.
    pub extra_fields: bool,
    /// Rows carry `fitOssPath`.
    pub fit_oss_path: bool,
    /// `getDownloadUrl`'s way.
    pub download_url: DownloadUrlShape,
    /// `fitUrl`'s way.
    pub detail_url: UrlShape,
    /// The answer for a ride that is not there.
    pub unknown_ride: UnknownRide,
    /// A deleted ride's file is gone from the file host too.
    pub deleted_files_gone: bool,
    /// Calls without `x-signature` are refused (login is not).
    pub signing_required: bool,
    /// How they are refused.
    pub signing_failure: SigningFailure,
    /// The region is away.
    pub outage: Outage,
    /// Control characters stand unescaped in JSON text.
    pub raw_control_characters: bool,
    /// JSON is gzipped for clients that accept it.
    pub gzip_json: bool,
}

impl Default for Toggles {
    fn default() -> Self {
        Self {
            auth_failure: AuthFailure::default(),
            password_failure: PasswordFailure::default(),
            field_failure: FieldFailure::default(),
            evict_on_login: false,
            accept_other_region: true,
            oauth_password_grant: true,
            refresh_grant: false,
            user_info_403: false,
            token_life_s: 7 * 24 * 3600,
            member_claim: MemberClaim::default(),
            page_size_echo: PageSizeEcho::default(),
            dates: DateStyle::default(),
            beyond_end: BeyondEnd::default(),
            end_time_exclusive: false,
            ride_id_as_text: false,
            sparse_rows: false,
            extra_fields: false,
            fit_oss_path: false,
            download_url: DownloadUrlShape::default(),
            detail_url: UrlShape::default(),
            unknown_ride: UnknownRide::default(),
            deleted_files_gone: false,
            signing_required: false,
            signing_failure: SigningFailure::default(),
            outage: Outage::default(),
            raw_control_characters: false,
            gzip_json: false,
        }
    }
}
