//! Consent, codes and tokens.

use jiff::Timestamp;
use serde_json::json;

use super::auth::{Bearer, Code};
use super::{AthleteId, IntervalsState};
use crate::reply::{Incoming, Reply};
use crate::rng::digest;

/// How long an authorisation code lives.
const CODE_LIFE_S: i64 = 120;

impl IntervalsState {
    /// A code for `athlete`, as the consent page would hand out.
    pub(crate) fn issue_code(&mut self, seed: u64, athlete: &AthleteId, scopes: Vec<String>, now: Timestamp) -> String {
        self.made += 1;
        let code = digest(seed, &["code", &self.made.to_string()])[..24].to_owned();
        self.codes.insert(code.clone(), Code { athlete: athlete.clone(), scopes, issued: now, used: false });
        code
    }

    /// A token for `athlete`, valid until revoked.
    pub(crate) fn issue_token(&mut self, seed: u64, athlete: &AthleteId, scopes: Vec<String>) -> String {
        self.made += 1;
        let token = digest(seed, &["bearer", &self.made.to_string()])[..40].to_owned();
        self.bearers.insert(token.clone(), Bearer { athlete: athlete.clone(), scopes, revoked: false });
        token
    }

    /// The consent page: agrees (or declines) at once on behalf of the first athlete.
    pub(crate) fn authorize(&mut self, seed: u64, request: &Incoming) -> Reply {
        let query = |name: &str| request.query_value(name).unwrap_or_default();
        let back = query("redirect_uri");
        let athlete = self.athletes.keys().next().cloned();
        let (Ok(mut back), Some(athlete)) = (url::Url::parse(&back), athlete) else {
            return Reply::html(400);
        };
        let state = request.query_value("state");
        if self.toggles.consent_declined {
            back.query_pairs_mut().append_pair("error", "access_denied");
        } else {
            let scopes = self.toggles.consent_scopes.clone().unwrap_or_else(|| split_scopes(&query("scope")));
            let code = self.issue_code(seed, &athlete, scopes, request.now);
            back.query_pairs_mut().append_pair("code", &code);
        }
        if let Some(state) = state {
            back.query_pairs_mut().append_pair("state", &state);
        }
        Reply::redirect(302, back.as_str())
    }

    /// The token endpoint.
    pub(crate) fn exchange(&mut self, seed: u64, request: &Incoming) -> Reply {
        let field = |name: &str| request.form_value(name).filter(|value| !value.is_empty());
        let (Some(_), Some(_), Some(code)) = (field("client_id"), field("client_secret"), field("code")) else {
            return Reply::json(400, &json!({"status": 400, "error": "Missing parameter"}));
        };
        let invalid = || Reply::json(400, &json!({"status": 400, "error": "Invalid code"}));
        let Some(code) = self.codes.get_mut(&code) else {
            return invalid();
        };
        let age = request.now.as_second().saturating_sub(code.issued.as_second());
        if code.used || age > CODE_LIFE_S {
            return invalid();
        }
        code.used = true;
        let (athlete, scopes) = (code.athlete.clone(), code.scopes.clone());
        let token = self.issue_token(seed, &athlete, scopes.clone());
        let name = self.athletes.get(&athlete).map(|athlete| &athlete.name);
        Reply::json(
            200,
            &json!({
                "token_type": "Bearer",
                "access_token": token,
                "scope": scopes.join(","),
                "athlete": {"id": athlete, "name": name},
            }),
        )
    }

    /// The app takes its leave: the token ends.
    pub(crate) fn disconnect(&mut self, request: &Incoming) -> Reply {
        match request.bearer().and_then(|token| self.bearers.get_mut(token)) {
            Some(bearer) => {
                bearer.revoked = true;
                Reply::json(200, &json!({}))
            }
            None => self.refused(),
        }
    }
}

fn split_scopes(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}
