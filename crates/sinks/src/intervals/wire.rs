//! What Intervals.icu writes, read leniently: one odd entry never hides the others.

use fitbridge_core::{domain::RemoteId, ports::RemoteRide};
use jiff::civil::DateTime;
use serde_json::Value;

/// Most activities taken from one upload; a multisport file has a handful.
const MAX_ACTIVITIES: usize = 20;

/// Sources whose rides are other files than the head unit's: what a service made of them, or what another
/// device recorded. Files that were uploaded, by whatever app, are not among them; their repeats are
/// recognised by the file's hash. Names that are not known here are not held against a ride.
const OTHER_ROUTES: [&str; 14] = [
    "STRAVA",
    "MANUAL",
    "GARMIN_CONNECT",
    "WAHOO",
    "POLAR",
    "SUUNTO",
    "COROS",
    "ZWIFT",
    "ZEPP",
    "HUAWEI",
    "CONCEPT2",
    "WHOOP",
    "APPLE_HEALTH",
    "HAMMERHEAD",
];

/// The athlete that a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Athlete {
    pub(super) id: String,
    pub(super) name: Option<String>,
}

/// A ride of the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listed {
    pub(super) ride: RemoteRide,
    pub(super) external_id: Option<String>,
}

/// Reads the athlete; `None` when the answer is something else.
pub(super) fn athlete(body: &[u8]) -> Option<Athlete> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let name = text(&json, "name").filter(|name| !name.trim().is_empty());
    Some(Athlete { id: id(json.get("id")?)?, name })
}

/// The ids in the answer to an upload, joined by commas; `None` when it has none that can be read.
pub(super) fn uploaded(body: &[u8]) -> Option<RemoteId> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let listed = json.get("activities").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut ids: Vec<String> =
        listed.iter().filter_map(|activity| id(activity.get("id")?)).take(MAX_ACTIVITIES).collect();
    if ids.is_empty() {
        ids.extend(json.get("id").and_then(id));
    }
    ids.dedup();
    (!ids.is_empty()).then(|| RemoteId(ids.join(",")))
}

/// Reads a list and tells how many entries could not be read; `None` when it is no list.
pub(super) fn list(body: &[u8]) -> Option<(Vec<Listed>, usize)> {
    let entries: Vec<Value> = serde_json::from_slice(body).ok()?;
    let all = entries.len();
    let read: Vec<Listed> = entries.iter().filter_map(listed).collect();
    let skipped = all - read.len();
    Some((read, skipped))
}

fn listed(entry: &Value) -> Option<Listed> {
    let start = text(entry, "start_date_local")?;
    let local_start: DateTime = start.trim_end_matches('Z').parse().ok()?;
    let seconds = |key: &str| entry.get(key).and_then(Value::as_f64).filter(|value| *value > 0.0);
    let ride = RemoteRide {
        remote_id: RemoteId(id(entry.get("id")?)?),
        local_start,
        other_route: text(entry, "source").and_then(other_route),
        elapsed_s: seconds("elapsed_time").or_else(|| seconds("moving_time")),
        distance_m: seconds("distance"),
    };
    Some(Listed { ride, external_id: text(entry, "external_id") })
}

fn other_route(source: String) -> Option<String> {
    OTHER_ROUTES.contains(&source.as_str()).then_some(source)
}

fn text(json: &Value, key: &str) -> Option<String> {
    json.get(key)?.as_str().map(str::to_owned)
}

/// Ids are texts such as `i55610271`; older ones are numbers.
fn id(value: &Value) -> Option<String> {
    let id = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!id.is_empty() && id.len() <= 64 && id.bytes().all(plain)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_ids_come_from_the_activities_or_the_id() {
        let id = |body: &str| uploaded(body.as_bytes()).map(|id| id.0);
        let two = r#"{"icu_athlete_id":"i1","id":"i5","activities":[{"id":"i5"},{"id":"i6"}]}"#;
        assert_eq!(id(two).as_deref(), Some("i5,i6"));
        assert_eq!(id(r#"{"id":7}"#).as_deref(), Some("7"));
        for odd in ["", "ok", "[]", "{}", r#"{"id":null,"activities":3}"#, r#"{"id":"a b"}"#, r#"{"activities":[{}]}"#]
        {
            assert_eq!(id(odd), None, "{odd}");
        }
    }

    #[test]
    fn entries_that_cannot_be_read_do_not_hide_the_others() {
        let body = br#"[
            {"id":"i1","external_id":"igpsport_9","start_date_local":"2025-06-01T17:30:05","source":"OAUTH_CLIENT",
             "elapsed_time":3600,"moving_time":3000,"distance":25000.5,"type":"Ride"},
            {"id":123,"start_date_local":"2025-06-02T07:00:00Z","source":"STRAVA","_note":"stub"},
            {"id":"i3"}, {"start_date_local":"2025-06-02T07:00:00"}, 7, null,
            {"id":"i4","start_date_local":"2025-13-02T07:00:00"},
            {"id":"i5","start_date_local":"2025-06-03T07:00:00","source":null,"moving_time":60,"distance":0}
        ]"#;
        let (rides, skipped) = list(body).unwrap();
        assert_eq!((rides.len(), skipped), (3, 5));
        assert_eq!(rides[0].external_id.as_deref(), Some("igpsport_9"));
        assert_eq!((rides[0].ride.elapsed_s, rides[0].ride.distance_m), (Some(3600.0), Some(25_000.5)));
        assert_eq!(
            (rides[0].ride.other_route.as_deref(), rides[1].ride.other_route.as_deref()),
            (None, Some("STRAVA"))
        );
        assert_eq!(rides[1].ride.remote_id.0, "123");
        assert_eq!((rides[2].ride.elapsed_s, rides[2].ride.distance_m), (Some(60.0), None));
        assert!(list(b"{}").is_none() && list(b"<html>").is_none());
    }

    #[test]
    fn files_are_no_other_route_whoever_sent_them() {
        for (source, other) in [
            ("STRAVA", true),
            ("GARMIN_CONNECT", true),
            ("MANUAL", true),
            ("UPLOAD", false),
            ("DROPBOX", false),
            ("?", false),
        ] {
            assert_eq!(other_route(source.to_owned()).is_some(), other, "{source}");
        }
    }
}
