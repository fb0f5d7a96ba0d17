//! What each verb of the ledger costs: requests and units as the emulator bills them. The cost table of the
//! docs is computed from these.

use std::sync::Arc;

use fitbridge_core::{
    domain::{OwnerId, Shard, UserId},
    ports::{Change, Claim, Due, Expect, Key, Ledger, PlanSlot, PollClass, Scope, Write},
};
use jiff::Timestamp;

use super::emulator::Emulator;
use crate::ledger::{DynamoLedger, Operation, Usage, Used};

fn key(path: &str) -> Key {
    Key { scope: Scope::User(UserId::new("ann").unwrap()), path: path.into() }
}

fn due(ms: i64) -> Option<Due> {
    let claim = Some(Claim { owner: OwnerId::from_any("poller"), working: true });
    Some(Due { shard: Shard(0), at: Timestamp::from_millisecond(ms).unwrap(), claim })
}

const SLOT: PlanSlot = PlanSlot { shard: Shard(0), class: PollClass::Warm, slot: 2 };

/// A write of a record of 700 bytes, below DynamoDB's unit of 1 KB.
fn put(path: &str, expect: Expect, due: Option<Due>, plan: Option<PlanSlot>) -> Write {
    Write { key: key(path), expect, change: Change::Put { body: "b".repeat(700), due, plan } }
}

struct Meter {
    ledger: DynamoLedger,
    usage: Arc<Usage>,
    before: Used,
}

impl Meter {
    /// Compares what was used since the last call.
    fn assert(&mut self, what: &str, requests: &[(Operation, u64)], read_units: f64, write_units: f64) {
        let now = self.usage.so_far();
        let used = now.since(&self.before);
        self.before = now;
        for operation in Operation::ALL {
            let expected = requests.iter().find(|(of, _)| *of == operation).map_or(0, |(_, count)| *count);
            assert_eq!(used.requests(operation), expected, "{what}: {operation:?} in {used}");
        }
        assert_eq!((used.read_units, used.write_units), (read_units, write_units), "{what}: {used}");
    }

    async fn commit(&self, writes: Vec<Write>) {
        self.ledger.commit(writes).await.expect("it is committed");
    }
}

#[tokio::test]
async fn each_verb_costs_what_the_design_says() {
    use Operation::{BatchGetItem, DeleteItem, GetItem, PutItem, Query, TransactWriteItems};
    let emulator = Emulator::start().await;
    let usage = Arc::new(Usage::default());
    let ledger = emulator.ledger(emulator.table().await, 4).with_usage(Arc::clone(&usage));
    let mut meter = Meter { ledger: ledger.clone(), before: usage.so_far(), usage };

    meter.commit(vec![put("a", Expect::Absent, None, None)]).await;
    meter.assert("one write", &[(PutItem, 1)], 0.0, 1.0);
    meter.commit(vec![put("a", Expect::Version(1), due(1), None)]).await;
    meter.assert("one write that makes a record due", &[(PutItem, 1)], 0.0, 2.0);
    meter.commit(vec![put("a", Expect::Version(2), due(2), None)]).await;
    meter.assert("a claim: its row moves in the due index", &[(PutItem, 1)], 0.0, 3.0);
    meter.commit(vec![put("a", Expect::Version(3), None, None)]).await;
    meter.assert("done: its row leaves the due index", &[(PutItem, 1)], 0.0, 2.0);
    meter.commit(vec![put("p", Expect::Absent, None, Some(SLOT))]).await;
    meter.assert("into the plan", &[(PutItem, 1)], 0.0, 2.0);
    meter.commit(vec![put("p", Expect::Version(1), None, Some(SLOT))]).await;
    meter.assert("a planned record is changed, not its slot", &[(PutItem, 1)], 0.0, 1.0);
    meter.commit(vec![put("b", Expect::Absent, None, None), put("c", Expect::Absent, None, None)]).await;
    meter.assert("two writes together", &[(TransactWriteItems, 1)], 0.0, 4.0);
    let check = Write { key: key("a"), expect: Expect::Version(4), change: Change::Check };
    meter.commit(vec![check]).await;
    meter.assert("a check alone", &[(GetItem, 1)], 1.0, 0.0);
    meter.commit(vec![Write { key: key("c"), expect: Expect::Version(1), change: Change::Delete }]).await;
    meter.assert("a removal", &[(DeleteItem, 1)], 0.0, 1.0);

    ledger.get(&key("a")).await.unwrap();
    meter.assert("one read", &[(GetItem, 1)], 1.0, 0.0);
    ledger.get_many(&[key("a"), key("b"), key("p")]).await.unwrap();
    meter.assert("three reads", &[(BatchGetItem, 1)], 3.0, 0.0);
    ledger.range(&key("").scope, "", None, 10).await.unwrap();
    meter.assert("a range of three", &[(Query, 1)], 1.0, 0.0);
    ledger.due(Shard(0), Timestamp::MAX, 100).await.unwrap();
    meter.assert("nothing is due: each bucket is asked", &[(Query, 4)], 2.0, 0.0);
    ledger.planned(SLOT, None, 500).await.unwrap();
    meter.assert("a page of the plan", &[(Query, 1)], 0.5, 0.0);
}
