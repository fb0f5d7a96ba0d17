use axum::extract::{FromRequest as _, Multipart};
use fitbridge_http::{ApiOptions, api_client};
use jiff::civil::date;
use serde_json::json;

use super::*;
use crate::testing::{Received, Reply, Server, about, attempt, closed_port, cutting_server, file};

const KEY: &str = "k3y-of-the-rider";
const UPLOADED: &str = r#"{"icu_athlete_id":"i7","id":"i55","activities":[{"icu_athlete_id":"i7","id":"i55"}]}"#;
const PAGE: &str = "<!DOCTYPE html><html><body>Sorry</body></html>";

fn sink(base: &str, timeout: Duration) -> Intervals {
    let client = api_client(&ApiOptions { total_timeout: timeout, ..ApiOptions::default() }).unwrap();
    Intervals::new(base.parse().unwrap(), client, timeout)
}

fn sink_at(server: &Server) -> Intervals {
    sink(server.url().as_str(), Duration::from_secs(10))
}

fn target(settings: Value) -> SinkTarget {
    let account = RemoteAccount { service: Service::from_any(SERVICE), realm: String::new(), account: "i7".into() };
    SinkTarget { account, settings, secret: Some(api_key_secret(&SecretString::from(KEY))) }
}

async fn deliver_to(sink: &Intervals) -> Outcome {
    sink.deliver(&target(json!({})), &file(b"\x0e.FIT bytes"), &about(), &attempt(1)).await
}

async fn outcome_of(reply: Reply) -> Outcome {
    let server = Server::start([reply]).await;
    deliver_to(&sink_at(&server)).await
}

fn code(outcome: &Outcome) -> (&'static str, Option<Code>) {
    match outcome {
        Outcome::Created { .. } => ("created", None),
        Outcome::AlreadyThere { .. } => ("already there", None),
        Outcome::Accepted { .. } => ("accepted", None),
        Outcome::Rejected(failure) => ("rejected", Some(failure.code)),
        Outcome::NeedsReauth(failure) => ("needs reauth", Some(failure.code)),
        Outcome::Throttled { .. } => ("throttled", None),
        Outcome::Transient { failure, .. } => ("transient", Some(failure.code)),
        Outcome::Unknown(failure) => ("unknown", Some(failure.code)),
    }
}

async fn parts(request: &Received) -> Vec<(Option<String>, Option<String>, Option<String>, Vec<u8>)> {
    let rebuilt = axum::extract::Request::builder()
        .header("content-type", request.header("content-type").unwrap())
        .body(axum::body::Body::from(request.body.clone()))
        .unwrap();
    let mut multipart = Multipart::from_request(rebuilt, &()).await.unwrap();
    let mut parts = Vec::new();
    while let Some(field) = multipart.next_field().await.unwrap() {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let head = (text(field.name()), text(field.file_name()), text(field.content_type()));
        parts.push((head.0, head.1, head.2, field.bytes().await.unwrap().to_vec()));
    }
    parts
}

#[tokio::test]
async fn the_file_is_the_only_part_and_the_rest_is_in_the_query() {
    let server = Server::start([Reply::new(201, UPLOADED)]).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let outcome = sink_at(&server).deliver(&target(json!({})), &file(&bytes), &about(), &attempt(1)).await;
    assert_eq!(outcome, Outcome::Created { remote_id: Some(fitbridge_core::domain::RemoteId("i55".into())) });
    let requests = server.received();
    let [request] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/athlete/0/activities"));
    let query: Vec<_> = request.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("external_id", "igpsport_31827705"),
        ("name", "Zürich & zurück  X-Evil: 1"),
        ("device_name", "iGPSPORT BSC300"),
    ];
    assert_eq!(query, expected);
    // API_KEY:k3y-of-the-rider
    assert_eq!(request.header("authorization"), Some("Basic QVBJX0tFWTprM3ktb2YtdGhlLXJpZGVy"));
    let part = |text: &str| Some(text.to_owned());
    let parts = parts(request).await;
    assert_eq!(parts, [(part("file"), part("igpsport_31827705.fit"), part("application/octet-stream"), bytes)]);
}

#[tokio::test]
async fn a_bearer_and_a_named_athlete_are_used() {
    let server = Server::start([Reply::new(200, UPLOADED)]).await;
    let secret = Some(bearer_secret(&SecretString::from("t0ken")));
    let target = SinkTarget { secret, ..target(json!({"athlete": "i99"})) };
    let outcome = sink_at(&server).deliver(&target, &file(b"x"), &about(), &attempt(1)).await;
    assert!(matches!(outcome, Outcome::AlreadyThere { remote_id: Some(_) }), "{outcome:?}");
    let request = &server.received()[0];
    assert_eq!(request.path, "/api/v1/athlete/i99/activities");
    assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
}

#[tokio::test]
async fn each_answer_has_its_outcome() {
    let denied = r#"{"status":403,"error":"Access denied"}"#;
    for (status, body, expected) in [
        (201, "", ("created", None)),
        (201, "[]", ("created", None)),
        (200, "{\"id\":", ("already there", None)),
        (409, "{}", ("already there", None)),
        (401, "", ("needs reauth", Some(Code::SinkReconnect))),
        (401, PAGE, ("needs reauth", Some(Code::SinkReconnect))),
        (403, denied, ("needs reauth", Some(Code::SinkForbidden))),
        (403, PAGE, ("transient", Some(Code::SinkMalformed))),
        (422, r#"{"status":422,"error":"No"}"#, ("rejected", Some(Code::SinkRejected))),
        (400, "{}", ("rejected", Some(Code::SinkRejected))),
        (400, PAGE, ("transient", Some(Code::SinkMalformed))),
        (413, PAGE, ("rejected", Some(Code::SinkRejected))),
        (415, "", ("rejected", Some(Code::SinkRejected))),
        (404, "{}", ("transient", Some(Code::SinkAway))),
        (308, "", ("transient", Some(Code::SinkMalformed))),
        (200, PAGE, ("transient", Some(Code::SinkMalformed))),
        (201, "<?xml version=\"1.0\"?><Error/>", ("transient", Some(Code::SinkMalformed))),
        (429, "", ("throttled", None)),
        (500, PAGE, ("transient", Some(Code::SinkAway))),
        (502, "", ("transient", Some(Code::SinkAway))),
        (503, "{}", ("transient", Some(Code::SinkAway))),
    ] {
        assert_eq!(code(&outcome_of(Reply::new(status, body)).await), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn all_ids_of_a_multisport_file_are_kept() {
    let body = r#"{"id":"i1","activities":[{"id":"i1"},{"id":"i2"}]}"#;
    let Outcome::AlreadyThere { remote_id: Some(id) } = outcome_of(Reply::new(200, body)).await else { panic!() };
    assert_eq!(id.0, "i1,i2");
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let seconds = outcome_of(Reply::new(429, "").with("retry-after", "7")).await;
    assert_eq!(seconds, Outcome::Throttled { retry_after: Some(Duration::from_secs(7)) });
    let reply = Reply::new(429, "")
        .with("date", "Sun, 06 Nov 1994 08:49:07 GMT")
        .with("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(outcome_of(reply).await, Outcome::Throttled { retry_after: Some(Duration::from_secs(30)) });
    // Without a date of the server's own, the attempt's time counts.
    let dateless = "HTTP/1.1 429 Slow\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
    let base = format!("http://{}", cutting_server(dateless).await);
    let outcome = deliver_to(&sink(&base, Duration::from_secs(10))).await;
    assert_eq!(outcome, Outcome::Throttled { retry_after: Some(Duration::from_secs(60)) });
    let Outcome::Transient { retry_after, .. } = outcome_of(Reply::new(503, "").with("retry-after", "9")).await else {
        panic!()
    };
    assert_eq!(retry_after, Some(Duration::from_secs(9)));
}

#[tokio::test]
async fn the_servers_words_are_quoted_bounded_and_without_the_key() {
    let body = json!({"status": 422, "error": format!("bad\u{1b}[31m key {KEY} {}", "x".repeat(900))}).to_string();
    let Outcome::Rejected(failure) = outcome_of(Reply::new(422, &body)).await else { panic!() };
    assert!(failure.detail.starts_with("422: bad [31m key … xxx"), "{}", failure.detail);
    assert!(failure.detail.chars().count() <= 200);
}

#[tokio::test]
async fn broken_calls_tell_whether_the_file_may_have_arrived() {
    let base = |address| format!("http://{address}/");
    let usual = Duration::from_secs(10);
    let cut = deliver_to(&sink(&base(cutting_server("").await), usual)).await;
    assert_eq!(code(&cut), ("unknown", Some(Code::SinkUnknownOutcome)));
    let half = cutting_server("HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"id\":").await;
    assert_eq!(deliver_to(&sink(&base(half), usual)).await, Outcome::Created { remote_id: None });
    let (_nobody, closed) = closed_port();
    let refused = deliver_to(&sink(&base(closed), usual)).await;
    assert_eq!(code(&refused), ("transient", Some(Code::SinkAway)));
    let server = Server::start([Reply::new(201, UPLOADED).after(Duration::from_secs(30))]).await;
    let slow = deliver_to(&sink(server.url().as_str(), Duration::from_secs(2))).await;
    assert_eq!(code(&slow), ("unknown", Some(Code::SinkTimeout)));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_connection_that_cannot_be_opened_makes_no_call() {
    let server = Server::start([Reply::new(201, UPLOADED)]).await;
    let sink = sink_at(&server);
    let none = SinkTarget { secret: None, ..target(json!({})) };
    for target in [none, target(json!({"athlete": "../me"})), target(json!({"athlet": "i1"})), target(json!(3))] {
        let outcome = sink.deliver(&target, &file(b"x"), &about(), &attempt(1)).await;
        assert!(matches!(outcome, Outcome::NeedsReauth(_)), "{outcome:?}");
    }
    assert!(server.received().is_empty());
}

async fn check(reply: Reply) -> Result<Identity, SinkError> {
    let server = Server::start([reply]).await;
    sink_at(&server).check(&Value::Null, target(Value::Null).secret.as_ref()).await
}

#[tokio::test]
async fn a_check_says_whose_key_it_is() {
    let server = Server::start([Reply::new(200, r#"{"id":"i7","name":"Ada\u0007","sex":"F"}"#)]).await;
    let secret = target(Value::Null).secret;
    let identity = sink_at(&server).check(&json!({"athlete": "i7"}), secret.as_ref()).await.unwrap();
    assert_eq!((identity.account.account.as_str(), identity.label.as_str()), ("i7", "Ada"));
    assert_eq!((identity.account.service.as_str(), identity.account.realm.as_str()), ("intervals", ""));
    assert_eq!(identity.settings, json!({"athlete": "i7"}));
    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/api/v1/athlete/i7"));
    let old = check(Reply::new(200, r#"{"id":40857,"name":" "}"#)).await.unwrap();
    assert_eq!((old.account.account.as_str(), old.label.as_str(), old.settings), ("40857", "40857", json!({})));
}

#[tokio::test]
async fn a_check_that_fails_says_who_has_to_act() {
    for (reply, expected) in [
        (Reply::new(401, ""), "rider sink_reconnect"),
        (Reply::new(403, r#"{"status":403,"error":"Access denied"}"#), "rider sink_reconnect"),
        (Reply::new(403, PAGE), "away sink_away"),
        (Reply::new(404, "{}"), "settings sink_settings"),
        (Reply::new(429, ""), "away sink_throttled"),
        (Reply::new(500, PAGE), "away sink_away"),
        (Reply::new(200, PAGE), "away sink_malformed"),
        (Reply::new(200, "{}"), "away sink_malformed"),
    ] {
        let shown = format!("{reply:?}");
        let error = check(reply).await.unwrap_err();
        let who = match &error {
            SinkError::NeedsReauth(_) => "rider",
            SinkError::Settings(_) => "settings",
            SinkError::Unsupported(_) => "unsupported",
            SinkError::Away { .. } => "away",
        };
        assert_eq!(format!("{who} {}", error.failure().code), expected, "{shown}");
    }
    let (_nobody, closed) = closed_port();
    let away = sink(&format!("http://{closed}"), Duration::from_secs(5));
    let error = away.check(&Value::Null, target(Value::Null).secret.as_ref()).await.unwrap_err();
    assert!(matches!(&error, SinkError::Away { failure, .. } if failure.code == Code::SinkAway), "{error:?}");
}

#[tokio::test]
async fn long_spans_are_listed_year_by_year_and_each_ride_once() {
    let ride = r#"[{"id":"i1","start_date_local":"2025-01-02T08:00:00","source":"STRAVA"}]"#;
    let server = Server::start([Reply::new(200, ride)]).await;
    let rides = sink_at(&server).list(&target(json!({})), date(2023, 3, 1), date(2025, 3, 5)).await.unwrap();
    assert_eq!(rides.len(), 1);
    assert_eq!(rides[0].other_route.as_deref(), Some("STRAVA"));
    let asked: Vec<_> = server.received().iter().map(|r| (r.query[0].1.clone(), r.query[1].1.clone())).collect();
    let span = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let expected =
        [span("2023-03-01", "2024-02-29"), span("2024-03-01", "2025-02-28"), span("2025-03-01", "2025-03-05")];
    assert_eq!(asked, expected);
    assert_eq!(server.received()[0].query[2], ("fields".to_owned(), FIELDS.to_owned()));
    let none = sink_at(&server).list(&target(json!({})), date(2025, 3, 6), date(2025, 3, 5)).await.unwrap();
    assert!(none.is_empty() && server.received().len() == 3);
}

#[tokio::test]
async fn a_list_that_is_refused_or_odd_says_so() {
    let list = async |reply| {
        let server = Server::start([reply]).await;
        sink_at(&server).list(&target(json!({})), date(2025, 1, 1), date(2025, 1, 2)).await.unwrap_err()
    };
    let forbidden = list(Reply::new(403, "{}")).await;
    assert!(matches!(&forbidden, SinkError::Unsupported(f) if f.code == Code::SinkForbidden), "{forbidden:?}");
    assert!(matches!(list(Reply::new(401, "")).await, SinkError::NeedsReauth(_)));
    let throttled = list(Reply::new(429, "").with("retry-after", "3")).await;
    assert!(matches!(throttled, SinkError::Away { retry_after: Some(pause), .. } if pause.as_secs() == 3));
    for (reply, code) in [
        (Reply::new(200, "{}"), Code::SinkMalformed),
        (Reply::new(200, PAGE), Code::SinkMalformed),
        (Reply::new(403, PAGE), Code::SinkAway),
        (Reply::new(404, "{}"), Code::SinkAway),
        (Reply::new(500, ""), Code::SinkAway),
    ] {
        let error = list(reply).await;
        assert!(matches!(&error, SinkError::Away { failure, .. } if failure.code == code), "{error:?}");
    }
}

#[tokio::test]
async fn a_probe_finds_our_id_or_our_start_but_no_copy() {
    let probe = async |rides: Value| {
        let server = Server::start([Reply::new(200, &rides.to_string())]).await;
        let found = sink_at(&server).probe(&target(json!({})), &about()).await;
        let query = server.received()[0].query.clone();
        assert_eq!((query[0].1.as_str(), query[1].1.as_str()), ("2025-05-31", "2025-06-02"));
        match found {
            Ok(Found::There { remote_id }) => remote_id.map(|id| id.0),
            Ok(Found::NotThere) => None,
            Err(error) => panic!("{error}"),
        }
    };
    let ride = |id: &str, external: &str, start: &str, source: &str| json!([{"id": id, "external_id": external, "start_date_local": start, "source": source}]);
    let other_day = "2025-06-02T00:00:00";
    assert_eq!(probe(ride("i1", "igpsport_31827705", other_day, "OAUTH_CLIENT")).await.as_deref(), Some("i1"));
    assert_eq!(probe(ride("i2", "x.fit", "2025-06-01T19:30:04", "UPLOAD")).await.as_deref(), Some("i2"));
    assert_eq!(probe(ride("i3", "x.fit", "2025-06-01T19:30:05", "STRAVA")).await, None);
    assert_eq!(probe(ride("i4", "x.fit", "2025-06-01T19:31:05", "UPLOAD")).await, None);
    let fails = async |status: u16| {
        let server = Server::start([Reply::new(status, "")]).await;
        sink_at(&server).probe(&target(json!({})), &about()).await.expect_err("it cannot tell")
    };
    assert!(matches!(fails(500).await, SinkError::Away { .. }));
    assert!(matches!(fails(401).await, SinkError::NeedsReauth(_)));
}
