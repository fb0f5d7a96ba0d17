//! Logins, tokens, and everything that refuses them.

use fitbridge_simulator::{AuthFailure, Fault, FaultRule, NewMember, Outage, PasswordFailure, Region, Role};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Rig, json};

const LIST: &str = "/service/web-gateway/web-analyze/activity/queryMyActivity?pageNo=1&pageSize=1";
const USER: &str = "/service/mobile/api/User/UserInfo";

async fn login(rig: &Rig, region: Region, body: Value) -> (u16, Value) {
    let url = format!("{}/service/auth/account/login", rig.sim.igpsport_url(region));
    let response = rig.client.post(url).json(&body).send().await.expect("an answer");
    (response.status().as_u16(), json(response).await)
}

fn good(rig: &Rig) -> Value {
    let email = rig.world().members(Region::Global)[0].email.clone();
    json!({"username": email, "password": "correct horse", "appId": "igpsport-web"})
}

#[tokio::test]
async fn a_login_gives_a_token_that_lists() {
    let rig = Rig::new().await;
    let (status, body) = login(&rig, Region::Global, good(&rig)).await;
    assert_eq!((status, &body["code"]), (200, &json!(0)));
    let data = body["data"].as_object().expect("an object");
    let mut keys: Vec<&str> = data.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["access_token", "boundPhone", "expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!(data["expires_in"], 604_800);
    let token = data["access_token"].as_str().expect("text");
    assert_eq!(rig.get_at(Region::Global, LIST, token).await.status(), 200);
    assert_eq!(rig.get_at(Region::Global, LIST, &rig.token).await.status(), 200, "both tokens live");
    assert_eq!(rig.world().members(Region::Global)[0].logins, 1);
}

#[tokio::test]
async fn bad_logins_are_refused_alike() {
    let rig = Rig::new().await;
    let mut wrong = good(&rig);
    wrong["password"] = json!("guess");
    for (region, body) in [(Region::Global, wrong.clone()), (Region::China, good(&rig))] {
        let (status, body) = login(&rig, region, body).await;
        assert_eq!(
            (status, body["code"].as_i64(), body["message"].as_str()),
            (403, Some(1002), Some("Password error"))
        );
    }
    rig.world().set_toggles(Region::Global, |t| t.password_failure = PasswordFailure::Ok200);
    assert_eq!(login(&rig, Region::Global, wrong).await.0, 200);
    let mut other_app = good(&rig);
    other_app["appId"] = json!("something");
    assert_eq!(login(&rig, Region::Global, other_app).await.0, 400);
}

#[tokio::test]
async fn tokens_end_by_the_virtual_clock_by_revocation_and_by_eviction() {
    let rig = Rig::new().await;
    rig.world().clock().advance(SignedDuration::from_hours(24 * 7 - 1));
    assert_eq!(rig.get(LIST).await.status(), 200);
    rig.world().clock().advance(SignedDuration::from_hours(2));
    assert_eq!(rig.get(LIST).await.status(), 401);

    let fresh = rig.world().token(Region::Global, rig.member).expect("a token");
    rig.world().set_toggles(Region::Global, |t| t.evict_on_login = true);
    let (_, body) = login(&rig, Region::Global, good(&rig)).await;
    assert_eq!(rig.get_at(Region::Global, LIST, &fresh).await.status(), 401);
    let token = body["data"]["access_token"].as_str().expect("text");
    assert_eq!(rig.get_at(Region::Global, LIST, token).await.status(), 200);
    assert!(rig.world().revoke_tokens(Region::Global, rig.member) >= 1);
    assert_eq!(rig.get_at(Region::Global, LIST, token).await.status(), 401);
}

#[tokio::test]
async fn a_token_opens_a_stranger_in_the_other_region() {
    let rig = Rig::new().await;
    assert_eq!(rig.get_at(Region::China, LIST, &rig.token).await.status(), 401, "nobody of that number yet");
    let stranger =
        NewMember { member_id: Some(rig.member), nickname: "Stranger".into(), ..NewMember::of(Region::China) };
    rig.world().add_member(stranger).expect("a member");
    let nickname = |body: Value| body["data"]["nickName"].as_str().map(str::to_owned);
    let here = json(rig.get(USER).await).await;
    let there = json(rig.get_at(Region::China, USER, &rig.token).await).await;
    assert_eq!(here["data"]["memberId"], there["data"]["memberId"]);
    assert_eq!((nickname(here).as_deref(), nickname(there).as_deref()), (Some("Rider"), Some("Stranger")));
    rig.world().set_toggles(Region::China, |t| t.accept_other_region = false);
    assert_eq!(rig.get_at(Region::China, USER, &rig.token).await.status(), 401);
}

#[tokio::test]
async fn every_way_of_refusing_a_token() {
    let rig = Rig::new().await;
    for (how, status, body) in [
        (AuthFailure::Envelope401, 401, r#"{"code":401,"message":"Unauthorized"}"#),
        (AuthFailure::Empty401, 401, ""),
        (AuthFailure::Forbidden403, 403, r#"{"code":403,"message":"Forbidden"}"#),
    ] {
        rig.world().set_toggles(Region::Global, |t| t.auth_failure = how);
        let response = rig.get_at(Region::Global, LIST, "nonsense").await;
        assert_eq!(response.status(), status);
        assert_eq!(response.text().await.expect("a body"), body);
    }
    rig.world().set_toggles(Region::Global, |t| t.auth_failure = AuthFailure::Html401);
    let page = rig.get_at(Region::Global, LIST, "nonsense").await.text().await.expect("a body");
    assert!(page.starts_with("<!DOCTYPE html>"));
    rig.world().set_toggles(Region::Global, |t| t.auth_failure = AuthFailure::Ok200);
    let response = rig.get_at(Region::Global, LIST, "nonsense").await;
    assert_eq!(response.status(), 200);
    let body = json(response).await;
    assert_eq!(body["code"], 401);
    assert!(body["message"].as_str().expect("text").contains("token"));
}

#[tokio::test]
async fn outages_signing_and_faults_on_tokens() {
    let rig = Rig::new().await;
    let set = |outage| rig.world().set_toggles(Region::Global, |t| t.outage = outage);
    set(Outage::RefuseEverybody);
    assert_eq!(rig.get(LIST).await.status(), 401);
    set(Outage::Firewall);
    assert_eq!(rig.get(LIST).await.status(), 403);
    set(Outage::Reset);
    let url = format!("{}{LIST}", rig.sim.igpsport_url(Region::Global));
    assert!(rig.client.get(url).bearer_auth(&rig.token).send().await.is_err());
    set(Outage::None);

    rig.world().set_toggles(Region::Global, |t| t.signing_required = true);
    let body = json(rig.get(LIST).await).await;
    assert!(body["message"].as_str().expect("text").contains("signature"));
    assert_eq!(login(&rig, Region::Global, good(&rig)).await.0, 200, "login still works");
    rig.world().set_toggles(Region::Global, |t| t.signing_required = false);

    rig.world().set_toggles(Region::Global, |t| t.user_info_403 = true);
    assert_eq!(rig.get(USER).await.status(), 403);
    assert_eq!(rig.get(LIST).await.status(), 200);
    rig.world().add_fault(FaultRule::new(Fault::ExpireTokenNow).on(Role::IgpsportGlobal).times(1));
    assert_eq!(rig.get(LIST).await.status(), 401);
    assert_eq!(rig.get(LIST).await.status(), 401, "it stays expired");
}

#[tokio::test]
async fn oauth_grants_and_the_open_probe() {
    let rig = Rig::new().await;
    let base = rig.sim.igpsport_url(Region::Global);
    let token = |form: Vec<(&'static str, String)>| {
        let request = rig.client.post(format!("{base}/service/auth/connect/token")).form(&form);
        async { json(request.send().await.expect("an answer")).await }
    };
    let email = rig.world().members(Region::Global)[0].email.clone();
    let password = |text: &str| {
        vec![("grant_type", "password".to_owned()), ("username", email.clone()), ("password", text.to_owned())]
    };
    assert_eq!(token(password("guess")).await["error"], "invalid_grant");
    let granted = token(password("correct horse")).await;
    assert_eq!(granted["memberId"], rig.member.to_string());
    let refresh = granted["refresh_token"].as_str().expect("text").to_owned();
    let renew = || vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh.clone())];
    assert_eq!(token(renew()).await["error"], "unsupported_grant_type");
    rig.world().set_toggles(Region::Global, |t| t.refresh_grant = true);
    assert!(token(renew()).await["access_token"].is_string());
    assert_eq!(token(renew()).await["error"], "invalid_grant", "a refresh token works once");

    let open = rig.client.get(format!("{base}/service/mobile/api/Config/GetDefaultConfig?type=0")).send();
    let body = json(open.await.expect("an answer")).await;
    assert_eq!((body["code"].as_i64(), body["message"].as_str()), (Some(0), Some("")));
}
