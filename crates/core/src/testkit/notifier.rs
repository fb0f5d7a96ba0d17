//! A notifier that does what it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    Code, Failure,
    ports::{Checked, NoticeTarget, NoticeText, Notifier, NotifyError},
};

#[derive(Debug, Default)]
struct State {
    script: VecDeque<NotifyError>,
    always: Option<NotifyError>,
    told: Vec<NoticeText>,
}

/// A notifier in memory. Its settings are `{"to": NAME}`. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct FakeNotifier(Arc<Mutex<State>>);

impl FakeNotifier {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails the next call that is not spoken for yet.
    pub fn fail_next(&self, error: NotifyError) {
        self.state().script.push_back(error);
    }

    /// Fails every call, or none any more.
    pub fn fail_always(&self, error: Option<NotifyError>) {
        self.state().always = error;
    }

    /// What was told since the last call.
    pub fn take_told(&self) -> Vec<NoticeText> {
        std::mem::take(&mut self.state().told)
    }
}

#[async_trait]
impl Notifier for FakeNotifier {
    fn check(&self, settings: &Value, _secret: Option<&SecretString>) -> Result<Checked, Failure> {
        match settings.get("to").and_then(Value::as_str) {
            Some(to) if !to.is_empty() => Ok(Checked { label: to.to_owned(), settings: settings.clone() }),
            _ => Err(Failure::new(Code::Settings, "there is nobody to tell")),
        }
    }

    async fn tell(&self, _target: &NoticeTarget, notice: &NoticeText) -> Result<(), NotifyError> {
        let mut state = self.state();
        let planned = state.script.pop_front().or_else(|| state.always.clone());
        if let Some(error) = planned {
            return Err(error);
        }
        state.told.push(notice.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testkit::conformance::notifier::{Setting, suite};

    #[tokio::test]
    async fn the_fake_notifier_conforms() {
        let fake = FakeNotifier::default();
        let setting = Setting { good: json!({ "to": "me" }), secret: None, bad: vec![json!({}), json!({ "to": "" })] };
        let away = || fake.fail_next(NotifyError::Transient { failure: Code::MailAway.into(), retry_after: None });
        let refuses = || fake.fail_next(NotifyError::Permanent(Code::MailRefused.into()));
        suite(&fake, &setting, away, refuses, || fake.take_told().into_iter().map(|text| text.id).collect()).await;
    }
}
