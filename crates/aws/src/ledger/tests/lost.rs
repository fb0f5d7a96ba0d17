//! Writes that are done while their answers are lost, against the emulator.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextMut},
    error::BoxError,
};
use fitbridge_core::{
    domain::UserId,
    ports::{Change, CommitError, Expect, Key, Ledger, LedgerError, Scope, Write},
};

use super::emulator::Emulator;
use crate::ledger::{DynamoLedger, Patience};

/// Loses the next answers: what was asked is done, and the caller is told of an error of the service.
#[derive(Debug, Clone, Default)]
struct Loss(Arc<AtomicU32>);

impl Loss {
    fn of_next(&self, answers: u32) {
        self.0.store(answers, Ordering::SeqCst);
    }

    fn is_left(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Intercept for Loss {
    fn name(&self) -> &'static str {
        "Loss"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let lost = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if lost.is_ok() {
            *context.response_mut().status_mut() = 500_u16.try_into()?;
        }
        Ok(())
    }
}

fn key(path: &str) -> Key {
    Key { scope: Scope::User(UserId::new("ann").unwrap()), path: path.into() }
}

fn put(path: &str, expect: Expect, body: &str) -> Write {
    Write { key: key(path), expect, change: Change::Put { body: body.into(), due: None, plan: None } }
}

async fn lossy() -> (DynamoLedger, Loss) {
    let emulator = Emulator::start().await;
    let loss = Loss::default();
    let client = Client::from_conf(emulator.config().interceptor(loss.clone()).build());
    let patience = Patience { pause: Duration::from_millis(1), ..Patience::default() };
    (DynamoLedger::new(&client, emulator.table().await, 1).with_patience(patience), loss)
}

#[tokio::test]
async fn every_kind_of_write_survives_lost_answers() {
    let (ledger, loss) = lossy().await;
    let together = || vec![put("b", Expect::Absent, "1"), put("c", Expect::Absent, "1")];
    for (writes, what) in [
        (vec![put("a", Expect::Absent, "1")], "a new record"),
        (vec![put("a", Expect::Version(1), "2")], "a changed record"),
        (together(), "two together"),
        (vec![Write { key: key("b"), expect: Expect::Version(1), change: Change::Check }], "a check"),
    ] {
        loss.of_next(2);
        assert_eq!(ledger.commit(writes).await, Ok(()), "{what}");
        assert!(!loss.is_left(), "{what}: two answers were lost");
    }
    let versions = ledger.get_many(&[key("a"), key("b"), key("c")]).await.unwrap();
    let versions: Vec<_> = versions.into_iter().map(|record| record.map(|record| record.version)).collect();
    assert_eq!(versions, [Some(2), Some(1), Some(1)], "each was done once");
    // Another writer's transaction of the same content is a conflict all the same.
    loss.of_next(1);
    assert!(matches!(ledger.commit(together()).await, Err(CommitError::Conflict(_))));
}

#[tokio::test]
async fn a_removal_whose_answer_was_lost_asks_to_read_again() {
    let (ledger, loss) = lossy().await;
    ledger.commit(vec![put("a", Expect::Absent, "1")]).await.unwrap();
    loss.of_next(1);
    let removal = vec![Write { key: key("a"), expect: Expect::Version(1), change: Change::Delete }];
    let answer = ledger.commit(removal).await;
    assert!(matches!(answer, Err(CommitError::Ledger(LedgerError::Unavailable(_)))), "{answer:?}");
    assert_eq!(ledger.get(&key("a")).await, Ok(None), "it was done");
}

#[tokio::test]
async fn a_conflict_stays_one_when_its_answer_is_lost() {
    let (ledger, loss) = lossy().await;
    ledger.commit(vec![put("a", Expect::Absent, "theirs")]).await.unwrap();
    loss.of_next(1);
    let answer = ledger.commit(vec![put("a", Expect::Absent, "ours")]).await;
    assert_eq!(answer, Err(CommitError::Conflict(vec![key("a")])));
    assert_eq!(ledger.get(&key("a")).await.unwrap().map(|record| record.body).as_deref(), Some("theirs"));
}
