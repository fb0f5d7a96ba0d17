use base64::{Engine as _, engine::general_purpose::STANDARD};
use fitbridge_core::ports::FileLink;
use fitbridge_http::{GuardedOptions, UrlGuard, guarded_client};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::*;
use crate::testing::{Received, Reply, Server, about, attempt, closed_port, cutting_server, file, now};

const KEY: [u8; 32] = [7; 32];

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        now()
    }
}

fn sink(trusted: &[String], timeout: Duration) -> Webhook {
    let guard = Arc::new(UrlGuard::new(trusted).unwrap());
    Webhook::new(guarded_client(guard, &GuardedOptions::default()).unwrap(), Arc::new(Fixed), timeout)
}

fn sink_for(server: &Server) -> Webhook {
    sink(&[server.address.to_string()], Duration::from_secs(10))
}

fn secret() -> SecretString {
    sealed_secret(&new_secret(KEY)).unwrap()
}

fn target(url: &str, mode: &str) -> SinkTarget {
    let account = RemoteAccount { service: Service::from_any(SERVICE), realm: String::new(), account: url.into() };
    SinkTarget { account, settings: json!({"url": url, "mode": mode}), secret: Some(secret()) }
}

async fn deliver(sink: &Webhook, target: &SinkTarget) -> Outcome {
    sink.deliver(target, &file(b"\x0e\x00.FIT\xff\xfe"), &about(), &attempt(1)).await
}

async fn outcome_of(reply: Reply) -> (Outcome, usize) {
    let server = Server::start([reply]).await;
    let outcome = deliver(&sink_for(&server), &target(server.url().as_str(), "raw")).await;
    (outcome, server.received().len())
}

/// The signatures a receiver with that key would accept, computed from what arrived.
fn expected_signature(request: &Received, key: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    let (id, time) = (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(&request.body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn raw_mode_posts_the_bytes_with_the_facts_in_headers() {
    let server = Server::start([Reply::new(204, "")]).await;
    let url = server.url().join("hook?token=1").unwrap();
    let outcome = deliver(&sink_for(&server), &target(url.as_str(), "raw")).await;
    assert_eq!(outcome, Outcome::Created { remote_id: None });
    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook"));
    assert_eq!(request.query, [("token".to_owned(), "1".to_owned())]);
    assert_eq!(request.body, b"\x0e\x00.FIT\xff\xfe".as_slice());
    for (name, value) in [
        ("content-type", "application/vnd.ant.fit"),
        ("webhook-id", "msg_0123456789abcdef0123"),
        ("webhook-timestamp", "784111717"),
        ("webhook-signature", &expected_signature(request, &KEY)),
        ("x-fitbridge-event", "activity.file.created"),
        ("x-fitbridge-ride-id", "igpsport_31827705"),
        ("x-fitbridge-source", "igpsport"),
        ("x-fitbridge-started-at", "2025-06-01T17:30:05Z"),
        ("x-fitbridge-local-start", "2025-06-01T19:30:05"),
        ("x-fitbridge-sha256", &ContentId::of(&request.body).to_string()),
        ("x-fitbridge-size", "8"),
        ("x-fitbridge-name", "Z%C3%BCrich%20%26%20zur%C3%BCck%20%20X-Evil%3A%201"),
        ("x-fitbridge-sport", "cycling"),
        ("x-fitbridge-device", "iGPSPORT%20BSC300"),
        ("x-fitbridge-distance-m", "25000.25"),
        ("x-fitbridge-elapsed-s", "3600.5"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn notify_mode_tells_of_the_file_without_sending_it() {
    let server = Server::start([Reply::new(200, "ok")]).await;
    let outcome = deliver(&sink_for(&server), &target(server.url().as_str(), "notify")).await;
    assert_eq!(outcome, Outcome::Created { remote_id: None });
    let request = &server.received()[0];
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("webhook-signature"), Some(expected_signature(request, &KEY).as_str()));
    let message: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(message["type"], "activity.file.created");
    assert_eq!(message["timestamp"], "1994-11-06T08:48:37Z");
    let data = &message["data"];
    assert_eq!((&data["activity_id"], &data["source"]), (&json!("igpsport_31827705"), &json!("igpsport")));
    assert_eq!(data["started_at"], "2025-06-01T17:30:05Z");
    let content = ContentId::of(b"\x0e\x00.FIT\xff\xfe").to_string();
    assert_eq!(data["file"], json!({"sha256": content, "size": 8, "content_type": "application/vnd.ant.fit"}));
}

#[tokio::test]
async fn link_mode_adds_the_link_of_the_attempt_and_its_end_to_the_notice() {
    let server = Server::start([Reply::new(200, "ok")]).await;
    let (sink, target) = (sink_for(&server), target(server.url().as_str(), "link"));
    assert!(sink.wants_link(&target.settings) && !sink.wants_link(&json!({"url": "https://a.example", "mode": "raw"})));
    let url = "https://bucket.example/fit/me/ab/abc.fit?X-Amz-Signature=s3cret";
    let link = FileLink { url: SecretString::from(url), expires_at: "1994-11-06T09:48:37Z".parse().unwrap() };
    let file = SinkFile { link: Some(link), ..file(b"x") };
    assert!(!format!("{file:?}").contains("s3cret"));
    let outcome = sink.deliver(&target, &file, &about(), &attempt(1)).await;
    assert_eq!(outcome, Outcome::Created { remote_id: None });
    let request = &server.received()[0];
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("webhook-signature"), Some(expected_signature(request, &KEY).as_str()));
    let message: Value = serde_json::from_slice(&request.body).unwrap();
    let there = json!({
        "sha256": ContentId::of(b"x").to_string(),
        "size": 1,
        "content_type": "application/vnd.ant.fit",
        "url": url,
        "expires_at": "1994-11-06T09:48:37Z",
    });
    assert_eq!(message["data"]["file"], there);
    assert_eq!(message["data"]["activity_id"], "igpsport_31827705");

    let without = SinkFile { link: None, ..file };
    let outcome = sink.deliver(&target, &without, &about(), &attempt(2)).await;
    assert_eq!(outcome, Outcome::NeedsReauth(Code::LinkUnsupported.into()));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn the_id_stays_over_attempts_and_the_time_is_each_ones_own() {
    let server = Server::start([Reply::new(500, ""), Reply::new(200, "")]).await;
    let sink = sink_for(&server);
    let target = target(server.url().as_str(), "raw");
    let first = sink.deliver(&target, &file(b"x"), &about(), &attempt(1)).await;
    assert!(matches!(first, Outcome::Transient { .. }), "{first:?}");
    let later = Attempt { now: Timestamp::from_second(784_111_800).unwrap(), ..attempt(2) };
    assert_eq!(sink.deliver(&target, &file(b"x"), &about(), &later).await, Outcome::Created { remote_id: None });
    let [one, two] = <[Received; 2]>::try_from(server.received()).unwrap();
    assert_eq!(one.header("webhook-id"), two.header("webhook-id"));
    assert_eq!(two.header("webhook-timestamp"), Some("784111800"));
    assert_ne!(one.header("webhook-signature"), two.header("webhook-signature"));
}

#[tokio::test]
async fn during_a_rotation_both_keys_sign() {
    let server = Server::start([Reply::new(200, "")]).await;
    let rotated = rotate(&secret(), &new_secret([8; 32])).unwrap();
    let target = SinkTarget { secret: Some(rotated), ..target(server.url().as_str(), "raw") };
    deliver(&sink_for(&server), &target).await;
    let request = &server.received()[0];
    let both = format!("{} {}", expected_signature(request, &[8; 32]), expected_signature(request, &KEY));
    assert_eq!(request.header("webhook-signature"), Some(both.as_str()));
}

#[tokio::test]
async fn each_answer_has_its_outcome() {
    let transient = |code, detail: &str| Outcome::Transient { failure: Failure::new(code, detail), retry_after: None };
    for (status, expected) in [
        (299, Outcome::Created { remote_id: None }),
        (304, transient(Code::WebhookRedirect, "304")),
        (400, transient(Code::WebhookStatus, "400")),
        (401, transient(Code::WebhookStatus, "401")),
        (410, Outcome::NeedsReauth(Failure::new(Code::WebhookGone, "410"))),
        (429, Outcome::Throttled { retry_after: None }),
        (500, transient(Code::WebhookStatus, "500")),
        (503, transient(Code::WebhookStatus, "503")),
    ] {
        assert_eq!(outcome_of(Reply::new(status, "<html>")).await.0, expected, "{status}");
    }
    let pause = |seconds| Outcome::Throttled { retry_after: Some(Duration::from_secs(seconds)) };
    for status in [429, 502, 503, 504] {
        assert_eq!(outcome_of(Reply::new(status, "").with("retry-after", "5")).await.0, pause(5), "{status}");
    }
    let dated = Reply::new(429, "")
        .with("date", "Sun, 06 Nov 1994 08:49:07 GMT")
        .with("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(outcome_of(dated).await.0, pause(30));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (outcome, requests) = outcome_of(Reply::new(307, "").with("location", "/elsewhere")).await;
    assert!(matches!(outcome, Outcome::Transient { failure, .. } if failure.code == Code::WebhookRedirect));
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn broken_calls_tell_whether_the_message_may_have_arrived() {
    let at = async |address: std::net::SocketAddr, timeout| {
        deliver(&sink(&[address.to_string()], timeout), &target(&format!("http://{address}/"), "raw")).await
    };
    let usual = Duration::from_secs(10);
    let cut = at(cutting_server("").await, usual).await;
    assert!(matches!(&cut, Outcome::Unknown(failure) if failure.code == Code::SinkUnknownOutcome), "{cut:?}");
    let half = at(cutting_server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await, usual).await;
    assert_eq!(half, Outcome::Created { remote_id: None });
    let endless = at(cutting_server("HTTP/1.1 200 OK\r\n\r\nand then").await, usual).await;
    assert_eq!(endless, Outcome::Created { remote_id: None });
    let (_nobody, closed) = closed_port();
    let refused = at(closed, usual).await;
    assert!(matches!(&refused, Outcome::Transient { failure, .. } if failure.code == Code::SinkAway), "{refused:?}");
    let server = Server::start([Reply::new(200, "").after(Duration::from_secs(30))]).await;
    let slow = at(server.address, Duration::from_millis(300)).await;
    assert!(matches!(&slow, Outcome::Unknown(failure) if failure.code == Code::SinkTimeout), "{slow:?}");
}

#[tokio::test]
async fn addresses_that_are_not_allowed_are_never_called() {
    let server = Server::start([Reply::new(200, "")]).await;
    let strict = sink(&[], Duration::from_secs(5));
    let port = server.address.port();
    for url in [
        server.url().to_string(),
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[::1]/".to_owned(),
        "https://user:pw@example.org/".to_owned(),
        "no url".to_owned(),
    ] {
        let outcome = deliver(&strict, &target(&url, "raw")).await;
        // It was admitted when it was connected: a setting that was forgotten must not cost a ride.
        let waits = |outcome: &Outcome| matches!(outcome, Outcome::Transient { failure, .. } if failure.code == Code::WebhookRefusedUrl);
        assert!(waits(&outcome), "{url}: {outcome:?}");
        let error = strict.check(&json!({"url": url}), Some(&secret())).await.unwrap_err();
        assert!(matches!(&error, SinkError::Settings(f) if f.code == Code::WebhookRefusedUrl), "{url}: {error:?}");
        assert!(!error.to_string().contains("pw@"), "{error}");
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_connection_that_cannot_be_opened_makes_no_call() {
    let server = Server::start([Reply::new(200, "")]).await;
    let sink = sink_for(&server);
    let good = target(server.url().as_str(), "raw");
    let short = Some(SecretString::from(r#"{"secrets":["whsec_AAAA"]}"#));
    for bad in [
        SinkTarget { secret: None, ..good.clone() },
        SinkTarget { secret: short, ..good.clone() },
        SinkTarget { settings: json!({"url": server.url().as_str(), "mode": "mail"}), ..good.clone() },
        SinkTarget { settings: Value::Null, ..good.clone() },
    ] {
        let outcome = deliver(&sink, &bad).await;
        assert!(matches!(outcome, Outcome::NeedsReauth(_)), "{outcome:?}");
    }
    let dotted = Attempt { id: "a.b".to_owned(), ..attempt(1) };
    let outcome = sink.deliver(&good, &file(b"x"), &about(), &dotted).await;
    assert!(matches!(outcome, Outcome::Rejected(failure) if failure.code == Code::Bug));
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_check_sends_a_signed_ping_and_completes_the_settings() {
    let server = Server::start([Reply::new(200, "")]).await;
    let url = server.url().join("hook#part").unwrap();
    let identity = sink_for(&server).check(&json!({"url": url.as_str()}), Some(&secret())).await.unwrap();
    let plain = server.url().join("hook").unwrap();
    assert_eq!(identity.settings, json!({"url": plain.as_str(), "mode": "raw"}));
    assert_eq!((identity.account.account.as_str(), identity.label), (plain.as_str(), server.address.to_string()));
    let request = &server.received()[0];
    let ping: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(ping, json!({"type": "fitbridge.ping", "timestamp": "1994-11-06T08:48:37Z", "data": {}}));
    assert_eq!(request.header("webhook-signature"), Some(expected_signature(request, &KEY).as_str()));
    assert!(request.header("webhook-id").unwrap().starts_with("ping_"));
}

#[tokio::test]
async fn a_check_that_fails_says_who_has_to_act() {
    for (status, settings, code) in [
        (302, true, Code::WebhookRedirect),
        (410, true, Code::WebhookGone),
        (404, false, Code::WebhookStatus),
        (429, false, Code::SinkThrottled),
        (503, false, Code::WebhookStatus),
    ] {
        let server = Server::start([Reply::new(status, "")]).await;
        let error = sink_for(&server).check(&json!({"url": server.url().as_str()}), Some(&secret())).await.unwrap_err();
        assert_eq!((matches!(error, SinkError::Settings(_)), error.failure().code), (settings, code), "{status}");
    }
    let server = Server::start([Reply::new(200, "")]).await;
    let error = sink_for(&server).check(&json!({"url": server.url().as_str()}), None).await.unwrap_err();
    assert!(matches!(error, SinkError::NeedsReauth(_)), "{error:?}");
    let (_nobody, address) = closed_port();
    let url = json!({"url": format!("http://{address}/")});
    let error = sink(&[address.to_string()], Duration::from_secs(5)).check(&url, Some(&secret())).await.unwrap_err();
    assert!(matches!(error, SinkError::Away { .. }), "{error:?}");
}
