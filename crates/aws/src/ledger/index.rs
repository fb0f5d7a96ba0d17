//! The due index and the plan index.

use aws_sdk_dynamodb::{
    operation::query::{QueryOutput, builders::QueryFluentBuilder},
    types::AttributeValue,
};
use fitbridge_core::{
    domain::Shard,
    ports::{DueRow, LedgerError, PlanPage, PlanRow, PlanSlot, millis::ms_down},
};
use futures::future::try_join_all;
use jiff::Timestamp;

use super::{
    DynamoLedger, Operation,
    item::{Item, due_at, due_partition, key_of, plan_partition, text},
    read::row_limit,
    table::{DUE, DUE_AT, DUE_INDEX, PK, PLAN, PLAN_INDEX, SK},
};

/// A row of an index, unless it cannot be read; that is only logged.
fn readable<T>(row: Result<T, LedgerError>) -> Option<T> {
    row.inspect_err(|error| tracing::error!(%error, "a row of an index is passed over: {error}")).ok()
}

impl DynamoLedger {
    pub(super) async fn read_due(
        &self,
        shard: Shard,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueRow>, LedgerError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let until_ms = ms_down(until);
        let buckets = (0..self.buckets).map(|bucket| self.due_in(due_partition(shard, bucket), until_ms, limit));
        let mut rows = try_join_all(buckets).await?.concat();
        rows.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        rows.truncate(limit);
        Ok(rows)
    }

    /// The earliest rows of one bucket, at most `limit` and a page.
    async fn due_in(&self, partition: String, until_ms: i64, limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        let (mut rows, mut start) = (Vec::new(), None);
        loop {
            let request = self
                .index_query(DUE_INDEX, row_limit(limit - rows.len()), start)
                .key_condition_expression(format!("{DUE} = :d AND {DUE_AT} <= :until"))
                .expression_attribute_values(":d", AttributeValue::S(partition.clone()))
                .expression_attribute_values(":until", AttributeValue::N(until_ms.to_string()));
            let output = self.query(&request).await?;
            for item in output.items() {
                // A row that cannot be read must not stand in the way of the others.
                rows.extend(readable(key_of(item).and_then(|key| Ok(DueRow { key, at: due_at(item)? }))));
            }
            start = output.last_evaluated_key;
            if start.is_none() || rows.len() >= limit {
                return Ok(rows);
            }
        }
    }

    pub(super) async fn read_plan(
        &self,
        slot: PlanSlot,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<PlanPage, LedgerError> {
        let partition = AttributeValue::S(plan_partition(slot));
        let start = match cursor.map(|cursor| cursor.split_once('\n')) {
            None => None,
            Some(None) => return Err(LedgerError::Misuse("a cursor that this plan did not give".into())),
            Some(Some((pk, sk))) => Some(Item::from([
                (PLAN.to_owned(), partition.clone()),
                (PK.to_owned(), AttributeValue::S(pk.to_owned())),
                (SK.to_owned(), AttributeValue::S(sk.to_owned())),
            ])),
        };
        let request = self
            .index_query(PLAN_INDEX, row_limit(limit), start)
            .key_condition_expression(format!("{PLAN} = :p"))
            .expression_attribute_values(":p", partition);
        let output = self.query(&request).await?;
        // A user's name holds no line break, so the first one ends the partition key.
        let next = output.last_evaluated_key().and_then(|key| Some(format!("{}\n{}", text(key, PK)?, text(key, SK)?)));
        let rows = output.items().iter().filter_map(|item| readable(key_of(item)).map(|key| PlanRow { key }));
        Ok(PlanPage { rows: rows.collect(), next })
    }

    fn index_query(&self, index: &str, limit: i32, start: Option<Item>) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .limit(limit)
            .set_exclusive_start_key(start)
            .set_return_consumed_capacity(self.capacity())
    }

    async fn query(&self, request: &QueryFluentBuilder) -> Result<QueryOutput, LedgerError> {
        let output = self.answer(Operation::Query, || request.clone().send()).await?;
        self.count_units(Operation::Query, output.consumed_capacity.as_slice());
        Ok(output)
    }
}
