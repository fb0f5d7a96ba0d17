//! Consent, codes, tokens and scopes.

use fitbridge_simulator::{AthleteId, NewAthlete, PlainHttp};
use serde_json::Value;

use crate::support::{Rig, json};

async fn exchange(rig: &Rig, code: &str) -> (u16, Value) {
    let form = [("client_id", "7"), ("client_secret", "made up"), ("code", code)];
    let url = format!("{}/api/oauth/token", rig.sim.intervals_url());
    let response = rig.client.post(url).form(&form).send().await.expect("an answer");
    (response.status().as_u16(), json(response).await)
}

async fn list(rig: &Rig, token: &str) -> u16 {
    let url = format!("{}/api/v1/athlete/0/activities?oldest=2026-01-01", rig.sim.intervals_url());
    rig.client.get(url).bearer_auth(token).send().await.expect("an answer").status().as_u16()
}

async fn rig() -> (Rig, AthleteId) {
    let rig = Rig::new().await;
    let (athlete, _) = rig.world().add_athlete(NewAthlete::default());
    (rig, athlete)
}

#[tokio::test]
async fn codes_work_once_within_two_minutes() {
    let (rig, athlete) = rig().await;
    let code = rig.world().intervals_code(&athlete, &["ACTIVITY:WRITE"]).expect("a code");
    let (status, body) = exchange(&rig, &code).await;
    assert_eq!((status, body["scope"].as_str()), (200, Some("ACTIVITY:WRITE")));
    assert_eq!(body["athlete"]["id"], athlete.0);
    assert!(body.get("expires_in").is_none() && body.get("refresh_token").is_none());
    assert_eq!(exchange(&rig, &code).await.0, 400, "used");
    let late = rig.world().intervals_code(&athlete, &["ACTIVITY:WRITE"]).expect("a code");
    rig.world().clock().advance(jiff::SignedDuration::from_secs(121));
    assert_eq!(exchange(&rig, &late).await.0, 400, "too old");
}

#[tokio::test]
async fn scopes_bind_and_the_app_can_leave() {
    let (rig, athlete) = rig().await;
    let none = rig.world().intervals_token(&athlete, &["WELLNESS:WRITE"]).expect("a token");
    assert_eq!(list(&rig, &none).await, 403);
    let write = rig.world().intervals_token(&athlete, &["ACTIVITY:WRITE"]).expect("a token");
    assert_eq!(list(&rig, &write).await, 200);
    rig.world().set_intervals_toggles(|t| t.write_implies_read = false);
    assert_eq!(list(&rig, &write).await, 403);
    let read = rig.world().intervals_token(&athlete, &["ACTIVITY:READ"]).expect("a token");
    assert_eq!(list(&rig, &read).await, 200);
    let url = format!("{}/api/v1/disconnect-app", rig.sim.intervals_url());
    assert_eq!(rig.client.delete(url).bearer_auth(&read).send().await.expect("an answer").status(), 200);
    assert_eq!(list(&rig, &read).await, 401);
}

#[tokio::test]
async fn the_consent_page_may_decline_or_grant_less() {
    let (rig, _) = rig().await;
    let authorize = || async {
        let query =
            "client_id=7&redirect_uri=http%3A%2F%2Flocalhost%2Fback&scope=ACTIVITY:WRITE,ACTIVITY:READ&state=s1";
        let url = format!("{}/oauth/authorize?{query}", rig.sim.intervals_url());
        let response = rig.client.get(url).send().await.expect("an answer");
        assert_eq!(response.status(), 302);
        response.headers()["location"].to_str().expect("text").to_owned()
    };
    rig.world().set_intervals_toggles(|t| t.consent_declined = true);
    assert_eq!(authorize().await, "http://localhost/back?error=access_denied&state=s1");
    rig.world().set_intervals_toggles(|t| {
        t.consent_declined = false;
        t.consent_scopes = Some(vec!["ACTIVITY:READ".into()]);
    });
    let back = authorize().await;
    let code = back.split(['=', '&']).nth(1).expect("a code").to_owned();
    assert_eq!(exchange(&rig, &code).await.1["scope"], "ACTIVITY:READ");
    rig.world().set_intervals_toggles(|t| t.plain_http = PlainHttp::Redirect308);
    assert_eq!(list(&rig, "any").await, 308);
}
