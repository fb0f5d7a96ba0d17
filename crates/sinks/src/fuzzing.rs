//! The decoders of this crate, for fuzzers: each takes any input, checks what must hold whatever comes, and tells
//! what kind of input it was.

use bytes::Bytes;
use fitbridge_core::{
    Code,
    domain::{About, ContentId},
};
use reqwest::{StatusCode, header::HeaderMap};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    answer::Answer,
    folder::placed,
    intervals::{self, decoded},
    webhook,
};

/// What Intervals.icu answers: an athlete, an upload, a list.
pub fn intervals(body: &[u8]) -> String {
    let (athlete, uploaded, rides) = decoded(body);
    if let Some(id) = &uploaded {
        assert!(!id.0.is_empty());
    }
    for ride in rides.iter().flatten() {
        assert!(!ride.remote_id.0.is_empty());
        let numbers = [ride.elapsed_s, ride.distance_m];
        assert!(numbers.into_iter().flatten().all(|number| number.is_finite() && number > 0.0));
    }
    format!("{} {} {:?}", athlete, uploaded.is_some(), rides.map(|rides| rides.len().min(3)))
}

/// A refusal: what a person is told of it is short, printable, and without the secret that was sent.
pub fn refusal(body: &[u8]) -> String {
    const SECRET: &str = "s3cret-of-the-rider";
    let answer =
        Answer { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), body: Ok(Bytes::copy_from_slice(body)) };
    let told = answer.failure(Code::SinkRejected, SECRET).to_string();
    assert!(!told.contains(SECRET), "{told}");
    assert!(told.chars().count() < 1_000 && !told.chars().any(char::is_control), "{told:?}");
    let words = told.split_whitespace().count().min(40);
    format!("{} {} {words}", answer.is_page(), told.contains('…'))
}

/// A secret as the vault gives it back, to each sink that reads one. What is wrong with it is told without quoting it.
pub fn secret(text: &str) -> String {
    let (sealed, new) = (SecretString::from(text), webhook::new_secret([7; 32]));
    let quotes = |told: &str| text.len() >= 8 && told.contains(text);
    let opened = intervals::opened(&sealed).map_err(|failure| failure.to_string());
    let kept = webhook::retire_older(&sealed).map_err(|error| error.to_string());
    let turned = webhook::rotate(&sealed, &new).map_err(|error| error.to_string());
    for told in [opened.as_ref().err(), kept.as_ref().err(), turned.as_ref().err()].into_iter().flatten() {
        assert!(!quotes(told), "{told}");
    }
    for sealed in kept.iter().chain(&turned) {
        assert!(webhook::retire_older(sealed).is_ok(), "what was written is read");
    }
    format!("{:?} {:?} {:?}", opened.err(), kept.err(), turned.err())
}

/// A template for the places of files, and the place of a ride with an ugly title under it.
pub fn template(text: &str) -> String {
    let about = json!({
        "name": "../../etc/passwd \u{0}\u{202e} CON: * ?", "external_id": "igpsport_7", "source": "igpsport",
        "device": "a/b\\c",
    });
    let Ok(about) = serde_json::from_value::<About>(about) else { return "no facts".into() };
    let names = match placed(text, &about, ContentId::of(b"x")) {
        Ok(names) => names,
        Err(refused) => return refused,
    };
    for name in &names {
        assert!(!name.is_empty() && name != "." && name != "..", "{names:?}");
        assert!(!name.contains(['/', '\\', '\0']) && !name.chars().any(char::is_control), "{names:?}");
        assert!(name.len() <= 255, "{names:?}");
    }
    names.len().to_string()
}
