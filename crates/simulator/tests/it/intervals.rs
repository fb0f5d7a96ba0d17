//! Intervals.icu: what is new, what is there already, and what is lost on the way.

use std::io::Write as _;

use bytes::Bytes;
use fitbridge_simulator::{
    AthleteId, Config, Fault, FaultRule, NewActivity, NewAthlete, NewRide, RateLimit, RefusedStatus, Region, Reupload,
    Role,
};
use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Rig, json};

const ACTIVITIES: &str = "/api/v1/athlete/0/activities";

struct Intervals {
    rig: Rig,
    athlete: AthleteId,
    key: String,
}

impl Intervals {
    async fn new() -> Self {
        let rig = Rig::with(Config { keep_bodies: true, ..Config::seeded(9) }).await;
        let (athlete, key) = rig.world().add_athlete(NewAthlete::default());
        Self { rig, athlete, key }
    }

    fn fit(&self, start: &str) -> Bytes {
        let ride = NewRide::at(start.parse().expect("a timestamp"));
        let id = self.rig.world().add_ride(Region::Global, self.rig.member, &ride).expect("a ride");
        self.rig.world().ride_bytes(Region::Global, id).expect("bytes")
    }

    async fn try_upload(&self, query: &str, name: &str, bytes: &[u8]) -> reqwest::Result<Response> {
        let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned());
        self.rig
            .client
            .post(format!("{}{ACTIVITIES}{query}", self.rig.sim.intervals_url()))
            .basic_auth("API_KEY", Some(&self.key))
            .multipart(Form::new().part("file", part).text("name", "from the form"))
            .send()
            .await
    }

    async fn upload(&self, query: &str, name: &str, bytes: &[u8]) -> (StatusCode, Value) {
        let response = self.try_upload(query, name, bytes).await.expect("an answer");
        (response.status(), json(response).await)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.rig.sim.intervals_url());
        let request = self.rig.client.get(url).basic_auth("API_KEY", Some(&self.key));
        let response = request.send().await.expect("an answer");
        (response.status(), json(response).await)
    }
}

#[tokio::test]
async fn new_is_201_and_known_is_200_with_the_first_ids() {
    let it = Intervals::new().await;
    let fit = it.fit("2026-06-02T11:56:49Z");
    let (status, first) = it.upload("?name=Loop&external_id=igp-1", "ride.fit", &fit).await;
    assert_eq!(status, 201);
    assert_eq!(first["icu_athlete_id"], it.athlete.0);
    assert_eq!(first["activities"][0]["id"], first["id"]);
    let (status, second) = it.upload("?name=Other&external_id=igp-2", "ride.fit", &fit).await;
    assert_eq!((status, &second), (StatusCode::OK, &first));
    let activities = it.rig.world().activities(&it.athlete);
    assert_eq!(activities.len(), 1);
    assert_eq!((activities[0].external_id.as_deref(), activities[0].name.as_str()), (Some("igp-1"), "Loop"));
    assert_eq!(activities[0].start_date_local.to_string(), "2026-06-02T13:56:49");

    let uploads = it.rig.world().uploads();
    assert_eq!(uploads.iter().map(|u| u.status).collect::<Vec<_>>(), [201, 200]);
    assert_eq!(uploads[0].bytes.as_ref(), Some(&fit));
    it.rig.world().set_intervals_toggles(|t| t.duplicate_as_409 = true);
    assert_eq!(it.upload("", "ride.fit", &fit).await.0, 409);
}

#[tokio::test]
async fn a_lost_answer_leaves_one_activity() {
    let it = Intervals::new().await;
    let fit = it.fit("2026-06-02T11:56:49Z");
    let arm = |fault| it.rig.world().add_fault(FaultRule::new(fault).on(Role::Intervals).route("upload").times(1));
    arm(Fault::DropBeforeCommit);
    assert!(it.try_upload("", "ride.fit", &fit).await.is_err());
    assert!(it.rig.world().activities(&it.athlete).is_empty());
    arm(Fault::DropAfterCommit);
    assert!(it.try_upload("", "ride.fit", &fit).await.is_err());
    assert_eq!(it.rig.world().activities(&it.athlete).len(), 1);
    let lost = it.rig.sim.journal().into_iter().rfind(|entry| entry.route == "upload").expect("an entry");
    assert_eq!((lost.status, lost.fault.as_deref()), (None, Some("drop_after_commit")));
    arm(Fault::StatusAfterCommit { code: 502 });
    assert_eq!(it.try_upload("", "ride.fit", &fit).await.expect("an answer").status(), 502);
    assert_eq!(it.upload("", "ride.fit", &fit).await.0, 200);
    assert_eq!(it.rig.world().activities(&it.athlete).len(), 1);
}

#[tokio::test]
async fn zips_and_gzips_are_opened() {
    let it = Intervals::new().await;
    let (old, new) = (it.fit("2026-06-01T08:00:00Z"), it.fit("2026-06-02T08:00:00Z"));
    let (_, first) = it.upload("", "old.fit", &old).await;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("old.fit", &old), ("new.fit", &new)] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("an entry");
        zip.write_all(bytes).expect("written");
    }
    let zip = zip.finish().expect("a zip").into_inner();
    let (status, both) = it.upload("", "both.zip", &zip).await;
    assert_eq!((status, both["activities"].as_array().map(Vec::len)), (StatusCode::CREATED, Some(2)));
    assert_eq!(both["activities"][0]["id"], first["id"]);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&new).expect("written");
    let gzip = gzip.finish().expect("a gzip");
    assert_eq!(it.upload("", "new.fit.gz", &gzip).await.0, 200);
    it.rig.world().set_intervals_toggles(|t| t.gzip_hash_differs = true);
    assert_eq!(it.upload("", "new.fit.gz", &gzip).await.0, 201);
    assert_eq!(it.upload("", "page.html.fit", b"not a ride").await.0, 422);
}

#[tokio::test]
async fn deleted_rides_and_multisport_are_switches() {
    let it = Intervals::new().await;
    let fit = it.fit("2026-06-02T11:56:49Z");
    let (_, first) = it.upload("", "ride.fit", &fit).await;
    let id = first["id"].as_str().expect("text");
    let delete = || {
        let url = format!("{}/api/v1/activity/{id}", it.rig.sim.intervals_url());
        it.rig.client.delete(url).basic_auth("API_KEY", Some(&it.key)).send()
    };
    assert_eq!(delete().await.expect("an answer").status(), 200);
    assert_eq!(delete().await.expect("an answer").status(), 404);
    it.rig.world().set_intervals_toggles(|t| t.reupload = Reupload::Duplicate);
    let (status, again) = it.upload("", "ride.fit", &fit).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &first["id"]));
    it.rig.world().set_intervals_toggles(|t| {
        t.reupload = Reupload::New;
        t.multisport = true;
    });
    let (status, new) = it.upload("", "ride.fit", &fit).await;
    assert_eq!((status, new["activities"].as_array().map(Vec::len)), (StatusCode::CREATED, Some(2)));
    assert_ne!(new["id"], first["id"]);
}

#[tokio::test]
async fn lists_filter_and_show_strava_as_stubs() {
    let it = Intervals::new().await;
    let add = |source: &str, start: &str| {
        let new = NewActivity {
            source: source.into(),
            start_date_local: start.parse().expect("a date-time"),
            external_id: Some("x-1".into()),
            ..NewActivity::default()
        };
        it.rig.world().add_activity(&it.athlete, &new).expect("an athlete")
    };
    add("GARMIN_CONNECT", "2026-06-01T08:00:00");
    let stub = add("STRAVA", "2026-06-02T08:00:00");
    add("GARMIN_CONNECT", "2026-06-09T08:00:00");
    assert_eq!(it.get(ACTIVITIES).await.0, 422, "oldest is required");
    let query =
        format!("{ACTIVITIES}?oldest=2026-06-01&newest=2026-06-02&fields=id,external_id,start_date_local,source");
    let (status, rows) = it.get(&query).await;
    assert_eq!((status, rows.as_array().map(Vec::len)), (StatusCode::OK, Some(2)));
    assert_eq!((&rows[0]["id"], &rows[0]["source"]), (&json!(stub), &json!("STRAVA")));
    assert!(rows[0].get("external_id").is_none());
    assert_eq!(rows[1]["start_date_local"], "2026-06-01T08:00:00");
    assert_eq!(rows[1]["external_id"], "x-1");
    assert!(rows[1].get("distance").is_none(), "only the fields asked for");
    let (_, rows) = it.get(&format!("{ACTIVITIES}?oldest=2026-06-09")).await;
    assert_eq!(rows[0]["distance"], 25_000.0);
}

#[tokio::test]
async fn only_the_own_athlete_with_a_good_key() {
    let it = Intervals::new().await;
    let (other, _) = it.rig.world().add_athlete(NewAthlete::default());
    for path in ["0", it.athlete.0.as_str()] {
        let (status, body) = it.get(&format!("/api/v1/athlete/{path}")).await;
        assert_eq!((status, &body["id"]), (StatusCode::OK, &json!(it.athlete.0)));
    }
    let profile = it.get("/api/v1/athlete/0/profile").await.1;
    assert_eq!(profile["athlete"]["name"], "Rider");
    let (status, body) = it.get(&format!("/api/v1/athlete/{other}")).await;
    assert_eq!((status, body), (StatusCode::FORBIDDEN, json!({"status": 403, "error": "Access denied"})));
    let url = format!("{}/api/v1/athlete/0", it.rig.sim.intervals_url());
    let as_bearer = it.rig.client.get(&url).bearer_auth(&it.key).send().await.expect("an answer");
    assert_eq!(as_bearer.status(), 401, "a key is no token");
    let as_user = it.rig.client.get(&url).basic_auth(&it.athlete.0, Some(&it.key)).send().await.expect("an answer");
    assert_eq!(as_user.status(), 401);
    it.rig.world().set_intervals_toggles(|t| t.refused_status = RefusedStatus::Forbidden403);
    it.rig.world().add_fault(FaultRule::new(Fault::RevokeUser).on(Role::Intervals).times(1));
    assert_eq!(it.get("/api/v1/athlete/0").await.0, 403);
    assert_eq!(it.get("/api/v1/athlete/0").await.0, 403, "revoked for good");
    let key = it.rig.world().renew_key(&it.athlete).expect("an athlete");
    let renewed = it.rig.client.get(&url).basic_auth("API_KEY", Some(&key)).send().await.expect("an answer");
    assert_eq!(renewed.status(), 200);
    let (status, body) = it.get("/api/v2/nothing").await;
    assert_eq!((status, &body["error"]), (StatusCode::NOT_FOUND, &json!("Not Found")));
}

#[tokio::test]
async fn the_rate_limit_runs_on_the_virtual_clock() {
    let it = Intervals::new().await;
    it.rig.world().clock().set_speed(0.0);
    let limit = RateLimit { per_second: 10.0, burst: 2.0, retry_after: Some(1) };
    it.rig.world().set_intervals_toggles(|t| t.rate_limit = Some(limit));
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(it.get("/api/v1/athlete/0").await.0.as_u16());
    }
    assert_eq!(seen, [200, 200, 429]);
    it.rig.world().clock().advance(jiff::SignedDuration::from_millis(100));
    assert_eq!(it.get("/api/v1/athlete/0").await.0, 200);
}

#[tokio::test]
async fn a_file_another_integration_brought_is_there_under_its_own_id() {
    let it = Intervals::new().await;
    let fit = it.fit("2026-06-02T11:56:49Z");
    let sha256 = hex::encode(Sha256::digest(&fit));
    let foreign =
        NewActivity { external_id: Some("2026-06-02.fit".into()), sha256: Some(sha256), ..NewActivity::default() };
    let id = it.rig.world().add_activity(&it.athlete, &foreign).expect("an athlete");
    let (status, body) = it.upload("?external_id=igp-1", "ride.fit", &fit).await;
    assert_eq!((status, &body["id"]), (StatusCode::OK, &json!(id)));
    assert_eq!(it.rig.world().activities(&it.athlete)[0].external_id.as_deref(), Some("2026-06-02.fit"));
}
