//! Intervals.icu: uploads deduplicated by file hash, per athlete.

mod activities;
mod auth;
pub(crate) mod call;
mod limit;
mod model;
mod oauth;
mod upload;

use auth::Scope;
pub use model::{
    ActivityView, AthleteId, IntervalsToggles, NewActivity, NewAthlete, PlainHttp, RateLimit, RefusedStatus, Reupload,
    Upload,
};

pub(crate) use model::{Athlete, IntervalsState};

use serde_json::json;

use crate::reply::{Incoming, Reply};
use crate::state::State;
use call::Call;

impl State {
    /// One call to Intervals.icu.
    pub(crate) fn intervals(&mut self, call: &Call, request: &Incoming) -> Reply {
        match self.intervals.toggles.plain_http {
            PlainHttp::Serve => {}
            PlainHttp::Redirect308 => {
                let to = format!("https://intervals.icu{}", request.path);
                return Reply::redirect(308, &to);
            }
            PlainHttp::Forbidden403 => return denied(),
        }
        if let Some(reply) = self.intervals.throttle(request.now) {
            return reply;
        }
        match call {
            Call::Authorize => return self.intervals.authorize(self.seed, request),
            Call::OauthToken => return self.intervals.exchange(self.seed, request),
            Call::Unknown => {
                let now = request.now.to_string();
                let body = json!({"timestamp": now, "status": 404, "error": "Not Found", "path": request.path});
                return Reply::json(404, &body);
            }
            _ => {}
        }
        let caller = match self.intervals.caller(request) {
            Ok(caller) => caller,
            Err(refused) => return refused,
        };
        let done = match call {
            Call::Upload(athlete) => caller.may(Scope::Write, Some(athlete)).map(|()| self.upload(&caller, request)),
            Call::List(athlete) => {
                caller.may(Scope::Read, Some(athlete)).map(|()| self.intervals.list(&caller, request))
            }
            Call::Athlete(athlete) => caller.is(athlete).map(|()| self.intervals.athlete(&caller, false)),
            Call::Profile(athlete) => caller.is(athlete).map(|()| self.intervals.athlete(&caller, true)),
            Call::Activity(id) => caller.may(Scope::Read, None).map(|()| self.intervals.activity(&caller, id)),
            Call::Update(id) => caller.may(Scope::Write, None).map(|()| self.intervals.update(&caller, id, request)),
            Call::Delete(id) => caller.may(Scope::Write, None).map(|()| self.intervals.delete(&caller, id)),
            _ => Ok(self.intervals.disconnect(request)),
        };
        done.unwrap_or_else(|refused| refused)
    }
}

/// The refusal seen for foreign athletes and missing scopes.
fn denied() -> Reply {
    Reply::json(403, &json!({"status": 403, "error": "Access denied"}))
}

/// The refusal of a request that makes no sense.
fn unprocessable(reason: &str) -> Reply {
    Reply::json(422, &json!({"status": 422, "error": reason}))
}

fn not_found() -> Reply {
    Reply::json(404, &json!({"status": 404, "error": "Activity not found"}))
}
