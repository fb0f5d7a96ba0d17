//! Reads that are asked for at the same time.

use std::time::Duration;

use fitbridge_core::{
    domain::UserId,
    ports::{Change, Expect, Key, Ledger, LedgerError, Record, Scope, Write},
};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    emulator::Emulator,
    fake::{Fake, Reply},
};
use crate::ledger::DynamoLedger;

fn key(number: usize) -> Key {
    Key { scope: Scope::User(UserId::new("ann").unwrap()), path: format!("activity/{number}") }
}

fn item(number: usize, version: &str) -> Value {
    json!({
        "pk": { "S": "U#ann" }, "sk": { "S": format!("activity/{number}") }, "v": { "N": version },
        "body": { "S": format!("{{\"n\":{number}}}") },
    })
}

async fn read(
    ledger: &DynamoLedger,
    numbers: impl IntoIterator<Item = usize>,
) -> Vec<Result<Option<Record>, LedgerError>> {
    join_all(numbers.into_iter().map(async |number| ledger.get(&key(number)).await)).await
}

#[tokio::test]
async fn each_gets_its_own_record_in_few_requests() {
    let emulator = Emulator::start().await;
    let ledger = emulator.ledger(emulator.table().await, 4);
    for number in 0..250 {
        let change = Change::Put { body: format!("{{\"n\":{number}}}"), due: None, plan: None };
        ledger.commit(vec![Write { key: key(number), expect: Expect::Absent, change }]).await.unwrap();
    }
    // The same one twice, and some that are not there.
    let numbers: Vec<_> = (0..300).chain([7, 7, 299]).collect();
    for (number, got) in numbers.iter().zip(read(&ledger, numbers.clone()).await) {
        let expected = (*number < 250).then(|| format!("{{\"n\":{number}}}"));
        assert_eq!(got.unwrap().map(|record| record.body), expected, "{number}");
    }
}

#[tokio::test]
async fn one_alone_is_a_get_and_those_who_wait_are_a_batch() {
    let first = || Reply::Done(json!({ "Item": item(0, "1") }));
    let rest: Vec<_> = (1..5).map(|number| item(number, "1")).collect();
    let batch = Reply::Done(json!({ "Responses": { "t": rest } }));
    let fake = Fake::start([first(), batch]).await;
    let ledger = fake.ledger();
    let got = read(&ledger, 0..6).await;
    let there: Vec<_> = got.into_iter().map(|read| read.unwrap().is_some()).collect();
    assert_eq!(there, [true, true, true, true, true, false]);
    assert_eq!(fake.operations(), ["GetItem", "BatchGetItem"]);
    let batch = &fake.asked()[1].1["RequestItems"]["t"];
    assert_eq!((batch["ConsistentRead"].clone(), batch["Keys"].as_array().map(Vec::len)), (json!(true), Some(5)));
    // Nobody is in the way of the next.
    ledger.get(&key(9)).await.unwrap();
    assert_eq!(fake.operations()[2..], ["GetItem"]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_no_matter_of_its_neighbours() {
    let alone = |number: usize, version: &str| Reply::Done(json!({ "Item": item(number, version) }));
    let batch = Reply::Done(json!({ "Responses": { "t": [item(1, "1"), item(2, "1"), item(3, "broken")] } }));
    let fake = Fake::start([alone(0, "1"), batch, alone(1, "1"), alone(2, "1"), alone(3, "broken")]).await;
    let got = read(&fake.ledger(), 0..4).await;
    assert!(got[..3].iter().all(|read| matches!(read, Ok(Some(_)))), "{got:?}");
    assert!(matches!(got[3], Err(LedgerError::Corrupt(_))), "{got:?}");
}

#[tokio::test]
async fn who_gives_up_holds_up_nobody() {
    let refused = || Reply::error(400, "AccessDeniedException");
    let fake = Fake::start([Reply::Silence, Reply::Silence, refused()]).await;
    let ledger = fake.ledger();
    let short = Duration::from_millis(50);
    let keys = [0, 1, 2].map(key);
    let later = Duration::from_millis(10);
    let (given_up, also, waited) = tokio::join!(
        tokio::time::timeout(short, ledger.get(&keys[0])),
        // Two requests are under way by the time that the third read is asked for.
        async {
            tokio::time::sleep(later).await;
            tokio::time::timeout(short, ledger.get(&keys[1])).await
        },
        async {
            tokio::time::sleep(2 * later).await;
            ledger.get(&keys[2]).await
        },
    );
    assert!(given_up.is_err() && also.is_err());
    assert!(matches!(waited, Err(LedgerError::Unavailable(_))), "{waited:?}");
    assert_eq!(ledger.get(&key(3)).await, Ok(None), "the line is empty again");
    assert_eq!(ledger.together.under_way(), 0);
}

#[tokio::test]
async fn those_who_come_one_by_one_go_together_too() {
    let fake = Fake::start(std::iter::repeat_with(|| Reply::Done(json!({ "Responses": { "t": [] } }))).take(64)).await;
    let ledger = fake.ledger();
    let reads = (0..40).map(async |number| {
        // No faster than they are answered.
        tokio::time::sleep(Duration::from_micros(500) * number).await;
        ledger.get(&key(number as usize)).await
    });
    assert!(join_all(reads).await.into_iter().all(|read| read == Ok(None)));
    let requests = fake.operations().len();
    assert!((1..20).contains(&requests), "{requests} requests for 40 reads");
}
