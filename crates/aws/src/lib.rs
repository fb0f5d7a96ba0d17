#![doc = include_str!("../README.md")]

pub mod admin;
pub mod archive;
pub mod context;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod ledger;
pub mod logs;
pub mod metrics;
pub mod notify;
pub mod queue;
pub mod run;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod vault;

pub use ledger::DynamoLedger;
