//! The decoders of this crate, for fuzzers: each takes any input, checks what must hold whatever comes, and tells
//! what kind of input it was.

use bytes::Bytes;
use reqwest::header::HeaderMap;

use crate::{
    detail::{Detail, download_location},
    envelope::Answer,
    error::ApiError,
    login::read_login,
    row::ListPage,
    token::Token,
};

/// HTTP statuses, chosen by the first byte of an input.
const STATUSES: [u16; 8] = [200, 401, 302, 403, 404, 429, 500, 400];

fn answer(input: &[u8]) -> Answer {
    let (first, body) = input.split_first().unwrap_or((&0, &[]));
    let status = STATUSES[usize::from(*first) % STATUSES.len()];
    Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body) }
}

fn told(error: &ApiError) -> String {
    let text = error.to_string();
    assert!(!text.contains("eyJ"), "an error repeats what may be a token: {text}");
    assert!(text.len() < 2_000);
    error.code().to_owned()
}

fn is_clean(text: Option<&String>) {
    if let Some(text) = text {
        assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
        assert!(text.chars().count() <= 512);
    }
}

/// A page of the list. In `0{"code":0,…}` the first byte chooses the HTTP status.
pub fn list(input: &[u8]) -> String {
    let answer = answer(input);
    let page = match answer.data().and_then(|data| ListPage::decode(data.as_deref())) {
        Ok(page) => page,
        Err(error) => return told(&error),
    };
    for row in &page.rows {
        is_clean(row.title.as_ref());
        is_clean(row.product_name.as_ref());
        let numbers = [row.distance_m, row.moving_s, row.avg_speed_mps, row.ascent_m];
        assert!(numbers.into_iter().flatten().all(f64::is_finite));
    }
    // Each row is accounted for.
    let body = String::from_utf8_lossy(&answer.body);
    assert!(page.rows.len() + page.undecodable.len() <= body.matches(',').count() + 1);
    format!("{} rows, {} not", page.rows.len().min(3), page.undecodable.len().min(3))
}

/// The detail of a ride, and the answer of the fallback that gives its file's address.
pub fn detail(input: &[u8]) -> String {
    let answer = answer(input);
    let data = match answer.data() {
        Ok(data) => data,
        Err(error) => return told(&error),
    };
    let detail = match Detail::decode(data.as_deref()) {
        Ok(detail) => {
            is_clean(detail.title.as_ref());
            let shown = format!("{detail:?}");
            assert!(detail.fit_url.as_ref().is_none_or(|url| url.0.len() < 4 || !shown.contains(&url.0)), "{shown}");
            let facts = (detail.member.is_some(), detail.local_start.is_some(), detail.fit_url.is_some());
            format!("{facts:?}")
        }
        Err(error) => told(&error),
    };
    let location = match download_location(data.as_deref()) {
        Ok(location) => location.is_some().to_string(),
        Err(error) => told(&error),
    };
    format!("{detail} {location}")
}

/// The answer to a login.
pub fn login(input: &[u8]) -> String {
    match read_login(&answer(input)) {
        Ok(answer) => {
            assert!(!format!("{answer:?}").contains("eyJ"), "a token shows itself");
            claims(&answer.token)
        }
        Err(error) => told(&error),
    }
}

/// An answer as the report of a first contact shows it to others.
pub fn redaction(body: &[u8]) -> String {
    let report = crate::first_contact::redacted(body);
    let shown = report.to_string();
    assert!(!shown.contains("eyJ") && !shown.contains('@'), "what may be a token or an address is shown: {shown}");
    is_printable(&report);
    // Each value is no longer than its form.
    assert!(shown.len() <= 100 + 60 * body.len(), "{} bytes from {}", shown.len(), body.len());
    match report {
        serde_json::Value::Object(fields) => format!("{} fields", fields.len().min(5)),
        other => other.to_string().chars().take(8).collect(),
    }
}

fn is_printable(shown: &serde_json::Value) {
    let is_text = |text: &str| assert!(!text.chars().any(char::is_control), "{text:?}");
    match shown {
        serde_json::Value::String(text) => is_text(text),
        serde_json::Value::Array(elements) => elements.iter().for_each(is_printable),
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            is_text(name);
            is_printable(value);
        }),
        _ => {}
    }
}

/// A token as people paste it.
pub fn token(text: &str) -> String {
    match Token::parse(text) {
        Ok(token) => claims(&token),
        Err(error) => error.to_string(),
    }
}

fn claims(token: &Token) -> String {
    match token.decode() {
        Ok(facts) => format!("{} {}", facts.expires_at.is_some(), facts.not_before.is_some()),
        Err(error) => error.to_string(),
    }
}
