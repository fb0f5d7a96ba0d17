//! Webhooks that are sent a link: the receiver downloads the file with it, and nothing else.

use fitbridge_core::ports::Clock as _;
use fitbridge_local::SystemClock;
use fitbridge_simulator::{Fault, FaultRule, Region, Role};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

use crate::service::{Service, WEBHOOK_SECRET};

/// What a link answers: status and body.
async fn get(url: &Url) -> (String, Vec<u8>) {
    let address = url.socket_addrs(|| None).expect("an address")[0];
    let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let host = url.host_str().expect("a host");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut socket = TcpStream::connect(address).await.expect("it answers");
    socket.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    (head.lines().next().unwrap_or_default().to_owned(), answer[end + 4..].to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_downloads_with_the_link_what_the_file_host_has() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(2, 0).await;
    let secret = fitbridge_sinks::webhook::sealed_secret(&SecretString::from(WEBHOOK_SECRET)).expect("a secret");
    let url = service.simulator.webhook_url();
    service.connect_sink(&riders[0].user, "webhook", json!({ "url": url, "mode": "link" }), &secret).await;
    let by_hand = ["connect", riders[1].user.as_str(), "webhook", &url, "--mode", "link", "--secret-stdin"];
    service.admin(&by_hand, WEBHOOK_SECRET).await.exits(0);
    for rider in &riders {
        service.new_rides(rider, 2);
    }
    // One attempt whose answer is lost: the next has a link of its own, under the same id.
    service.world().add_fault(FaultRule::new(Fault::DropAfterCommit).on(Role::Webhook).times(1));
    service.run_until_quiet().await;
    for rider in &riders {
        service.assert_at_intervals(std::slice::from_ref(rider));
    }

    let now = SystemClock.now();
    let mut ids = std::collections::BTreeMap::<String, (String, usize)>::new();
    for attempt in service.world().webhook_attempts() {
        if attempt.id.starts_with("ping_") {
            continue;
        }
        assert_eq!(attempt.refused, None, "the signature is good");
        let message: Value = serde_json::from_slice(&attempt.body.expect("bodies are kept")).expect("JSON");
        assert_eq!(message["type"], "activity.file.created");
        let file = &message["data"]["file"];
        let url: Url = file["url"].as_str().expect("a link").parse().expect("a URL");
        let ends: Timestamp = file["expires_at"].as_str().expect("a time").parse().expect("a time");
        assert!(ends > now && ends <= now + SignedDuration::from_hours(1), "{ends}");
        let (status, bytes) = get(&url).await;
        assert!(status.contains(" 200 "), "{status}");
        let sha256 = hex::encode(Sha256::digest(&bytes));
        assert_eq!((file["sha256"].as_str(), file["size"].as_u64()), (Some(&*sha256), Some(bytes.len() as u64)));
        ids.entry(attempt.id).or_insert((sha256, 0)).1 += 1;
    }
    let mut upstream = Vec::new();
    for rider in &riders {
        for ride in service.world().rides(Region::Global, rider.member) {
            upstream.push(service.world().ride_sha256(Region::Global, ride.ride_id).expect("a file"));
        }
    }
    let mut there: Vec<_> = ids.values().map(|(sha256, _)| sha256.clone()).collect();
    there.sort();
    upstream.sort();
    assert_eq!(there, upstream);
    assert_eq!(ids.values().map(|(_, attempts)| attempts).sum::<usize>(), 5, "one was sent again: {ids:?}");
    // Whoever reads the log cannot download.
    for said in [service.poller.said(), service.sink.said()] {
        assert!(!said.contains("X-Amz-Signature"), "{said}");
    }
}
