//! How keys, times and plan slots are written in attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use fitbridge_core::{
    domain::{OwnerId, Shard, UserId},
    ports::{
        Claim, Due, Key, LedgerError, PlanSlot, PollClass, Record, Scope,
        millis::{from_ms, ms_up},
    },
};
use jiff::Timestamp;

use super::table::{BODY, DUE, DUE_AT, OWNER, PK, PLAN, SK, VERSION, WORKING};

/// An item, or a part of one.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The partition key of a scope.
pub(super) fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::System => "S#".into(),
        Scope::User(user) => format!("U#{user}"),
    }
}

fn parse_scope(text: &str) -> Option<Scope> {
    match text.strip_prefix("U#") {
        Some(user) => UserId::new(user).ok().map(Scope::User),
        None => (text == "S#").then_some(Scope::System),
    }
}

/// The primary key of a record.
pub(super) fn key_item(key: &Key) -> Item {
    [(PK.to_owned(), AttributeValue::S(scope_text(&key.scope))), (SK.to_owned(), AttributeValue::S(key.path.clone()))]
        .into()
}

/// The partition of the due index for one bucket of a shard.
pub(super) fn due_partition(shard: Shard, bucket: u16) -> String {
    format!("{:05}#{bucket}", shard.0)
}

/// The bucket of a key: the same in every release, else records would lie where nobody looks.
pub(super) fn bucket(key: &Key, buckets: u16) -> u16 {
    // FNV-1a, 64 bits.
    let text = scope_text(&key.scope);
    let hash = text
        .bytes()
        .chain([b'\n'])
        .chain(key.path.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The low bits of this hash alone tell short keys apart badly.
    u16::try_from((hash ^ (hash >> 32)) % u64::from(buckets.max(1))).unwrap_or(0)
}

fn class_text(class: PollClass) -> &'static str {
    match class {
        PollClass::Hot => "hot",
        PollClass::Warm => "warm",
        PollClass::Cold => "cold",
    }
}

/// The partition of the plan index for a slot.
pub(super) fn plan_partition(slot: PlanSlot) -> String {
    format!("{:05}#{}#{:02}", slot.shard.0, class_text(slot.class), slot.slot)
}

fn parse_plan(text: &str) -> Option<PlanSlot> {
    let mut parts = text.splitn(3, '#');
    let shard = Shard(parts.next()?.parse().ok()?);
    let name = parts.next()?;
    let class = PollClass::ALL.into_iter().find(|class| class_text(*class) == name)?;
    Some(PlanSlot { shard, class, slot: parts.next()?.parse().ok()? })
}

/// The item of a record.
pub(crate) fn item_of(record: Record, buckets: u16) -> Item {
    let mut item = key_item(&record.key);
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(VERSION, AttributeValue::N(record.version.to_string()));
    if let Some(due) = record.due {
        let bucket = bucket(&record.key, buckets);
        set(DUE, AttributeValue::S(due_partition(due.shard, bucket)));
        set(DUE_AT, AttributeValue::N(ms_up(due.at).to_string()));
        if let Some(claim) = due.claim {
            set(OWNER, AttributeValue::S(claim.owner.into()));
            set(WORKING, AttributeValue::Bool(claim.working));
        }
    }
    if let Some(plan) = record.plan {
        set(PLAN, AttributeValue::S(plan_partition(plan)));
    }
    set(BODY, AttributeValue::S(record.body));
    item
}

/// A text attribute, if the item has it.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// The version of an item.
pub(super) fn version_of(item: &Item) -> Option<u64> {
    number(item, VERSION)
}

fn corrupt(item: &Item, name: &str) -> LedgerError {
    let (pk, sk) = (text(item, PK).unwrap_or("?"), text(item, SK).unwrap_or("?"));
    LedgerError::Corrupt(format!("item {pk:?} {sk:?} has no usable attribute {name:?}; restore it from a backup"))
}

/// The key of an item or of an index row.
pub(super) fn key_of(item: &Item) -> Result<Key, LedgerError> {
    let scope = text(item, PK).and_then(parse_scope).ok_or_else(|| corrupt(item, PK))?;
    let path = text(item, SK).ok_or_else(|| corrupt(item, SK))?.to_owned();
    Ok(Key { scope, path })
}

/// When an item or a row of the due index is due.
pub(super) fn due_at(item: &Item) -> Result<Timestamp, LedgerError> {
    number(item, DUE_AT).and_then(from_ms).ok_or_else(|| corrupt(item, DUE_AT))
}

fn due_of(item: &Item) -> Result<Option<Due>, LedgerError> {
    let Some(partition) = item.get(DUE) else { return Ok(None) };
    let shard = partition.as_s().ok().and_then(|text| text.split_once('#')?.0.parse().ok());
    let shard = Shard(shard.ok_or_else(|| corrupt(item, DUE))?);
    let claim = match text(item, OWNER) {
        None => None,
        Some(owner) => {
            let owner = OwnerId::new(owner).map_err(|_| corrupt(item, OWNER))?;
            let working = item.get(WORKING).and_then(|value| value.as_bool().ok());
            Some(Claim { owner, working: *working.ok_or_else(|| corrupt(item, WORKING))? })
        }
    };
    Ok(Some(Due { shard, at: due_at(item)?, claim }))
}

/// The record of an item.
pub(crate) fn record_of(mut item: Item) -> Result<Record, LedgerError> {
    let key = key_of(&item)?;
    let version = version_of(&item).ok_or_else(|| corrupt(&item, VERSION))?;
    let due = due_of(&item)?;
    let plan = match item.get(PLAN) {
        None => None,
        Some(value) => {
            let slot = value.as_s().ok().and_then(|text| parse_plan(text));
            Some(slot.ok_or_else(|| corrupt(&item, PLAN))?)
        }
    };
    match item.remove(BODY) {
        Some(AttributeValue::S(body)) => Ok(Record { key, version, body, due, plan }),
        _ => Err(corrupt(&item, BODY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let scope = Scope::User(UserId::new("ann").unwrap());
        let claim = Some(Claim { owner: OwnerId::new("poller-1").unwrap(), working: true });
        let due = Due { shard: Shard(7), at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(), claim };
        let plan = PlanSlot { shard: Shard(7), class: PollClass::Cold, slot: 9 };
        let key = Key { scope, path: "connection/igpsport-1".into() };
        Record { key, version: 3, body: "{}".into(), due: Some(due), plan: Some(plan) }
    }

    #[test]
    fn a_record_comes_back_and_its_attributes_have_the_documented_names() {
        let item = item_of(record(), 4);
        for (name, value) in [
            ("pk", AttributeValue::S("U#ann".into())),
            ("sk", AttributeValue::S("connection/igpsport-1".into())),
            ("v", AttributeValue::N("3".into())),
            ("body", AttributeValue::S("{}".into())),
            ("d", AttributeValue::S(format!("00007#{}", bucket(&record().key, 4)))),
            ("da", AttributeValue::N("1700000000123".into())),
            ("o", AttributeValue::S("poller-1".into())),
            ("wk", AttributeValue::Bool(true)),
            ("p", AttributeValue::S("00007#cold#09".into())),
        ] {
            assert_eq!(item.get(name), Some(&value), "{name}");
        }
        assert_eq!(item.len(), 9);
        assert_eq!(record_of(item), Ok(record()));
    }

    #[test]
    fn what_cannot_be_read_is_corrupt_and_names_the_item() {
        for (name, value) in [
            ("pk", AttributeValue::S("X#ann".into())),
            ("pk", AttributeValue::S("U#a/b".into())),
            ("v", AttributeValue::N("-1".into())),
            ("body", AttributeValue::N("1".into())),
            ("d", AttributeValue::S("7".into())),
            ("da", AttributeValue::N("1.5".into())),
            ("o", AttributeValue::S("no owner".into())),
            ("wk", AttributeValue::S("true".into())),
            ("p", AttributeValue::S("00007#tepid#1".into())),
        ] {
            let mut item = item_of(record(), 4);
            item.insert(name.into(), value);
            let error = record_of(item).unwrap_err();
            assert!(matches!(error, LedgerError::Corrupt(_)), "{name}: {error}");
            assert!(error.to_string().contains("connection/igpsport-1"), "{error}");
        }
    }

    #[test]
    fn buckets_stay_put_and_share_the_keys_evenly() {
        let key = |n: u32| Key { scope: Scope::System, path: format!("activity/{n}") };
        let mut counts = [0_u32; 4];
        for n in 0..1000 {
            counts[usize::from(bucket(&key(n), 4))] += 1;
        }
        assert!(counts.iter().all(|count| (200..300).contains(count)), "{counts:?}");
        assert_eq!(bucket(&key(1), 0), 0, "no buckets are one");
        // What is stored lies there: these must never change.
        assert_eq!([bucket(&key(0), 4), bucket(&key(1), 4), bucket(&record().key, 4)], [3, 0, 0]);
    }
}
