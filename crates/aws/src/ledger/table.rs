//! The table's names, and how it is made where no template makes it.

use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType,
    },
};
use fitbridge_core::ports::LedgerError;

use super::fault::Fault;

/// The sparse index of what needs work: `d` (hash), `da` (range), keys only.
pub const DUE_INDEX: &str = "due";
/// The sparse index of what is polled when: `p` (hash), `sk` (range), keys only.
pub const PLAN_INDEX: &str = "plan";

/// Attribute: whose record it is (table hash key, S).
pub(super) const PK: &str = "pk";
/// Attribute: the record's path (table range key, S).
pub(super) const SK: &str = "sk";
/// Attribute: the version (N).
pub(super) const VERSION: &str = "v";
/// Attribute: the document (S).
pub(super) const BODY: &str = "body";
/// Attribute: the id of the single write that left the record so (S); absent after a transaction.
pub(super) const WRITE_ID: &str = "w";
/// Attribute: shard and bucket of a due record (hash key of the due index, S).
pub(super) const DUE: &str = "d";
/// Attribute: when it is due, ms since 1970 (range key of the due index, N).
pub(super) const DUE_AT: &str = "da";
/// Attribute: who claims it (S).
pub(super) const OWNER: &str = "o";
/// Attribute: whether the claim's owner is at work on it (BOOL).
pub(super) const WORKING: &str = "wk";
/// Attribute: shard, class and slot of a planned record (hash key of the plan index, S).
pub(super) const PLAN: &str = "p";

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build()
}

fn index(name: &str, hash: &str, range: &str) -> Result<GlobalSecondaryIndex, BuildError> {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .key_schema(key(hash, KeyType::Hash)?)
        .key_schema(key(range, KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
}

/// Makes the table as [`DynamoLedger`](super::DynamoLedger) needs it, for tests and development: a deployed
/// table comes from the template, with its protections. `Ok` also where a table of that name exists; it is
/// not compared. The answer may come before a real DynamoDB has the table ready.
pub async fn create_table(client: &Client, table: &str) -> Result<(), LedgerError> {
    let wrong = |error: BuildError| LedgerError::Misuse(format!("table {table}: {error}"));
    let request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(PK, ScalarAttributeType::S).map_err(wrong)?)
        .attribute_definitions(attribute(SK, ScalarAttributeType::S).map_err(wrong)?)
        .attribute_definitions(attribute(DUE, ScalarAttributeType::S).map_err(wrong)?)
        .attribute_definitions(attribute(DUE_AT, ScalarAttributeType::N).map_err(wrong)?)
        .attribute_definitions(attribute(PLAN, ScalarAttributeType::S).map_err(wrong)?)
        .key_schema(key(PK, KeyType::Hash).map_err(wrong)?)
        .key_schema(key(SK, KeyType::Range).map_err(wrong)?)
        .global_secondary_indexes(index(DUE_INDEX, DUE, DUE_AT).map_err(wrong)?)
        .global_secondary_indexes(index(PLAN_INDEX, PLAN, SK).map_err(wrong)?);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => Ok(()),
        Err(error) => Err(Fault::of(&error, table).into()),
    }
}
