//! Reading, changing and deleting activities.

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::auth::Caller;
use super::{ActivityView, IntervalsState, not_found, unprocessable};
use crate::reply::{Incoming, Reply};

impl IntervalsState {
    pub(crate) fn athlete(&self, caller: &Caller, profile: bool) -> Reply {
        let Some(athlete) = self.athletes.get(&caller.athlete) else {
            return not_found();
        };
        let body = json!({"id": athlete.id, "name": athlete.name});
        if profile {
            Reply::json(200, &json!({"athlete": body, "sharedFolders": [], "customItems": []}))
        } else {
            Reply::json(200, &body)
        }
    }

    pub(crate) fn list(&self, caller: &Caller, request: &Incoming) -> Reply {
        // Dates or date-times are taken; the day counts.
        let day = |name: &str| -> Option<Result<Date, jiff::Error>> {
            request.query_value(name).map(|text| text.get(..10).unwrap_or(&text).parse())
        };
        let oldest = match day("oldest") {
            Some(Ok(oldest)) => oldest,
            Some(Err(_)) => return unprocessable("Invalid oldest"),
            None => return unprocessable("oldest is required"),
        };
        let newest = match day("newest") {
            Some(Ok(newest)) => Some(newest),
            Some(Err(_)) => return unprocessable("Invalid newest"),
            None => None,
        };
        let fields = request.query_value("fields");
        let fields: Option<Vec<&str>> = fields.as_deref().map(|text| text.split(',').collect());
        let mut found: Vec<&ActivityView> = self
            .activities
            .values()
            .filter(|activity| {
                let date = activity.start_date_local.date();
                activity.athlete == caller.athlete
                    && !activity.deleted
                    && date >= oldest
                    && newest.is_none_or(|newest| date <= newest)
            })
            .collect();
        found.sort_by_key(|activity| std::cmp::Reverse(activity.start_date_local));
        let rows: Vec<Value> = found.into_iter().map(|activity| shown(activity, fields.as_deref())).collect();
        Reply::json(200, &Value::Array(rows))
    }

    pub(crate) fn activity(&self, caller: &Caller, id: &str) -> Reply {
        match self.own(caller, id) {
            Some(activity) => Reply::json(200, &shown(activity, None)),
            None => not_found(),
        }
    }

    pub(crate) fn update(&mut self, caller: &Caller, id: &str, request: &Incoming) -> Reply {
        let Some(change) = request.json() else {
            return unprocessable("Invalid JSON");
        };
        if self.own(caller, id).is_none() {
            return not_found();
        }
        let Some(activity) = self.activities.get_mut(id) else {
            return not_found();
        };
        if let Some(kind) = change.get("type").and_then(Value::as_str) {
            activity.kind = kind.to_owned();
        }
        if let Some(name) = change.get("name").and_then(Value::as_str) {
            activity.name = name.to_owned();
        }
        Reply::json(200, &shown(activity, None))
    }

    pub(crate) fn delete(&mut self, caller: &Caller, id: &str) -> Reply {
        if self.own(caller, id).is_none() {
            return not_found();
        }
        if let Some(activity) = self.activities.get_mut(id) {
            activity.deleted = true;
        }
        Reply::json(200, &json!({"icu_athlete_id": caller.athlete, "id": id}))
    }

    fn own(&self, caller: &Caller, id: &str) -> Option<&ActivityView> {
        self.activities.get(id).filter(|activity| activity.athlete == caller.athlete && !activity.deleted)
    }
}

/// An activity as the API shows it: a Strava one is an empty stub.
fn shown(activity: &ActivityView, fields: Option<&[&str]>) -> Value {
    let mut row = Map::new();
    row.insert("id".into(), json!(activity.id));
    row.insert("icu_athlete_id".into(), json!(activity.athlete));
    row.insert("start_date_local".into(), json!(activity.start_date_local.strftime("%Y-%m-%dT%H:%M:%S").to_string()));
    row.insert("source".into(), json!(activity.source));
    if activity.source == "STRAVA" {
        row.insert("_note".into(), json!("STRAVA activities are not available via the API"));
    } else {
        row.insert("type".into(), json!(activity.kind));
        row.insert("name".into(), json!(activity.name));
        row.insert("external_id".into(), json!(activity.external_id));
        row.insert("elapsed_time".into(), json!(activity.elapsed_s));
        row.insert("moving_time".into(), json!(activity.elapsed_s));
        row.insert("distance".into(), json!(activity.distance_m));
    }
    if let Some(fields) = fields {
        row.retain(|key, _| fields.contains(&key.as_str()) || key == "_note");
    }
    Value::Object(row)
}
