//! The file host: the very bytes, and everything that can go wrong with them.

use std::time::Duration;

use fitbridge_simulator::{Fault, FileSpec, NewRide, Region, RideBatch, RideId};
use sha2::{Digest as _, Sha256};

use crate::support::Rig;

const HERE: Region = Region::Global;

async fn one(rig: &Rig) -> (RideId, String) {
    let ride = rig.world().add_ride(HERE, rig.member, &NewRide::default()).expect("a ride");
    (ride, rig.file_url(ride).await)
}

fn spoil(rig: &Rig, ride: RideId, fault: Fault) {
    rig.world().fault_file(HERE, ride, fault, Some(1)).expect("a ride");
}

#[tokio::test]
async fn files_arrive_whole_without_any_authorization() {
    let rig = Rig::new().await;
    let rides = rig.world().add_rides(HERE, rig.member, &RideBatch::standard(2)).expect("rides");
    for ride in rides {
        let url = rig.file_url(ride).await;
        assert!(url.starts_with(&format!("http://{}/", rig.sim.file_host())));
        let bytes = rig.client.get(&url).send().await.expect("an answer").bytes().await.expect("a body");
        assert_eq!(&bytes[8..12], b".FIT");
        let expected = rig.world().ride_sha256(HERE, ride).expect("a ride");
        assert_eq!(hex::encode(Sha256::digest(&bytes)), expected);
        assert_eq!(rig.world().bearer_at_file_host(), 0);
    }
    let (_, url) = one(&rig).await;
    rig.client.get(&url).bearer_auth(&rig.token).send().await.expect("an answer");
    assert_eq!(rig.world().bearer_at_file_host(), 1, "a leak is seen");
    let missing = format!("http://{}/nothing", rig.sim.file_host());
    let response = rig.client.get(missing).send().await.expect("an answer");
    assert_eq!(response.status(), 404);
    assert!(response.text().await.expect("a body").contains("<Code>NoSuchKey</Code>"));
}

#[tokio::test]
async fn rides_can_share_bytes_and_be_malformed() {
    let rig = Rig::new().await;
    let (first, _) = one(&rig).await;
    let same = NewRide { file: FileSpec::SameAs { ride: first }, ..NewRide::default() };
    let same = rig.world().add_ride(HERE, rig.member, &same).expect("a ride");
    let hash = |ride| rig.world().ride_sha256(HERE, ride).expect("a ride");
    assert_eq!(hash(first), hash(same));
    let broken = NewRide { file: FileSpec::Malformed { name: "bad_crc".into() }, ..NewRide::default() };
    let broken = rig.world().add_ride(HERE, rig.member, &broken).expect("a ride");
    assert_ne!(hash(first), hash(broken));
    let unknown = NewRide { file: FileSpec::Malformed { name: "odd".into() }, ..NewRide::default() };
    assert!(rig.world().add_ride(HERE, rig.member, &unknown).is_err());
    assert!(rig.world().prepare().expect("all bytes") > 0);
}

#[tokio::test]
async fn answers_that_are_no_file() {
    let rig = Rig::new().await;
    let (ride, url) = one(&rig).await;
    for (fault, status, start) in [
        (Fault::OssError { code: 403 }, 403, "<?xml"),
        (Fault::HtmlErrorPage { code: 200 }, 200, "<!DOCTYPE html>"),
        (Fault::JsonAnswer, 200, "{"),
        (Fault::ZeroBytes, 200, ""),
        (Fault::Status { code: 503, retry_after: Some(7) }, 503, "{"),
    ] {
        let empty = fault == Fault::ZeroBytes;
        spoil(&rig, ride, fault);
        let response = rig.client.get(&url).send().await.expect("an answer");
        assert_eq!(response.status(), status);
        let text = response.text().await.expect("a body");
        assert!(text.starts_with(start) && text.is_empty() == empty, "{text}");
    }
    let healed = rig.client.get(&url).send().await.expect("an answer").bytes().await.expect("a body");
    assert_eq!(&healed[8..12], b".FIT");
}

#[tokio::test]
async fn redirects_lead_where_the_rule_says() {
    let rig = Rig::new().await;
    let (ride, url) = one(&rig).await;
    for (to, start) in [
        ("self", "/moved/"),
        ("private", "http://169.254.169.254/"),
        ("http", "http://files.example.com/"),
        ("https", "https://files.example.com/"),
        ("trap", "http://127.0.0.1:"),
    ] {
        spoil(&rig, ride, Fault::Redirect { to: to.into() });
        let response = rig.client.get(&url).send().await.expect("an answer");
        assert_eq!(response.status(), 302);
        let location = response.headers()["location"].to_str().expect("text").to_owned();
        assert!(location.starts_with(start), "{location}");
        if to == "self" {
            let moved = format!("http://{}{location}", rig.sim.file_host());
            assert_eq!(rig.client.get(moved).send().await.expect("an answer").status(), 200);
        }
        if to == "trap" {
            assert_eq!(rig.world().trap_hits(), 0);
            rig.client.get(location).send().await.expect("an answer");
            assert_eq!(rig.world().trap_hits(), 1);
        }
    }
}

#[tokio::test]
async fn bodies_that_break() {
    let rig = Rig::new().await;
    let (ride, url) = one(&rig).await;
    let whole = rig.world().ride_bytes(HERE, ride).expect("a ride");
    let get = || async { rig.client.get(&url).send().await.expect("headers") };

    spoil(&rig, ride, Fault::TruncateBody { keep: 100 });
    let response = get().await;
    assert_eq!(response.content_length(), u64::try_from(whole.len()).ok());
    assert!(response.bytes().await.is_err(), "fewer bytes than declared");

    spoil(&rig, ride, Fault::WrongLength { missing: 10 });
    assert_eq!(get().await.bytes().await.expect("a body"), whole.slice(..whole.len() - 10));

    spoil(&rig, ride, Fault::OverCap { bytes: 3_000_000 });
    let response = get().await;
    assert_eq!(response.content_length(), None, "chunked");
    assert_eq!(response.bytes().await.expect("a body").len(), 3_000_000);

    spoil(&rig, ride, Fault::Gzip);
    let response = get().await;
    assert_eq!(response.bytes().await.expect("a body"), whole, "the client inflates");

    spoil(&rig, ride, Fault::SlowBody { ms: 1, chunk: 1000 });
    assert_eq!(get().await.bytes().await.expect("a body"), whole);

    spoil(&rig, ride, Fault::Stall);
    let response = get().await;
    let waited = tokio::time::timeout(Duration::from_millis(200), response.bytes()).await;
    assert!(waited.is_err(), "the rest never comes");

    spoil(&rig, ride, Fault::DropBeforeCommit);
    assert!(rig.client.get(&url).send().await.is_err());
}
