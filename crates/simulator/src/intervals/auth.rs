//! Who is calling: an API key over Basic, or a token with scopes.

use jiff::Timestamp;
use serde_json::json;

use super::{AthleteId, IntervalsState, RefusedStatus, denied};
use crate::reply::{Incoming, Reply};

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// `ACTIVITY:READ`
    Read,
    /// `ACTIVITY:WRITE`
    Write,
}

/// An OAuth token.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) athlete: AthleteId,
    pub(crate) scopes: Vec<String>,
    pub(crate) revoked: bool,
}

/// An authorisation code: two minutes, once.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) athlete: AthleteId,
    pub(crate) scopes: Vec<String>,
    pub(crate) issued: Timestamp,
    pub(crate) used: bool,
}

/// A caller whose credential is good.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) athlete: AthleteId,
    /// `None` for an API key, which may do everything.
    scopes: Option<Vec<String>>,
    write_implies_read: bool,
}

impl Caller {
    pub(crate) fn uses_key(&self) -> bool {
        self.scopes.is_none()
    }

    /// The athlete in the path is the caller: `0`, or the very id.
    pub(crate) fn is(&self, athlete: &str) -> Result<(), Reply> {
        if athlete == "0" || athlete == self.athlete.0 { Ok(()) } else { Err(denied()) }
    }

    pub(crate) fn may(&self, scope: Scope, athlete: Option<&str>) -> Result<(), Reply> {
        if let Some(athlete) = athlete {
            self.is(athlete)?;
        }
        let Some(scopes) = &self.scopes else {
            return Ok(());
        };
        let has = |name: &str| scopes.iter().any(|scope| scope == name);
        let allowed = match scope {
            Scope::Write => has("ACTIVITY:WRITE"),
            Scope::Read => has("ACTIVITY:READ") || (self.write_implies_read && has("ACTIVITY:WRITE")),
        };
        if allowed { Ok(()) } else { Err(denied()) }
    }
}

impl IntervalsState {
    pub(crate) fn caller(&self, request: &Incoming) -> Result<Caller, Reply> {
        let write_implies_read = self.toggles.write_implies_read;
        if let Some((user, key)) = request.basic() {
            let athlete = self
                .keys
                .get(&key)
                .filter(|_| user == "API_KEY")
                .filter(|id| self.athletes.get(id).is_some_and(|a| !a.key_revoked));
            return athlete
                .map(|athlete| Caller { athlete: athlete.clone(), scopes: None, write_implies_read })
                .ok_or_else(|| self.refused());
        }
        request
            .bearer()
            .and_then(|token| self.bearers.get(token))
            .filter(|bearer| !bearer.revoked)
            .map(|bearer| Caller {
                athlete: bearer.athlete.clone(),
                scopes: Some(bearer.scopes.clone()),
                write_implies_read,
            })
            .ok_or_else(|| self.refused())
    }

    pub(crate) fn refused(&self) -> Reply {
        match self.toggles.refused_status {
            RefusedStatus::Unauthorized401 => Reply::json(401, &json!({"status": 401, "error": "Unauthorized"})),
            RefusedStatus::Forbidden403 => denied(),
        }
    }

    /// Ends the credential that a request uses.
    pub(crate) fn end_credential(&mut self, request: &Incoming) {
        if let Some((_, key)) = request.basic() {
            if let Some(athlete) = self.keys.get(&key).and_then(|id| self.athletes.get_mut(id)) {
                athlete.key_revoked = true;
            }
        } else if let Some(bearer) = request.bearer().and_then(|token| self.bearers.get_mut(token)) {
            bearer.revoked = true;
        }
    }
}
