//! The webhook receiver.

use fitbridge_simulator::{Config, Fault, FaultRule, Role, SignatureError};
use reqwest::Response;

use crate::support::Rig;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const BODY: &str = r#"{"email":"test@example.com","username":"test_user"}"#;
const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

async fn rig() -> Rig {
    let rig = Rig::with(Config { keep_bodies: true, ..Config::seeded(5) }).await;
    rig.world().clock().set_speed(0.0);
    rig.world().clock().set("2022-04-07T21:39:13Z".parse().expect("the vector's time"));
    rig.world().set_webhook_secrets(&[SECRET.to_owned()]).expect("a secret");
    rig
}

async fn send(rig: &Rig, body: &str) -> reqwest::Result<Response> {
    rig.client
        .post(rig.sim.webhook_url())
        .header("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk")
        .header("webhook-timestamp", "1649367553")
        .header("webhook-signature", SIGNATURE)
        .body(body.to_owned())
        .send()
        .await
}

#[tokio::test]
async fn the_published_vector_is_accepted_and_told_apart_from_its_repetition() {
    let rig = rig().await;
    assert_eq!(send(&rig, BODY).await.expect("an answer").status(), 200);
    assert_eq!(send(&rig, BODY).await.expect("an answer").status(), 200);
    let attempts = rig.world().webhook_attempts();
    assert_eq!(attempts.iter().map(|a| a.duplicate).collect::<Vec<_>>(), [false, true]);
    assert_eq!(attempts[0].body.as_deref(), Some(BODY.as_bytes()));
    let deliveries = rig.world().webhook_deliveries();
    assert_eq!((deliveries.len(), deliveries[0].attempts, deliveries[0].same_body), (1, 2, true));
}

#[tokio::test]
async fn what_does_not_verify_is_recorded_with_its_reason() {
    let rig = rig().await;
    assert_eq!(send(&rig, "{}").await.expect("an answer").status(), 401);
    rig.world().set_webhook_secrets(&[OTHER.to_owned()]).expect("a secret");
    assert_eq!(send(&rig, BODY).await.expect("an answer").status(), 401);
    rig.world().set_webhook_secrets(&[OTHER.to_owned(), SECRET.to_owned()]).expect("secrets");
    assert_eq!(send(&rig, BODY).await.expect("an answer").status(), 200, "both during a rotation");
    rig.world().clock().advance(jiff::SignedDuration::from_secs(301));
    assert_eq!(send(&rig, BODY).await.expect("an answer").status(), 401);
    let reasons: Vec<_> = rig.world().webhook_attempts().iter().map(|a| a.refused).collect();
    assert_eq!(
        reasons,
        [Some(SignatureError::Signature), Some(SignatureError::Signature), None, Some(SignatureError::Time)]
    );
    assert_eq!(rig.world().webhook_deliveries().len(), 1);
    assert!(rig.world().set_webhook_secrets(&["short".to_owned()]).is_err());
}

#[tokio::test]
async fn answers_can_be_lost_or_refused() {
    let rig = rig().await;
    let arm = |fault| rig.world().add_fault(FaultRule::new(fault).on(Role::Webhook).times(1));
    arm(Fault::DropBeforeCommit);
    assert!(send(&rig, BODY).await.is_err());
    assert!(rig.world().webhook_attempts().is_empty());
    arm(Fault::DropAfterCommit);
    assert!(send(&rig, BODY).await.is_err());
    assert_eq!(rig.world().webhook_attempts().len(), 1);
    arm(Fault::Status { code: 410, retry_after: None });
    assert_eq!(send(&rig, BODY).await.expect("an answer").status(), 410);
    arm(Fault::TooManyRequests { retry_after: Some(30) });
    let response = send(&rig, BODY).await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().ok()), (429, Some("30")));
    arm(Fault::Redirect { to: "trap".into() });
    assert_eq!(send(&rig, BODY).await.expect("an answer").status(), 302);
    assert_eq!(send(&rig, BODY).await.expect("an answer").status(), 200);
    assert_eq!(rig.world().webhook_deliveries()[0].attempts, 2);
}
