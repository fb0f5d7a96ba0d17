//! Writes: one with a condition, several as a transaction.

use std::{collections::HashSet, error::Error};

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::{
        delete_item::DeleteItemError,
        put_item::PutItemError,
        transact_write_items::{TransactWriteItemsError, builders::TransactWriteItemsFluentBuilder},
    },
    types::{
        AttributeValue, ConditionCheck, ConsumedCapacity, Delete, Put, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fitbridge_core::ports::{Change, CommitError, Expect, Key, LedgerError, MAX_BATCH, Record, Write};

use super::{
    DynamoLedger, Operation,
    fault::{Fate, Fault},
    item::{Item, item_of, key_item, text, version_of},
    read::MAX_PATH,
    table::{PK, VERSION, WRITE_ID},
};

/// Longest body, bytes; an item may have 400 KB in all.
const MAX_BODY: usize = 256 * 1024;
/// Most bytes of one transaction: 4 MB, less what keys and small attributes take.
const MAX_TRANSACTION: usize = 3_900_000;

/// A condition and its values.
type Condition = (String, Option<(String, AttributeValue)>);

fn condition(expect: Expect) -> Condition {
    match expect {
        Expect::Absent => (format!("attribute_not_exists({PK})"), None),
        Expect::Version(version) => {
            (format!("{VERSION} = :v"), Some((":v".into(), AttributeValue::N(version.to_string()))))
        }
    }
}

fn version_after(expect: Expect) -> u64 {
    match expect {
        Expect::Absent => 1,
        Expect::Version(version) => version.saturating_add(1),
    }
}

fn misuse(text: String) -> CommitError {
    LedgerError::Misuse(text).into()
}

fn check(writes: &[Write]) -> Result<(), CommitError> {
    if writes.len() > MAX_BATCH {
        return Err(misuse(format!("{} writes in one commit", writes.len())));
    }
    let (mut keys, mut total) = (HashSet::new(), 0);
    for Write { key, change, .. } in writes {
        if !keys.insert(key) {
            return Err(misuse(format!("{} stands twice in one commit", key.path)));
        }
        if !(1..=MAX_PATH).contains(&key.path.len()) {
            return Err(misuse(format!("a path of {} bytes", key.path.len())));
        }
        let body = if let Change::Put { body, .. } = change { body.len() } else { 0 };
        if body > MAX_BODY {
            return Err(misuse(format!("a body of {body} bytes at {}", key.path)));
        }
        total += body;
    }
    if total > MAX_TRANSACTION {
        return Err(misuse(format!("{total} bytes in one commit")));
    }
    Ok(())
}

/// A name that no other write has; also fit as a transaction's token (36 characters at most).
fn fresh_id() -> Result<String, LedgerError> {
    let mut bytes = [0; 15];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| LedgerError::Unavailable("no random numbers".into()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// How a single write ended.
enum End {
    Done,
    /// The condition did not hold; what was there instead.
    NotAsExpected(Option<Item>),
    Failed(Fault),
}

impl DynamoLedger {
    pub(super) async fn write(&self, mut writes: Vec<Write>) -> Result<(), CommitError> {
        check(&writes)?;
        if writes.len() > 1 {
            return self.write_together(writes).await;
        }
        match writes.pop() {
            None => Ok(()),
            Some(Write { key, expect, change: Change::Check }) => self.check_one(key, expect).await,
            Some(write) => self.write_one(write).await,
        }
    }

    /// A check alone writes nothing, so a consistent read does, at half a write's price or less.
    async fn check_one(&self, key: Key, expect: Expect) -> Result<(), CommitError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key_item(&key)))
            .consistent_read(true)
            .projection_expression(VERSION)
            .set_return_consumed_capacity(self.capacity());
        let output = self.answer(Operation::GetItem, || request.clone().send()).await?;
        self.count_units(Operation::GetItem, output.consumed_capacity.as_slice());
        let holds = match (output.item(), expect) {
            (None, Expect::Absent) => true,
            (Some(item), Expect::Version(version)) => version_of(item) == Some(version),
            _ => false,
        };
        if holds { Ok(()) } else { Err(CommitError::Conflict(vec![key])) }
    }

    async fn write_one(&self, write: Write) -> Result<(), CommitError> {
        let Write { key, expect, change } = write;
        let (operation, id) = match change {
            Change::Put { .. } => (Operation::PutItem, Some(fresh_id()?)),
            Change::Delete | Change::Check => (Operation::DeleteItem, None),
        };
        let item = id.as_ref().map(|id| {
            let mut item = self.item(key.clone(), expect, change);
            item.insert(WRITE_ID.to_owned(), AttributeValue::S(id.clone()));
            item
        });
        let mut tries = self.patience.begin();
        let mut is_unknown = false;
        loop {
            self.count_request(operation);
            let end = match &item {
                Some(item) => self.put(item.clone(), expect).await,
                None => self.delete(&key, expect).await,
            };
            match end {
                End::Done => return Ok(()),
                End::NotAsExpected(there) => {
                    return self.settle(key, expect, id.as_deref(), there.as_ref(), is_unknown);
                }
                End::Failed(fault) => {
                    is_unknown |= fault.fate == Fate::Unknown;
                    tries.again(fault).await.map_err(LedgerError::from)?;
                }
            }
        }
    }

    /// What a failed condition means, given what is there now and whether an earlier try may have been done.
    fn settle(
        &self,
        key: Key,
        expect: Expect,
        id: Option<&str>,
        there: Option<&Item>,
        is_unknown: bool,
    ) -> Result<(), CommitError> {
        let ours = id.is_some() && there.and_then(|item| text(item, WRITE_ID)) == id;
        if ours {
            return Ok(());
        }
        let version = there.and_then(version_of);
        let is_certain = match id {
            // Another writer has taken the very version that ours would have made.
            Some(_) => version == Some(version_after(expect)),
            // It is still there, and newer than what was to be removed.
            None => version.is_some_and(|version| version >= version_after(expect)),
        };
        if is_unknown && !is_certain {
            let text = format!("table {}: the answer to a write was lost and its record changed since", self.table);
            return Err(LedgerError::Unavailable(text).into());
        }
        Err(CommitError::Conflict(vec![key]))
    }

    fn item(&self, key: Key, expect: Expect, change: Change) -> Item {
        match change {
            Change::Put { body, due, plan } => {
                item_of(Record { key, version: version_after(expect), body, due, plan }, self.buckets)
            }
            Change::Delete | Change::Check => key_item(&key),
        }
    }

    async fn put(&self, item: Item, expect: Expect) -> End {
        let (condition, value) = condition(expect);
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .set_expression_attribute_values(value.map(|value| Item::from([value])))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_return_consumed_capacity(self.capacity())
            .send()
            .await;
        let answer = answer.map(|output| output.consumed_capacity);
        self.end(Operation::PutItem, answer, |error| match error {
            PutItemError::ConditionalCheckFailedException(failed) => Some(failed.item.clone()),
            _ => None,
        })
    }

    async fn delete(&self, key: &Key, expect: Expect) -> End {
        let (condition, value) = condition(expect);
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key_item(key)))
            .condition_expression(condition)
            .set_expression_attribute_values(value.map(|value| Item::from([value])))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_return_consumed_capacity(self.capacity())
            .send()
            .await;
        let answer = answer.map(|output| output.consumed_capacity);
        self.end(Operation::DeleteItem, answer, |error| match error {
            DeleteItemError::ConditionalCheckFailedException(failed) => Some(failed.item.clone()),
            _ => None,
        })
    }

    /// How a single write ended, by its answer; `failed_check` finds what was there where the condition did
    /// not hold.
    fn end<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        operation: Operation,
        answer: Result<Option<ConsumedCapacity>, SdkError<E, HttpResponse>>,
        failed_check: impl FnOnce(&E) -> Option<Option<Item>>,
    ) -> End {
        match answer {
            Ok(consumed) => {
                self.count_units(operation, consumed.as_slice());
                End::Done
            }
            Err(error) => match error.as_service_error().and_then(failed_check) {
                Some(there) => End::NotAsExpected(there),
                None => End::Failed(Fault::of(&error, &self.table)),
            },
        }
    }

    async fn write_together(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let keys: Vec<_> = writes.iter().map(|write| write.key.clone()).collect();
        let items = writes.into_iter().map(|write| self.part(write)).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|error| misuse(error.to_string()))?;
        let request = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .client_request_token(fresh_id()?)
            .set_return_consumed_capacity(self.capacity());
        let mut tries = self.patience.begin();
        loop {
            match self.transact(&request, &keys).await? {
                None => return Ok(()),
                Some(fault) => tries.again(fault).await.map_err(LedgerError::from)?,
            }
        }
    }

    /// One try of a transaction: done, conflict, or a fault.
    async fn transact(
        &self,
        request: &TransactWriteItemsFluentBuilder,
        keys: &[Key],
    ) -> Result<Option<Fault>, CommitError> {
        self.count_request(Operation::TransactWriteItems);
        let error = match request.clone().send().await {
            Ok(output) => {
                self.count_units(Operation::TransactWriteItems, output.consumed_capacity());
                return Ok(None);
            }
            Err(error) => error,
        };
        let Some(reasons) = reasons(&error) else { return Ok(Some(Fault::of(&error, &self.table))) };
        let failed = keys.iter().zip(&reasons).filter(|(_, reason)| **reason == "ConditionalCheckFailed");
        let failed: Vec<_> = failed.map(|(key, _)| key.clone()).collect();
        if !failed.is_empty() {
            return Err(CommitError::Conflict(failed));
        }
        let told = format!("table {}: a transaction was cancelled: {}", self.table, reasons.join(", "));
        let any = |codes: &[&str]| reasons.iter().any(|reason| codes.contains(&reason.as_str()));
        let fault = if any(&["ValidationError", "ItemCollectionSizeLimitExceeded"]) {
            Fault::wrong(told)
        } else if any(&["AccessDenied"]) {
            Fault::denied(told)
        } else {
            // TransactionConflict, ThrottlingError, ProvisionedThroughputExceeded.
            Fault::refused(told)
        };
        Ok(Some(fault))
    }

    fn part(&self, write: Write) -> Result<TransactWriteItem, BuildError> {
        let Write { key, expect, change } = write;
        let (condition, value) = condition(expect);
        let values = value.map(|value| Item::from([value]));
        let part = TransactWriteItem::builder();
        Ok(match change {
            Change::Put { .. } => {
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(self.item(key, expect, change)))
                    .condition_expression(condition)
                    .set_expression_attribute_values(values);
                part.put(put.build()?)
            }
            Change::Delete => {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(key_item(&key)))
                    .condition_expression(condition)
                    .set_expression_attribute_values(values);
                part.delete(delete.build()?)
            }
            Change::Check => {
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .set_key(Some(key_item(&key)))
                    .condition_expression(condition)
                    .set_expression_attribute_values(values);
                part.condition_check(check.build()?)
            }
        }
        .build())
    }
}

/// Why each part of a cancelled transaction was; `None` where it failed otherwise.
fn reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<Vec<String>> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error.as_service_error()? else {
        return None;
    };
    let reasons = cancelled.cancellation_reasons();
    Some(reasons.iter().map(|reason| reason.code().unwrap_or("None").to_owned()).collect())
}
