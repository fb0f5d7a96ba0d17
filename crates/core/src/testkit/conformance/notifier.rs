//! What every notifier has to do.

use secrecy::SecretString;
use serde_json::Value;

use crate::{
    Code,
    domain::Message,
    ports::{NoticeTarget, NoticeText, Notifier, NotifyError},
};

/// What a notifier is tried with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Settings that do.
    pub good: Value,
    /// The secret that belongs to them.
    pub secret: Option<SecretString>,
    /// Settings that do not.
    pub bad: Vec<Value>,
}

/// A notice as the engine makes them, under an id.
pub fn notice(id: &str) -> NoticeText {
    let at = "2026-05-10T12:00:00Z".parse().unwrap_or_default();
    NoticeText {
        id: id.to_owned(),
        message: Some(Message::Failure),
        code: Some(Code::TokenExpired),
        connection: Some("igpsport".into()),
        count: 2,
        since: Some(at),
        now: at,
        subject: "FitBridge: igpsport: the iGPSport token has reached its end".into(),
        // What a server said may stand in a text; it must not become a header or another message.
        sentence: "igpsport: über das Ende\u{202e}".into(),
        detail: "a\r\n.\r\nBcc: x@example.org".into(),
        next: "connect again".into(),
    }
}

/// Runs every case. `away` makes the next call meet a receiver that is away, `refuses` one that will never take
/// it; `arrived` names the ids that arrived since it was last asked.
pub async fn suite(
    notifier: &dyn Notifier,
    setting: &Setting,
    away: impl Fn(),
    refuses: impl Fn(),
    arrived: impl Fn() -> Vec<String>,
) {
    for bad in &setting.bad {
        let failure = notifier.check(bad, setting.secret.as_ref()).expect_err("bad settings are refused");
        assert!(!failure.detail.is_empty(), "{bad}: the reason is named");
    }
    let checked = notifier.check(&setting.good, setting.secret.as_ref());
    let checked = checked.unwrap_or_else(|failure| panic!("good settings do: {failure}"));
    assert!(!checked.label.is_empty());
    assert!(arrived().is_empty(), "checking sends nothing");
    let again = notifier.check(&checked.settings, setting.secret.as_ref()).expect("what was checked checks again");
    assert_eq!(again, checked);
    let target = NoticeTarget { settings: checked.settings, secret: setting.secret.clone() };
    assert_eq!(notifier.tell(&target, &notice("notice_1")).await, Ok(()));
    assert_eq!(arrived(), ["notice_1"]);
    assert_eq!(notifier.tell(&target, &notice("notice_1")).await, Ok(()), "a repeat is no error");
    away();
    let error = notifier.tell(&target, &notice("notice_2")).await.expect_err("the receiver is away");
    assert!(matches!(error, NotifyError::Transient { .. }), "{error:?}");
    refuses();
    let error = notifier.tell(&target, &notice("notice_3")).await.expect_err("the receiver refuses");
    assert!(matches!(error, NotifyError::Permanent(_)), "{error:?}");
    let _ = arrived();
    assert_eq!(notifier.tell(&target, &notice("notice_2")).await, Ok(()), "it is back");
    assert_eq!(arrived(), ["notice_2"], "under the same id");
}
