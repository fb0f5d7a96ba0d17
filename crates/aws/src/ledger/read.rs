//! Consistent reads of records.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use fitbridge_core::ports::{Key, LedgerError, MAX_BATCH, Record, RecordPage, Scope};

use super::{
    DynamoLedger, Operation,
    fault::Fault,
    item::{Item, key_item, record_of, scope_text, text},
    table::{PK, SK},
};

/// Longest path a record can have, bytes.
pub(super) const MAX_PATH: usize = 512;

fn can_be(key: &Key) -> bool {
    (1..=MAX_PATH).contains(&key.path.len())
}

/// Which way a range is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// In the order of paths.
    Up,
    /// Against it.
    Down,
}

/// A number of rows as DynamoDB takes it.
pub(super) fn row_limit(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX).max(1)
}

impl DynamoLedger {
    pub(super) async fn read_one(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        // DynamoDB refuses keys that no record can have; there is none under them.
        if !can_be(key) {
            return Ok(None);
        }
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key_item(key)))
            .consistent_read(true)
            .set_return_consumed_capacity(self.capacity());
        let output = self.answer(Operation::GetItem, || request.clone().send()).await?;
        self.count_units(Operation::GetItem, output.consumed_capacity.as_slice());
        output.item.map(record_of).transpose()
    }

    pub(super) async fn read_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        if keys.len() > MAX_BATCH {
            return Err(LedgerError::Misuse(format!("{} keys at once", keys.len())));
        }
        if let [key] = keys {
            return Ok(vec![self.read_one(key).await?]);
        }
        // DynamoDB refuses a key that stands twice.
        let wanted: HashSet<&Key> = keys.iter().filter(|key| can_be(key)).collect();
        let mut found: HashMap<Key, Record> = HashMap::with_capacity(wanted.len());
        let mut left: Vec<Item> = wanted.into_iter().map(key_item).collect();
        let mut tries = self.patience.begin();
        while !left.is_empty() {
            let asked = left.len();
            let (items, unprocessed) = self.read_batch(left).await?;
            for item in items {
                let record = record_of(item)?;
                found.insert(record.key.clone(), record);
            }
            left = unprocessed;
            // An answer holds 16 MB at most: as long as each brings some, it is not being throttled.
            if left.len() == asked {
                tries.again(Fault::refused(format!("table {}: reads are throttled", self.table))).await?;
            }
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn read_batch(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), LedgerError> {
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let keys = keys.map_err(|error| LedgerError::Misuse(error.to_string()))?;
        let request =
            self.client.batch_get_item().request_items(&self.table, keys).set_return_consumed_capacity(self.capacity());
        let output = self.answer(Operation::BatchGetItem, || request.clone().send()).await?;
        self.count_units(Operation::BatchGetItem, output.consumed_capacity());
        let items = output.responses.into_iter().flat_map(HashMap::into_values).flatten().collect();
        let left = output.unprocessed_keys.into_iter().flat_map(HashMap::into_values);
        Ok((items, left.flat_map(|keys| keys.keys).collect()))
    }

    pub(super) async fn read_range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        order: Order,
    ) -> Result<RecordPage, LedgerError> {
        // DynamoDB refuses to start outside of the range: from before its start (or, downwards, from behind its
        // end) is from there.
        let inside = |path: &str| match order {
            Order::Up => path >= prefix,
            Order::Down => path < prefix || path.starts_with(prefix),
        };
        let after = after.filter(|after| inside(after));
        // Nothing is below the empty text, which is also no key to start from.
        let is_below_all = order == Order::Down && after.is_some_and(str::is_empty);
        if is_below_all || prefix.len() > MAX_PATH || after.is_some_and(|after| !after.starts_with(prefix)) {
            return Ok(RecordPage::default());
        }
        let start = |path: &str| key_item(&Key { scope: scope.clone(), path: path.to_owned() });
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .expression_attribute_values(":pk", AttributeValue::S(scope_text(scope)))
            .set_exclusive_start_key(after.filter(|after| !after.is_empty()).map(start))
            .consistent_read(true)
            .set_scan_index_forward((order == Order::Down).then_some(false))
            .limit(row_limit(limit))
            .set_return_consumed_capacity(self.capacity());
        // An empty text is no prefix to DynamoDB.
        request = if prefix.is_empty() {
            request.key_condition_expression(format!("{PK} = :pk"))
        } else {
            request
                .key_condition_expression(format!("{PK} = :pk AND begins_with({SK}, :prefix)"))
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
        };
        let output = self.answer(Operation::Query, || request.clone().send()).await?;
        self.count_units(Operation::Query, output.consumed_capacity.as_slice());
        let next = output.last_evaluated_key.as_ref().and_then(|key| text(key, SK)).map(str::to_owned);
        let records = output.items.unwrap_or_default().into_iter().map(record_of).collect::<Result<_, _>>()?;
        Ok(RecordPage { records, next })
    }
}
