//! What is asked of DynamoDB, literally: keys, conditions and consistency are promises to other versions
//! of this program.

use fitbridge_core::{
    domain::{OwnerId, Shard, UserId},
    ports::{Change, Claim, Due, Expect, Key, Ledger, PlanSlot, PollClass, Scope, Write},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fake::{Fake, Reply};

fn ann(path: &str) -> Key {
    Key { scope: Scope::User(UserId::new("ann").unwrap()), path: path.into() }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn full_put() -> Change {
    let claim = Some(Claim { owner: OwnerId::new("poller-1").unwrap(), working: false });
    let due = Some(Due { shard: Shard(7), at: at(1_700_000_000_123), claim });
    let plan = Some(PlanSlot { shard: Shard(7), class: PollClass::Warm, slot: 3 });
    Change::Put { body: r#"{"schema":1}"#.into(), due, plan }
}

/// The body without its random part, which is given back.
fn without(mut body: Value, pointer: &str, name: &str) -> (Value, String) {
    let random = body.pointer_mut(pointer).and_then(|parent| parent.as_object_mut()?.remove(name));
    let random = random.unwrap_or_else(|| panic!("no {pointer}/{name} in {body}"));
    let random = random.get("S").unwrap_or(&random).as_str().expect("a text").to_owned();
    (body, random)
}

#[tokio::test]
async fn a_read_is_consistent() {
    let fake = Fake::start([]).await;
    assert_eq!(fake.ledger().get(&ann("user")).await, Ok(None));
    let key = json!({"pk": {"S": "U#ann"}, "sk": {"S": "user"}});
    assert_eq!(fake.only("GetItem"), json!({"TableName": "t", "Key": key, "ConsistentRead": true}));
}

#[tokio::test]
async fn many_reads_are_one_consistent_request_and_name_a_key_once() {
    let fake = Fake::start([Reply::Done(json!({"Responses": {"t": []}}))]).await;
    let system = Key { scope: Scope::System, path: "cursor/00000".into() };
    let keys = [ann("user"), system, ann("user"), ann("")];
    assert_eq!(fake.ledger().get_many(&keys).await, Ok(vec![None; 4]));
    let mut body = fake.only("BatchGetItem");
    let keys = body["RequestItems"]["t"]["Keys"].as_array_mut().expect("keys");
    keys.sort_by_key(|key| key.to_string());
    let keys = json!([{"pk": {"S": "S#"}, "sk": {"S": "cursor/00000"}}, {"pk": {"S": "U#ann"}, "sk": {"S": "user"}}]);
    assert_eq!(body, json!({"RequestItems": {"t": {"Keys": keys, "ConsistentRead": true}}}));
}

#[tokio::test]
async fn a_range_is_one_consistent_query() {
    let fake = Fake::start([]).await;
    let page = fake.ledger().range(&ann("").scope, "activity/", Some("activity/a-7"), 20).await.unwrap();
    assert_eq!((page.records.len(), page.next), (0, None));
    let expected = json!({
        "TableName": "t",
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
        "ExpressionAttributeValues": {":pk": {"S": "U#ann"}, ":prefix": {"S": "activity/"}},
        "ExclusiveStartKey": {"pk": {"S": "U#ann"}, "sk": {"S": "activity/a-7"}},
        "ConsistentRead": true,
        "Limit": 20,
    });
    assert_eq!(fake.only("Query"), expected);
}

#[tokio::test]
async fn a_range_downwards_is_one_query_the_other_way() {
    let fake = Fake::start([]).await;
    fake.ledger().range_back(&ann("").scope, "activity/", Some("b"), 20).await.unwrap();
    let body = fake.only("Query");
    assert_eq!(body["ScanIndexForward"], json!(false));
    assert_eq!(body["ExclusiveStartKey"], json!(null), "DynamoDB refuses to start outside of the range");
}

#[tokio::test]
async fn a_single_put_carries_its_condition_and_its_id() {
    let fake = Fake::start([]).await;
    let ledger = fake.ledger();
    let write = |expect| Write { key: ann("connection/igpsport-1"), expect, change: full_put() };
    ledger.commit(vec![write(Expect::Version(41))]).await.unwrap();
    ledger.commit(vec![write(Expect::Absent)]).await.unwrap();
    let mut asked = fake.asked();
    let (replace, first) = without(asked.remove(0).1, "/Item", "w");
    let (create, second) = without(asked.remove(0).1, "/Item", "w");
    assert!(first != second && (16..=36).contains(&first.len()), "{first} {second}");
    let item = |version: &str| {
        json!({
            "pk": {"S": "U#ann"}, "sk": {"S": "connection/igpsport-1"},
            "v": {"N": version}, "body": {"S": r#"{"schema":1}"#},
            "d": {"S": "00007#0"}, "da": {"N": "1700000000123"}, "o": {"S": "poller-1"}, "wk": {"BOOL": false},
            "p": {"S": "00007#warm#03"},
        })
    };
    let expected = json!({
        "TableName": "t",
        "Item": item("42"),
        "ConditionExpression": "v = :v",
        "ExpressionAttributeValues": {":v": {"N": "41"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    assert_eq!(replace, expected);
    let expected = json!({
        "TableName": "t",
        "Item": item("1"),
        "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    assert_eq!(create, expected);
}

#[tokio::test]
async fn a_single_delete_carries_its_condition() {
    let fake = Fake::start([]).await;
    let write = Write { key: ann("user"), expect: Expect::Version(3), change: Change::Delete };
    fake.ledger().commit(vec![write]).await.unwrap();
    let expected = json!({
        "TableName": "t",
        "Key": {"pk": {"S": "U#ann"}, "sk": {"S": "user"}},
        "ConditionExpression": "v = :v",
        "ExpressionAttributeValues": {":v": {"N": "3"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    assert_eq!(fake.only("DeleteItem"), expected);
}

#[tokio::test]
async fn a_single_check_only_reads() {
    let fake = Fake::start([]).await;
    let write = Write { key: ann("user"), expect: Expect::Absent, change: Change::Check };
    fake.ledger().commit(vec![write]).await.unwrap();
    let key = json!({"pk": {"S": "U#ann"}, "sk": {"S": "user"}});
    let expected = json!({"TableName": "t", "Key": key, "ConsistentRead": true, "ProjectionExpression": "v"});
    assert_eq!(fake.only("GetItem"), expected);
}

#[tokio::test]
async fn several_writes_are_one_transaction_with_a_token() {
    let fake = Fake::start([]).await;
    let body = Change::Put { body: "{}".into(), due: None, plan: None };
    let writes = vec![
        Write { key: ann("a"), expect: Expect::Absent, change: body },
        Write { key: ann("b"), expect: Expect::Version(2), change: Change::Delete },
        Write { key: ann("c"), expect: Expect::Version(5), change: Change::Check },
        Write { key: ann("d"), expect: Expect::Absent, change: Change::Check },
    ];
    fake.ledger().commit(writes).await.unwrap();
    let (body, token) = without(fake.only("TransactWriteItems"), "", "ClientRequestToken");
    assert!((16..=36).contains(&token.len()), "{token}");
    let key = |path: &str| json!({"pk": {"S": "U#ann"}, "sk": {"S": path}});
    let absent = "attribute_not_exists(pk)";
    let version = |number: &str| json!({":v": {"N": number}});
    let item = json!({"pk": {"S": "U#ann"}, "sk": {"S": "a"}, "v": {"N": "1"}, "body": {"S": "{}"}});
    let expected = json!({"TransactItems": [
        {"Put": {"TableName": "t", "Item": item, "ConditionExpression": absent}},
        {"Delete": {"TableName": "t", "Key": key("b"), "ConditionExpression": "v = :v",
            "ExpressionAttributeValues": version("2")}},
        {"ConditionCheck": {"TableName": "t", "Key": key("c"), "ConditionExpression": "v = :v",
            "ExpressionAttributeValues": version("5")}},
        {"ConditionCheck": {"TableName": "t", "Key": key("d"), "ConditionExpression": absent}},
    ]});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn what_is_due_is_asked_of_each_bucket() {
    let fake = Fake::start([]).await;
    assert_eq!(fake.ledger().due(Shard(7), at(1_700_000_000_123), 50).await, Ok(vec![]));
    let mut bodies: Vec<_> = fake.asked().into_iter().map(|(_, body)| body).collect();
    bodies.sort_by_key(|body| body.to_string());
    let expected = ["00007#0", "00007#1"].map(|bucket| {
        json!({
            "TableName": "t",
            "IndexName": "due",
            "KeyConditionExpression": "d = :d AND da <= :until",
            "ExpressionAttributeValues": {":d": {"S": bucket}, ":until": {"N": "1700000000123"}},
            "Limit": 50,
        })
    });
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn rows_of_an_index_that_cannot_be_read_are_passed_over() {
    let row = |pk: &str, da: &str| json!({"pk": {"S": pk}, "sk": {"S": "connection/x"}, "da": {"N": da}});
    let page = json!({"Items": [row("nobody", "5"), row("U#ann", "soon"), row("U#ann", "5")]});
    let fake = Fake::start([Reply::Done(page.clone()), Reply::Done(json!({})), Reply::Done(page)]).await;
    let ledger = fake.ledger();
    let due = ledger.due(Shard(7), at(10), 50).await.unwrap();
    assert_eq!(due.into_iter().map(|row| row.key).collect::<Vec<_>>(), [ann("connection/x")]);
    let planned = ledger.planned(PlanSlot { shard: Shard(7), class: PollClass::Hot, slot: 0 }, None, 9).await.unwrap();
    assert_eq!(planned.rows.len(), 2);
}

#[tokio::test]
async fn the_plan_is_asked_by_slot_from_the_last_row_on() {
    let row = json!({"pk": {"S": "U#ann"}, "sk": {"S": "connection/x"}, "p": {"S": "00007#cold#59"}});
    let page = Reply::Done(json!({"Items": [row], "LastEvaluatedKey": row}));
    let fake = Fake::start([page]).await;
    let ledger = fake.ledger();
    let slot = PlanSlot { shard: Shard(7), class: PollClass::Cold, slot: 59 };
    let first = ledger.planned(slot, None, 1).await.unwrap();
    assert_eq!(first.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [ann("connection/x")]);
    let second = ledger.planned(slot, first.next.as_deref(), 1).await.unwrap();
    assert_eq!((second.rows.len(), second.next), (0, None));
    let expected = json!({
        "TableName": "t",
        "IndexName": "plan",
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": {"S": "00007#cold#59"}},
        "Limit": 1,
        "ExclusiveStartKey": row,
    });
    assert_eq!(fake.asked().pop().map(|(_, body)| body), Some(expected));
    assert!(ledger.planned(slot, Some("nonsense"), 1).await.is_err(), "a cursor of somebody else");
}

#[tokio::test]
async fn what_no_record_can_have_is_not_asked_for() {
    let fake = Fake::start([]).await;
    let ledger = fake.ledger();
    let long = "x".repeat(513);
    assert_eq!(ledger.get(&ann(&long)).await, Ok(None));
    assert_eq!(ledger.get_many(&[ann(&long), ann("")]).await, Ok(vec![None, None]));
    assert_eq!(ledger.range(&Scope::System, &long, None, 1).await.unwrap().records, []);
    assert_eq!(ledger.range(&Scope::System, "b/", Some("c"), 1).await.unwrap().records, []);
    assert_eq!(ledger.due(Shard(0), at(0), 0).await, Ok(vec![]));
    assert_eq!(ledger.commit(vec![]).await, Ok(()));
    assert_eq!(fake.operations(), [""; 0]);
}
