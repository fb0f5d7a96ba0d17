//! Adapters in memory for every port, fakes that can be told to fail, and the conformance suites that an
//! adapter has to pass.

pub mod conformance;
mod ledger;

pub use ledger::MemoryLedger;
