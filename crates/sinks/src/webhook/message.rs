//! What a webhook is sent.

use bytes::Bytes;
use fitbridge_core::{domain::About, ports::SinkFile};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::text::{one_line, percent_encode};

/// The media type of FIT files.
pub(super) const FIT: &str = "application/vnd.ant.fit";

const JSON: &str = "application/json";

/// The event of a file that was fetched.
const FILE_CREATED: &str = "activity.file.created";

/// A body, its type, and the ride's facts where headers carry them.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Message {
    /// The file itself; what is known of the ride stands in headers.
    pub(super) fn raw(file: &SinkFile, about: &About) -> Self {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: Option<String>| {
            // Values are percent-encoded or numbers, so none is refused.
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        let encoded = |text: &str| percent_encode(&one_line(text, 200));
        put("content-type", Some(FIT.to_owned()));
        put("x-fitbridge-event", Some(FILE_CREATED.to_owned()));
        put("x-fitbridge-ride-id", Some(encoded(&about.external_id)));
        put("x-fitbridge-source", Some(encoded(&about.source)));
        put("x-fitbridge-started-at", about.start.map(|start| start.to_string()));
        put("x-fitbridge-local-start", about.local_start.map(|start| start.to_string()));
        put("x-fitbridge-sha256", Some(file.content.to_string()));
        put("x-fitbridge-size", Some(file.bytes.len().to_string()));
        put("x-fitbridge-name", about.name.as_deref().map(encoded));
        put("x-fitbridge-sport", about.sport.as_deref().map(encoded));
        put("x-fitbridge-device", about.device.as_deref().map(encoded));
        put("x-fitbridge-distance-m", about.distance_m.map(|distance| distance.to_string()));
        put("x-fitbridge-elapsed-s", about.elapsed_s.map(|elapsed| elapsed.to_string()));
        Self { headers, body: file.bytes.clone() }
    }

    /// The news that there is a file, with a link to it where one was made.
    pub(super) fn notify(file: &SinkFile, about: &About, now: Timestamp) -> Self {
        let mut there = json!({
            "sha256": file.content.to_string(),
            "size": file.bytes.len(),
            "content_type": FIT,
        });
        if let Some(link) = &file.link {
            // The receiver is who it was made for.
            there["url"] = link.url.expose_secret().into();
            there["expires_at"] = link.expires_at.to_string().into();
        }
        Self::json(&json!({
            "type": FILE_CREATED,
            "timestamp": now.to_string(),
            "data": {
                "activity_id": about.external_id,
                "source": about.source,
                "started_at": about.start.map(|start| start.to_string()),
                "local_start": about.local_start.map(|start| start.to_string()),
                "name": about.name.as_deref().map(|name| one_line(name, 200)),
                "sport": about.sport,
                "device": about.device.as_deref().map(|device| one_line(device, 200)),
                "distance_m": about.distance_m,
                "elapsed_s": about.elapsed_s,
                "file": there,
            },
        }))
    }

    /// A question whether somebody is there.
    pub(super) fn ping(now: Timestamp) -> Self {
        Self::json(&json!({ "type": "fitbridge.ping", "timestamp": now.to_string(), "data": {} }))
    }

    /// A JSON message.
    pub(super) fn json(value: &serde_json::Value) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(JSON))]);
        Self { headers, body: Bytes::from(value.to_string()) }
    }
}
