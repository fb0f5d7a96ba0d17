//! Answers that no emulator gives: throttling, lost answers, foreign writers between two tries.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::Client;
use fitbridge_core::{
    domain::{Shard, UserId},
    ports::{Change, CommitError, Expect, Key, Ledger, LedgerError, Scope, Write},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    emulator::config,
    fake::{Fake, Reply},
};
use crate::ledger::{DynamoLedger, Operation, Patience, Usage};

fn key(path: &str) -> Key {
    Key { scope: Scope::User(UserId::new("ann").unwrap()), path: path.into() }
}

fn put(path: &str, expect: Expect) -> Write {
    Write { key: key(path), expect, change: Change::Put { body: "{}".into(), due: None, plan: None } }
}

fn delete(path: &str, expect: Expect) -> Write {
    Write { key: key(path), expect, change: Change::Delete }
}

fn item(path: &str, version: u64, write_id: &str) -> Value {
    json!({"pk": {"S": "U#ann"}, "sk": {"S": path}, "v": {"N": version.to_string()}, "body": {"S": "{}"},
        "w": {"S": write_id}})
}

/// A failed condition that shows what is there.
fn not_as_expected(there: Option<Value>) -> Reply {
    Reply::Error(400, "ConditionalCheckFailedException", there.map_or(json!({}), |item| json!({"Item": item})))
}

fn cancelled(codes: &[&str]) -> Reply {
    let reasons: Vec<_> = codes.iter().map(|code| json!({"Code": code})).collect();
    Reply::Error(400, "TransactionCanceledException", json!({"CancellationReasons": reasons}))
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T, CommitError>) -> String {
    match answer {
        Err(CommitError::Ledger(LedgerError::Unavailable(text))) => text,
        other => panic!("it should be unavailable, and is {other:?}"),
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for refusal in [
        Reply::error(400, "ThrottlingException"),
        Reply::error(400, "ProvisionedThroughputExceededException"),
        Reply::error(500, "InternalServerError"),
        Reply::error(503, "ServiceUnavailable"),
        Reply::Noise,
        Reply::Silence,
    ] {
        let why = format!("{refusal:?}");
        let fake = Fake::start([refusal.clone(), refusal.clone()]).await;
        assert_eq!(fake.ledger().get(&key("user")).await, Ok(None), "{why}");
        assert_eq!(fake.operations().len(), 3, "{why}");
        let fake = Fake::start([refusal.clone()]).await;
        assert_eq!(fake.ledger().commit(vec![put("user", Expect::Absent)]).await, Ok(()), "{why}");
        let ids: Vec<_> = fake.asked().into_iter().map(|(_, body)| body["Item"]["w"].clone()).collect();
        assert!(ids.len() == 2 && ids[0] == ids[1] && ids[0].is_object(), "{why}: {ids:?}");
    }
}

#[tokio::test]
async fn patience_ends() {
    let fake = Fake::start(vec![Reply::error(400, "ThrottlingException"); 99]).await;
    let usage = Arc::new(Usage::default());
    let ledger = fake.ledger().with_usage(Arc::clone(&usage));
    let error = ledger.get(&key("user")).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Unavailable(text) if text.contains("ThrottlingException")), "{error}");
    assert_eq!((fake.operations().len(), usage.so_far().requests(Operation::GetItem)), (4, 4));
    let due = ledger.due(Shard(0), Timestamp::MAX, 1).await;
    assert!(matches!(due, Err(LedgerError::Unavailable(_))), "{due:?}");
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    // Bound, so that nobody else is given the port; and not listening.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    let ms = Duration::from_millis;
    let patience = Patience { tries: 2, each: ms(1_500), total: ms(10_000), pause: ms(1) };
    let ledger = DynamoLedger::new(&Client::from_conf(config(&endpoint).build()), "t", 1).with_patience(patience);
    let text = ledger.get(&key("user")).await.unwrap_err().to_string();
    assert!(text.contains("cannot be reached"), "{text}");
}

#[tokio::test]
async fn what_cannot_pass_is_told_at_once_and_tells_no_secret() {
    for (code, word) in [
        ("ResourceNotFoundException", "no such table"),
        ("ExpiredTokenException", "credentials"),
        ("AccessDeniedException", "lacks a right"),
    ] {
        let body = json!({"message": "x-amz-security-token:hunter2"});
        let fake = Fake::start([Reply::Error(400, code, body)]).await;
        let text = unavailable(fake.ledger().commit(vec![put("user", Expect::Absent)]).await);
        assert!(text.contains(word) && text.contains("table t") && !text.contains("hunter2"), "{text}");
        assert_eq!(fake.operations().len(), 1, "{code}");
    }
    let fake = Fake::start([Reply::error(400, "ValidationException")]).await;
    let answer = fake.ledger().get(&key("user")).await;
    assert!(matches!(answer, Err(LedgerError::Misuse(_))), "{answer:?}");
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_knows_its_own_write() {
    let fake = Fake::start([Reply::Silence, Reply::Stored]).await;
    assert_eq!(fake.ledger().commit(vec![put("user", Expect::Version(4))]).await, Ok(()));
    assert_eq!(fake.operations(), ["PutItem", "PutItem"]);
}

#[tokio::test]
async fn a_failed_condition_after_a_lost_answer_is_judged_by_what_is_there() {
    let lost = || Reply::error(500, "InternalServerError");
    let conflict = |path: &str| Err(CommitError::Conflict(vec![key(path)]));
    let run = async |write: Write, replies: Vec<Reply>| {
        let fake = Fake::start(replies).await;
        fake.ledger().commit(vec![write]).await
    };
    let there = |version| not_as_expected(Some(item("a", version, "another")));
    let expect = Expect::Version(4);
    // Somebody else made the version that ours would have made: ours was not done.
    assert_eq!(run(put("a", expect), vec![lost(), there(5)]).await, conflict("a"));
    assert_eq!(run(put("a", Expect::Absent), vec![lost(), there(1)]).await, conflict("a"));
    // Ours may have been overwritten or removed.
    unavailable(run(put("a", expect), vec![lost(), there(6)]).await);
    unavailable(run(put("a", expect), vec![lost(), there(1)]).await);
    unavailable(run(put("a", expect), vec![lost(), not_as_expected(None)]).await);
    // Without a lost answer, all of these are conflicts; a throttled try was certainly not done.
    for reply in [there(5), there(6), not_as_expected(None)] {
        assert_eq!(run(put("a", expect), vec![reply.clone()]).await, conflict("a"));
        let throttled = Reply::error(400, "ThrottlingException");
        assert_eq!(run(put("a", expect), vec![throttled, reply]).await, conflict("a"));
    }
    // A record that is gone may be gone by our delete.
    unavailable(run(delete("a", expect), vec![lost(), not_as_expected(None)]).await);
    assert_eq!(run(delete("a", expect), vec![lost(), there(5)]).await, conflict("a"));
    assert_eq!(run(delete("a", expect), vec![not_as_expected(None)]).await, conflict("a"));
    assert_eq!(run(delete("a", Expect::Absent), vec![lost(), there(9)]).await, conflict("a"));
}

#[tokio::test]
async fn a_transaction_is_repeated_with_its_token() {
    for refusal in [
        cancelled(&["None", "TransactionConflict"]),
        cancelled(&["ThrottlingError", "None"]),
        Reply::error(400, "TransactionInProgressException"),
        Reply::error(500, "InternalServerError"),
        Reply::Silence,
    ] {
        let why = format!("{refusal:?}");
        let fake = Fake::start([refusal.clone(), refusal]).await;
        let writes = vec![put("a", Expect::Absent), put("b", Expect::Version(1))];
        assert_eq!(fake.ledger().commit(writes).await, Ok(()), "{why}");
        let asked = fake.asked();
        assert_eq!(asked.len(), 3, "{why}");
        assert!(asked.iter().all(|one| one == &asked[0]), "{why}: each try is the same, token and all");
    }
}

#[tokio::test]
async fn a_cancelled_transaction_names_the_records_that_were_changed() {
    let writes = || vec![put("a", Expect::Absent), put("b", Expect::Version(1)), put("c", Expect::Version(1))];
    // A conflict is one even where another part was in the way of a transaction.
    let reasons = ["ConditionalCheckFailed", "TransactionConflict", "ConditionalCheckFailed"];
    let fake = Fake::start([cancelled(&reasons)]).await;
    let answer = fake.ledger().commit(writes()).await;
    assert_eq!(answer, Err(CommitError::Conflict(vec![key("a"), key("c")])));
    let fake = Fake::start([cancelled(&["None", "ValidationError", "None"])]).await;
    let answer = fake.ledger().commit(writes()).await;
    assert!(matches!(answer, Err(CommitError::Ledger(LedgerError::Misuse(_)))), "{answer:?}");
    let fake = Fake::start([cancelled(&["None", "AccessDenied", "None"])]).await;
    unavailable(fake.ledger().commit(writes()).await);
    assert_eq!(fake.operations().len(), 1);
    let fake = Fake::start(vec![cancelled(&["TransactionConflict", "None", "None"]); 9]).await;
    unavailable(fake.ledger().commit(writes()).await);
    assert_eq!(fake.operations().len(), 4);
    // A single write meets transactions too.
    let fake = Fake::start([Reply::error(400, "TransactionConflictException")]).await;
    assert_eq!(fake.ledger().commit(vec![put("a", Expect::Absent)]).await, Ok(()));
}

#[tokio::test]
async fn unprocessed_keys_are_asked_for_again() {
    let keys = |paths: &[&str]| -> Vec<_> {
        paths.iter().map(|path| json!({"pk": {"S": "U#ann"}, "sk": {"S": path}})).collect()
    };
    let left = |paths: &[&str]| json!({"t": {"Keys": keys(paths), "ConsistentRead": true}});
    let some = json!({"Responses": {"t": [item("a", 1, "x")]}, "UnprocessedKeys": left(&["b", "c"])});
    let none = json!({"Responses": {"t": []}, "UnprocessedKeys": left(&["b", "c"])});
    let rest = json!({"Responses": {"t": [item("c", 3, "x")]}});
    let fake = Fake::start([Reply::Done(some), Reply::Done(none.clone()), Reply::Done(rest)]).await;
    let found = fake.ledger().get_many(&[key("a"), key("b"), key("c")]).await.unwrap();
    let versions: Vec<_> = found.iter().map(|record| record.as_ref().map(|record| record.version)).collect();
    assert_eq!(versions, [Some(1), None, Some(3)]);
    let last = fake.asked().pop().map(|(_, body)| body["RequestItems"]["t"].clone());
    assert_eq!(last, Some(json!({"Keys": keys(&["b", "c"]), "ConsistentRead": true})), "only what was left");
    // The keys that are left are b and c throughout.
    let fake = Fake::start(vec![Reply::Done(none); 9]).await;
    let answer = fake.ledger().get_many(&[key("b"), key("c")]).await;
    assert!(matches!(answer, Err(LedgerError::Unavailable(_))), "{answer:?}");
    assert_eq!(fake.operations().len(), 4);
}
