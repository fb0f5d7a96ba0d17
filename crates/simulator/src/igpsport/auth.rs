//! Who is calling, and the two ways to log in.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::respond::{failure, unauthorized};
use super::{FieldFailure, MemberId, PasswordFailure, Region, mint};
use crate::reply::{Incoming, Reply};
use crate::state::State;

/// The constant the web app sends with a login.
const APP_ID: &str = "igpsport-web";

impl State {
    /// The member of `region` whom the request's token opens.
    ///
    /// A token of the other region opens the member of the same number here: the hazard.
    pub(crate) fn caller(&self, region: Region, request: &Incoming) -> Result<MemberId, Reply> {
        let here = self.region(region);
        let refused = || unauthorized(&here.toggles);
        let text = request.bearer().ok_or_else(refused)?;
        let token = self.tokens.good(text, false, request.now).ok_or_else(refused)?;
        let known = token.region == region || here.toggles.accept_other_region;
        if known && here.members.contains_key(&token.member) { Ok(token.member) } else { Err(refused()) }
    }

    pub(crate) fn login(&mut self, region: Region, request: &Incoming) -> Reply {
        let toggles = self.region(region).toggles.clone();
        let body = request.json().unwrap_or(Value::Null);
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let (Some(user), Some(password), Some(app)) = (text("username"), text("password"), text("appId")) else {
            return bad_fields(toggles.field_failure);
        };
        if app != APP_ID {
            return bad_fields(toggles.field_failure);
        }
        let Some(member) = self.check_password(region, &user, &password) else {
            let status = match toggles.password_failure {
                PasswordFailure::Forbidden403 => 403,
                PasswordFailure::Ok200 => 200,
            };
            return failure(status, 1002, "Password error");
        };
        let (access, refresh) = self.tokens_for(region, member, request);
        super::respond::success(&json!({
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": toggles.token_life_s,
            "token_type": "Bearer",
            "scope": "activity.api device.api mobile.api offline_access openid user.api",
            "boundPhone": false,
        }))
    }

    /// `connect/token`: bare OAuth JSON, no envelope.
    pub(crate) fn oauth_token(&mut self, region: Region, request: &Incoming) -> Reply {
        let toggles = self.region(region).toggles.clone();
        let field = |name: &str| request.form_value(name).unwrap_or_default();
        let member = match field("grant_type").as_str() {
            "password" if toggles.oauth_password_grant => {
                self.check_password(region, &field("username"), &field("password"))
            }
            "refresh_token" if toggles.refresh_grant => {
                let text = field("refresh_token");
                let owner = self
                    .tokens
                    .good(&text, true, request.now)
                    .filter(|token| token.region == region)
                    .map(|token| token.member);
                self.tokens.revoke(&text);
                owner
            }
            _ => return Reply::json(400, &json!({"error": "unsupported_grant_type"})),
        };
        let Some(member) = member else {
            return Reply::json(400, &json!({"error": "invalid_grant", "error_description": "refused"}));
        };
        let (access, refresh) = self.tokens_for(region, member, request);
        Reply::json(
            200,
            &json!({
                "access_token": access,
                "refresh_token": refresh,
                "expires_in": toggles.token_life_s,
                "token_type": "Bearer",
                "boundPhone": false,
                "memberId": member.to_string(),
            }),
        )
    }

    fn check_password(&self, region: Region, user: &str, password: &str) -> Option<MemberId> {
        let here = self.region(region);
        let id = here.logins.get(&user.to_lowercase())?;
        let member = here.members.get(id)?;
        (member.password == password).then_some(*id)
    }

    fn tokens_for(&mut self, region: Region, member: MemberId, request: &Incoming) -> (String, String) {
        let seed = self.seed;
        let here = self.region_mut(region);
        if let Some(member) = here.members.get_mut(&member) {
            member.logins += 1;
        }
        let toggles = here.toggles.clone();
        if toggles.evict_on_login {
            self.tokens.revoke_all(region, member);
        }
        let life = SignedDuration::from_secs(toggles.token_life_s);
        let owner = (region, member);
        let mut make = |life, refresh| {
            let claim = toggles.member_claim;
            mint(&mut self.tokens, seed, owner, claim, request.now, life, refresh)
        };
        (make(life, false), make(life.saturating_mul(4), true))
    }
}

fn bad_fields(how: FieldFailure) -> Reply {
    let status = match how {
        FieldFailure::BadRequest400 => 400,
        FieldFailure::Ok200 => 200,
    };
    failure(status, 1001, "Parameter error")
}
