//! Under construction.

pub mod ledger;

pub use ledger::DynamoLedger;
