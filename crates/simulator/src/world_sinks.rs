//! The handle's methods for Intervals.icu and the webhook receiver.

use crate::intervals::{ActivityView, AthleteId, IntervalsToggles, NewActivity, NewAthlete, Upload};
use crate::rng::digest;
use crate::webhook::{WebhookAttempt, WebhookDelivery};
use crate::world::{World, WorldError};

impl World {
    /// Adds an athlete; the id and the API key.
    pub fn add_athlete(&self, new: NewAthlete) -> (AthleteId, String) {
        self.shared.state().add_athlete(new)
    }

    /// The athletes: id, name, API key.
    #[must_use]
    pub fn athletes(&self) -> Vec<(AthleteId, String, String)> {
        let state = self.shared.state();
        state.intervals.athletes.values().map(|a| (a.id.clone(), a.name.clone(), a.api_key.clone())).collect()
    }

    /// Revokes an athlete's API key and all tokens; false when there is no such athlete.
    pub fn revoke_athlete(&self, athlete: &AthleteId) -> bool {
        let mut state = self.shared.state();
        for bearer in state.intervals.bearers.values_mut() {
            if bearer.athlete == *athlete {
                bearer.revoked = true;
            }
        }
        match state.intervals.athletes.get_mut(athlete) {
            Some(athlete) => {
                athlete.key_revoked = true;
                true
            }
            None => false,
        }
    }

    /// Gives an athlete a new API key, and ends the old one.
    ///
    /// # Errors
    /// When there is no such athlete.
    pub fn renew_key(&self, athlete: &AthleteId) -> Result<String, WorldError> {
        let mut state = self.shared.state();
        let seed = state.seed;
        let intervals = &mut state.intervals;
        intervals.made += 1;
        let made = intervals.made.to_string();
        let found = intervals.athletes.get_mut(athlete);
        let found = found.ok_or_else(|| WorldError::UnknownAthlete(athlete.clone()))?;
        let key = digest(seed, &["key", &athlete.0, &made])[..25].to_owned();
        intervals.keys.remove(&found.api_key);
        found.api_key.clone_from(&key);
        found.key_revoked = false;
        intervals.keys.insert(key.clone(), athlete.clone());
        Ok(key)
    }

    /// An OAuth token of an athlete with these scopes (such as `ACTIVITY:WRITE`).
    ///
    /// # Errors
    /// When there is no such athlete.
    pub fn intervals_token(&self, athlete: &AthleteId, scopes: &[&str]) -> Result<String, WorldError> {
        let mut state = self.shared.state();
        if !state.intervals.athletes.contains_key(athlete) {
            return Err(WorldError::UnknownAthlete(athlete.clone()));
        }
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let seed = state.seed;
        Ok(state.intervals.issue_token(seed, athlete, scopes))
    }

    /// An authorisation code, as the consent page hands out: two minutes, once.
    ///
    /// # Errors
    /// When there is no such athlete.
    pub fn intervals_code(&self, athlete: &AthleteId, scopes: &[&str]) -> Result<String, WorldError> {
        let now = self.now();
        let mut state = self.shared.state();
        if !state.intervals.athletes.contains_key(athlete) {
            return Err(WorldError::UnknownAthlete(athlete.clone()));
        }
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let seed = state.seed;
        Ok(state.intervals.issue_code(seed, athlete, scopes, now))
    }

    /// Puts an activity there that came by another route; its id.
    ///
    /// # Errors
    /// When there is no such athlete.
    pub fn add_activity(&self, athlete: &AthleteId, new: &NewActivity) -> Result<String, WorldError> {
        let mut state = self.shared.state();
        if !state.intervals.athletes.contains_key(athlete) {
            return Err(WorldError::UnknownAthlete(athlete.clone()));
        }
        Ok(state.intervals.seed(athlete, new))
    }

    /// Deletes an activity, as its athlete does on the site; `false` when there is none of that id.
    #[must_use]
    pub fn delete_activity(&self, id: &str) -> bool {
        let mut state = self.shared.state();
        state.intervals.activities.get_mut(id).map(|activity| activity.deleted = true).is_some()
    }

    /// All activities of an athlete, deleted ones too.
    #[must_use]
    pub fn activities(&self, athlete: &AthleteId) -> Vec<ActivityView> {
        let state = self.shared.state();
        state.intervals.activities.values().filter(|activity| activity.athlete == *athlete).cloned().collect()
    }

    /// Everything Intervals.icu received, in order, duplicates and lost answers included.
    #[must_use]
    pub fn uploads(&self) -> Vec<Upload> {
        self.shared.state().intervals.uploads.clone()
    }

    /// The switches of Intervals.icu.
    #[must_use]
    pub fn intervals_toggles(&self) -> IntervalsToggles {
        self.shared.state().intervals.toggles.clone()
    }

    /// Changes the switches of Intervals.icu.
    pub fn set_intervals_toggles(&self, change: impl FnOnce(&mut IntervalsToggles)) {
        change(&mut self.shared.state().intervals.toggles);
    }

    /// The secrets (`whsec_…`) that verify at the webhook receiver from now on; several during a rotation.
    ///
    /// # Errors
    /// When one is malformed; then the old ones stay.
    pub fn set_webhook_secrets(&self, secrets: &[String]) -> Result<(), WorldError> {
        Ok(self.shared.state().webhook.set_secrets(secrets)?)
    }

    /// Every request at the webhook receiver, in order.
    #[must_use]
    pub fn webhook_attempts(&self) -> Vec<WebhookAttempt> {
        self.shared.state().webhook.attempts().to_vec()
    }

    /// The verified deliveries, one per `webhook-id`.
    #[must_use]
    pub fn webhook_deliveries(&self) -> Vec<WebhookDelivery> {
        self.shared.state().webhook.deliveries()
    }

    /// Forgets all received webhooks, ids included.
    pub fn clear_webhooks(&self) {
        self.shared.state().webhook.clear();
    }
}
