//! What lies in the ledger and in the queue: of another version, or damaged.

use fitbridge_aws::queue::{decode, encode};
use fitbridge_core::{
    domain::{Activity, Connection, Contact, Delivery, Event, Habits, Notice, User},
    engine::secrets::SourceSecret,
    store::{BaselineMonth, Breaker, ContentOwner, Cursor, Day, Document, Halt, Listed, Receipt, SeenRides},
};
use secrecy::{ExposeSecret, SecretString};

use super::{Target, text, texts};

/// All of them.
pub(super) const ALL: [Target; 3] = [
    Target {
        name: "queue_message",
        seeds: || {
            texts(&[
                r#"{"v":1,"user":"rider","task":"fetch","activity":"a-1"}"#,
                r#"{"v":1,"user":"rider","task":"deliver","sink":"c-1","content":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
                r#"{"v":2,"user":"rider","task":"poll","connection":"c-1"}"#,
                r#"{"Records":[]}"#,
            ])
        },
        corpus: None,
        words: &[b"\"v\":1", b"\"task\":\"", b"poll", b"resolve", b"settle", b"../", b"\\u0000", b"null"],
        check: message,
    },
    Target { name: "ledger_document", seeds: documents, corpus: None, words: DOCUMENT_WORDS, check: document },
    Target {
        name: "sealed_secret",
        seeds: || {
            texts(&[r#"{"token":"eyJ.x.y"}"#, r#"{"token":"t","login":{"username":"me@example.com","password":"p"}}"#])
        },
        corpus: None,
        words: &[b"\"token\":\"", b"\"login\":{", b"\"username\":\"", b"\"password\":\"", b"\\ud800", b"null", b"{}"],
        check: secret,
    },
];

const DOCUMENT_WORDS: &[&[u8]] = &[
    b"\"schema\":1",
    b"\"state\":\"",
    b"\"discovered\"",
    b"\"unavailable\"",
    b"\"retrying\"",
    b"9999-12-30T22:00:00Z",
    b"-009999-01-02T01:59:59Z",
    b"1e308",
    b"4294967296",
    b"null",
    b"{}",
    b"[]",
];

fn documents() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"schema":1,"user":"me","connections":["igpsport-1"],"created_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"schema":1,"shard":3,"done_minute":29000000,"claimed":{"owner":"o","until":"2026-01-01T00:00:00Z"}}"#,
        r#"{"schema":1,"user":"me","id":"igpsport-1","name":"igpsport","account":{"service":"igpsport","realm":"global","account":"1"},"label":"Rider","state":"active","role":"source","history":"all","connected_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"schema":1,"user":"me","id":"a-1","origin":{"from":"cloud","connection":"igpsport-1","ride_id":7},"ride":{},"state":"discovered","attempts":0,"first_seen_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"schema":1,"user":"me","sink":"folder-1","content":"0000000000000000000000000000000000000000000000000000000000000000","activity":"a-1","about":{"external_id":"igpsport_7","source":"igpsport"},"state":"retrying","failure":{"code":"sink_away"},"attempts":2,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"schema":1,"user":"me","channels":[{"via":"webhook","label":"host","settings":{"url":"https://x"}}],"quiet":{"from":"22:00:00","to":"07:00:00","zone":"UTC"}}"#,
        r#"{"schema":1,"user":"me","cause":{"code":"disk_full","connection":"igpsport-1"},"failure":{"code":"disk_full"},"count":2,"since":"2026-01-01T00:00:00Z","state":"undelivered","why":{"code":"mail_refused"},"message":3,"known":true,"done":["webhook"],"updated_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"schema":1,"user":"me","at":"2026-01-01T00:00:00Z","tag":"t","event":"disconnected","connection":"igpsport-1","name":"n"}"#,
        r#"{"schema":1,"user":"me","day":"2026-01-01","rides":[{"activity":"a-1","start":"2026-01-01T00:00:00Z"}]}"#,
        r#"{"schema":1,"user":"me","source":"igpsport-1","part":1,"rides":[7,8]}"#,
        r#"{"schema":1,"digest":"d","begun_at":"2026-01-01T00:00:00Z","done_at":"2026-01-02T00:00:00Z","records":1,"files":1,"secrets":1}"#,
        r#"{"schema":1,"user":"me","since":"2026-01-01T00:00:00Z"}"#,
        r#"{"schema":1,"since":"2026-01-01T00:00:00Z","note":"n"}"#,
    ])
}

/// What a vault gives back: a source's secret comes back as it was, and is shown by nothing.
fn secret(bytes: &[u8]) -> String {
    let Some(read) = SourceSecret::from_sealed(&SecretString::from(text(bytes).into_owned())) else {
        return "another shape".to_owned();
    };
    let again = SourceSecret::from_sealed(&read.to_sealed());
    let opened = |secret: &SourceSecret| {
        let login = secret.login.as_ref().map(|login| login.password.expose_secret().to_owned());
        (secret.token.expose_secret().to_owned(), login)
    };
    assert_eq!(again.as_ref().map(opened), Some(opened(&read)));
    let token = read.token.expose_secret();
    let name = read.login.as_ref().map(|login| format!("{:?}", login.username)).unwrap_or_default();
    let shown = format!("{read:?}");
    let shown = if name.is_empty() { shown } else { shown.replace(&name, "") };
    assert!(token.len() < 16 || !shown.contains(token), "the token is shown");
    let length = token.len().min(3);
    format!("{length} {:?}", read.login.map(|login| login.username.len().min(3)))
}

fn message(bytes: &[u8]) -> String {
    match decode(&text(bytes)) {
        Ok(job) => {
            let again = encode(&job).ok().and_then(|body| decode(&body).ok());
            assert_eq!(again.as_ref(), Some(&job));
            format!("{:?}", std::mem::discriminant(&job.task))
        }
        Err(error) => error.code().as_str().to_owned(),
    }
}

fn document(bytes: &[u8]) -> String {
    let text = text(bytes);
    let kinds = [
        stands::<User>(&text).then_some("user"),
        stands::<Connection>(&text).then_some("connection"),
        stands::<Activity>(&text).then_some("activity"),
        stands::<Delivery>(&text).then_some("delivery"),
        stands::<ContentOwner>(&text).then_some("content"),
        stands::<BaselineMonth>(&text).then_some("baseline"),
        stands::<Cursor>(&text).then_some("cursor"),
        stands::<Breaker>(&text).then_some("breaker"),
        stands::<Contact>(&text).then_some("contact"),
        stands::<Notice>(&text).then_some("notice"),
        stands::<Event>(&text).then_some("event"),
        stands::<Habits>(&text).then_some("habits"),
        stands::<Day>(&text).then_some("day"),
        stands::<SeenRides>(&text).then_some("seen"),
        stands::<Receipt>(&text).then_some("receipt"),
        stands::<Listed>(&text).then_some("listed"),
        stands::<Halt>(&text).then_some("halt"),
    ];
    let kinds: Vec<_> = kinds.into_iter().flatten().collect();
    kinds.join(" ")
}

/// Whether the text is such a document. One that is survives being written and read again, under a key that a
/// ledger takes.
fn stands<T: Document>(text: &str) -> bool {
    let Ok(read) = serde_json::from_str::<T>(text) else { return false };
    let key = read.key();
    assert!(!key.path.is_empty() && key.path.is_ascii() && !key.path.contains(char::is_whitespace), "{key:?}");
    let written = serde_json::to_value(&read).ok();
    let again = written.clone().and_then(|written| serde_json::from_value::<T>(written).ok());
    let twice = again.and_then(|again| serde_json::to_value(again).ok());
    assert!(written.is_some() && twice == written, "{text}");
    true
}
