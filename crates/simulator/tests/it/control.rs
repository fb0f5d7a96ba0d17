//! The control listener: the same world, from a shell.

use fitbridge_simulator::{AuthFailure, Region};
use serde_json::{Value, json};

use crate::support::{Rig, json};

async fn get(rig: &Rig, path: &str) -> Value {
    json(rig.client.get(format!("{}{path}", rig.sim.control_url())).send().await.expect("an answer")).await
}

#[tokio::test]
async fn a_shell_can_build_a_world() {
    let rig = Rig::new().await;
    let (status, body) = rig.control("/members", json!({"region": "china", "nickname": "Li"})).await;
    assert_eq!((status.as_u16(), body["member"].is_u64()), (200, true));
    let (_, body) = rig.control("/rides", json!({"region": "china", "batch": {"count": 3}})).await;
    assert_eq!(body["rides"].as_array().map(Vec::len), Some(3));
    let ride = json!({"ride": {"title": null, "start": "2026-06-02T10:00:00Z", "file": {"kind": "malformed", "name": "truncated"}}});
    let (_, body) = rig.control("/rides", ride).await;
    let id = body["rides"][0].clone();
    assert_eq!(get(&rig, "/rides").await["rides"][0]["ride_id"], id);
    assert_eq!(rig.page(1).await["data"]["rows"][0]["rideId"], id);
    let hook = json!({"after_page": 1, "action": {"delete": id}});
    assert_eq!(rig.control("/rides/while-paging", hook).await.0, 200);
    rig.page(1).await;
    assert_eq!(rig.page(1).await["data"]["totalRows"], 0);

    let (_, body) = rig.control("/tokens", json!({"life_s": -1})).await;
    let stale = body["token"].as_str().expect("text");
    assert_eq!(rig.get_at(Region::Global, "/service/mobile/api/User/UserInfo", stale).await.status(), 401);
    let (_, body) = rig.control("/athletes", json!({"name": "Ann"})).await;
    assert!(body["api_key"].is_string());
    let (_, body) = rig.control("/activities", json!({"activity": {"source": "STRAVA"}})).await;
    assert!(body["activity"].is_string());
    let world = get(&rig, "/world").await;
    assert_eq!((world["members"].as_array().map(Vec::len), &world["athletes"][0]["activities"]), (Some(2), &json!(1)));
}

#[tokio::test]
async fn switches_faults_and_time() {
    let rig = Rig::new().await;
    let (status, _) = rig.control("/toggles/global", json!({"auth_failure": "odd"})).await;
    assert_eq!(status, 400, "names are checked");
    let (status, body) = rig.control("/toggles/global", json!({"auth_failure": "empty401"})).await;
    assert_eq!((status.as_u16(), body["auth_failure"].as_str()), (200, Some("empty401")));
    assert_eq!(rig.world().toggles(Region::Global).auth_failure, AuthFailure::Empty401);
    assert_eq!(rig.control("/toggles/global", json!({"nonsense": 1})).await.0, 400);
    rig.control("/toggles/intervals", json!({"rate_limit": {"per_second": 10, "burst": 30}})).await;
    assert!(rig.world().intervals_toggles().rate_limit.is_some());

    let rule =
        json!({"fault": {"kind": "status", "code": 503, "retry_after": 2}, "service": "igpsport-global", "times": 1});
    assert_eq!(rig.control("/faults", rule).await.0, 200);
    let path = "/service/web-gateway/web-analyze/activity/queryMyActivity";
    let response = rig.get(path).await;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().ok()), (503, Some("2")));
    for wrong in [json!({"fault": {"kind": "explode"}}), json!({"fault": {"kind": "gzip"}, "tims": 1})] {
        assert_eq!(rig.control("/faults", wrong).await.0, 400);
    }
    assert_eq!(rig.control("/rides", json!({"rides": 3})).await.0, 400);

    rig.control("/clock", json!({"speed": 0.0, "set": "2026-06-01T00:00:00Z", "advance_s": 60})).await;
    assert_eq!(get(&rig, "/clock").await["now"], "2026-06-01T00:01:00Z");
    let journal = get(&rig, "/journal?since=0").await;
    assert_eq!(journal["requests"].as_array().map(Vec::len), Some(1), "control is not journalled");
    assert_eq!(get(&rig, "/counts").await["requests"]["igpsport-global/list"], 1);
}

#[tokio::test]
async fn web_pages_are_kept_out() {
    let rig = Rig::new().await;
    let url = format!("{}/world", rig.sim.control_url());
    let from_page = rig.client.get(&url).header("origin", "https://example.com").send().await.expect("an answer");
    assert_eq!(from_page.status(), 403);
    let rebound = rig.client.get(&url).header("host", "evil.example:80").send().await.expect("an answer");
    assert_eq!(rebound.status(), 403);
    let unknown = rig.client.get(format!("{}/nothing", rig.sim.control_url())).send().await.expect("an answer");
    assert_eq!(unknown.status(), 404);
}
