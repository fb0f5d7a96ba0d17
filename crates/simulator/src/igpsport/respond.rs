//! The envelope, and the ways of refusing.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_ENCODING;
use serde_json::{Value, json};

use super::{AuthFailure, Outage, SigningFailure, Toggles, UnknownRide};
use crate::reply::{Incoming, Payload, Reply, gzip};

/// A success.
pub(crate) fn success(data: &Value) -> Reply {
    Reply::json(200, &json!({"code": 0, "message": "success", "data": data}))
}

/// A success of the mobile API, which has an empty message.
pub(crate) fn mobile_success(data: &Value) -> Reply {
    Reply::json(200, &json!({"code": 0, "message": "", "data": data}))
}

pub(crate) fn failure(status: u16, code: i32, message: &str) -> Reply {
    Reply::json(status, &json!({"code": code, "message": message, "data": null}))
}

/// The refusal of a token.
pub(crate) fn unauthorized(toggles: &Toggles) -> Reply {
    match toggles.auth_failure {
        AuthFailure::Envelope401 => Reply::json(401, &json!({"code": 401, "message": "Unauthorized"})),
        AuthFailure::Empty401 => Reply::empty(401),
        AuthFailure::Html401 => Reply::html(401),
        AuthFailure::Ok200 => failure(200, 401, "token is invalid or expired"),
        AuthFailure::Forbidden403 => Reply::json(403, &json!({"code": 403, "message": "Forbidden"})),
    }
}

/// The refusal of a call without a signature.
pub(crate) fn unsigned(toggles: &Toggles) -> Reply {
    let message = "signature verification failed";
    match toggles.signing_failure {
        SigningFailure::Forbidden403 => failure(403, 4030, message),
        SigningFailure::Unauthorized401 => failure(401, 4010, message),
        SigningFailure::Ok200 => failure(200, 4010, message),
        SigningFailure::ServerError500 => failure(500, 500, message),
    }
}

/// The answer for a ride that is not there for this member.
pub(crate) fn unknown_ride(toggles: &Toggles) -> Reply {
    match toggles.unknown_ride {
        UnknownRide::NotFound404 => failure(404, 404, "Not Found"),
        UnknownRide::Ok200 => failure(200, 500, "activity does not exist"),
    }
}

/// The answer of a region that is away.
pub(crate) fn outage(toggles: &Toggles, public: bool) -> Option<Reply> {
    match toggles.outage {
        Outage::None => None,
        Outage::RefuseEverybody => (!public).then(|| unauthorized(toggles)),
        Outage::Unavailable => Some(Reply::error(503, None)),
        Outage::Firewall => Some(Reply::html(403)),
        Outage::Reset => Some(Reply::reset()),
    }
}

/// What happens to every JSON body on its way out.
pub(crate) fn dress(mut reply: Reply, toggles: &Toggles, request: &Incoming) -> Reply {
    let Payload::Bytes(body) = &reply.payload else {
        return reply;
    };
    if toggles.raw_control_characters
        && let Ok(text) = std::str::from_utf8(body)
    {
        reply.payload = Payload::Bytes(unescape_controls(text).into());
    }
    let accepts = request.header("accept-encoding").is_some_and(|value| value.contains("gzip"));
    if toggles.gzip_json
        && accepts
        && let Payload::Bytes(body) = &reply.payload
    {
        reply.payload = Payload::Bytes(gzip(body).into());
        reply = reply.header(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

/// Puts control characters into JSON text as they are, which the standard forbids.
fn unescape_controls(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escaped) = rest.split_at(at);
        text.push_str(before);
        let raw = match escaped.get(..2) {
            Some("\\n") => Some(('\n', 2)),
            Some("\\t") => Some(('\t', 2)),
            Some("\\r") => Some(('\r', 2)),
            Some("\\b") => Some(('\u{8}', 2)),
            Some("\\f") => Some(('\u{c}', 2)),
            Some("\\u") => escaped
                .get(2..6)
                .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                .filter(|code| *code < 0x20)
                .and_then(char::from_u32)
                .map(|raw| (raw, 6)),
            _ => None,
        };
        let taken = match raw {
            Some((raw, taken)) => {
                text.push(raw);
                taken
            }
            None => {
                let taken = escaped.len().min(2);
                text.push_str(&escaped[..taken]);
                taken
            }
        };
        rest = &escaped[taken..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_lose_their_escape() {
        let title = "a\u{1}b\n\"quoted\" \\n \\ end";
        let json = serde_json::to_string(title).expect("JSON");
        assert_eq!(unescape_controls(&json), "\"a\u{1}b\n\\\"quoted\\\" \\\\n \\\\ end\"");
        assert!(serde_json::from_str::<String>(&unescape_controls(&json)).is_err());
    }
}
