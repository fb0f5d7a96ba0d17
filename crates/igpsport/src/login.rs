//! Signing in with e-mail and password.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tracing::instrument;

use crate::client::{Call, Client};
use crate::envelope::Answer;
use crate::error::ApiError;
use crate::lenient::Fields;
use crate::token::Token;

pub(crate) const LOGIN_PATH: &str = "/service/auth/account/login";

/// Body code of a wrong password, an unknown user, and a user of the other region.
const CODE_BAD_PASSWORD: i64 = 1002;

/// What the service wants to know; the constant is the web app's in both regions.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    username: &'a str,
    password: &'a str,
    app_id: &'a str,
}

/// A successful login.
#[derive(Debug, Clone)]
pub struct LoginAnswer {
    /// The token.
    pub token: Token,
    /// Its life, s, as the service says; the token's own `exp` counts.
    pub expires_in_s: Option<i64>,
}

impl Client {
    /// Signs in. The service has never been seen to ask for a captcha; be sparing all the same.
    ///
    /// # Errors
    /// [`ApiError::BadPassword`] for wrong credentials (also those of the other region); a refusal
    /// here is never about a token.
    #[instrument(level = "debug", skip_all)]
    pub async fn login(&self, username: &str, password: &SecretString) -> Result<LoginAnswer, ApiError> {
        read_login(&self.login_answer(username, password).await?)
    }

    pub(crate) async fn login_answer(&self, username: &str, password: &SecretString) -> Result<Answer, ApiError> {
        let body =
            serde_json::to_vec(&Credentials { username, password: password.expose_secret(), app_id: "igpsport-web" })
                .map_err(|error| ApiError::Request(error.to_string()))?;
        self.call(Call { method: reqwest::Method::POST, body: Some(body), ..Call::get(LOGIN_PATH) }).await
    }
}

pub(crate) fn read_login(answer: &Answer) -> Result<LoginAnswer, ApiError> {
    let data = answer.data().map_err(|error| match error {
        ApiError::Refused { code: Some(_), .. }
        | ApiError::Refused { status: 401, .. }
        | ApiError::Api { code: CODE_BAD_PASSWORD, .. } => ApiError::BadPassword,
        // A 403 without the service's envelope comes from something in front of it.
        ApiError::Refused { .. } => ApiError::WafPage,
        ApiError::NotFound => ApiError::Unavailable { status: answer.status, retry_after: None },
        other => other,
    })?;
    let fields = data
        .as_deref()
        .and_then(|data| Fields::parse(data.get()).ok())
        .ok_or_else(|| ApiError::malformed("the login's data is no object"))?;
    // Not `Fields::text`, which shortens.
    let token: String = fields
        .raw("access_token")
        .and_then(|raw| serde_json::from_str(raw).ok())
        .ok_or_else(|| ApiError::malformed("the login gave no access_token"))?;
    let token =
        Token::parse(&token).map_err(|error| ApiError::malformed(format!("the login gave no token: {error}")))?;
    Ok(LoginAnswer { token, expires_in_s: fields.int("expires_in") })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn read(status: u16, body: &'static str) -> Result<LoginAnswer, ApiError> {
        read_login(&Answer { status, headers: HeaderMap::new(), body: body.into() })
    }

    #[test]
    fn a_wrong_password_is_told_in_each_shape() {
        for (status, body) in [
            (403, r#"{"code":1002,"message":"Password error"}"#),
            (200, r#"{"code":1002,"message":"Password error"}"#),
            (400, r#"{"code":1002,"message":"Password error","data":null}"#),
            (401, ""),
            (403, r#"{"code":403,"message":"Forbidden"}"#),
        ] {
            assert_eq!(read(status, body).unwrap_err(), ApiError::BadPassword, "{status} {body}");
        }
    }

    #[test]
    fn other_trouble_is_not_the_password() {
        for (status, body, code) in [
            (403, "<html>", "provider_waf_page"),
            (403, "", "provider_waf_page"),
            (404, "", "provider_away"),
            (500, "", "provider_away"),
            (429, "", "provider_throttled"),
            (200, r#"{"code":1,"message":"appId"}"#, "provider_error"),
            (403, r#"{"code":9,"message":"signature required"}"#, "signature_required"),
            (200, r#"{"code":0,"data":null}"#, "provider_malformed"),
            (200, r#"{"code":0,"data":{"access_token":7}}"#, "provider_malformed"),
            (200, r#"{"code":0,"data":{"access_token":"x"}}"#, "provider_malformed"),
        ] {
            assert_eq!(read(status, body).unwrap_err().code(), code, "{status} {body}");
        }
    }

    #[test]
    fn a_token_is_taken_with_its_life() {
        let body = r#"{"code":0,"message":"success","data":{"access_token":"e30.e30.x","expires_in":604800,
            "refresh_token":"r","token_type":"Bearer","scope":"s","boundPhone":false}}"#;
        let answer = read(200, body).unwrap();
        assert_eq!(answer.expires_in_s, Some(604_800));
        assert_eq!(answer.token.secret().expose_secret(), "e30.e30.x");
    }
}
