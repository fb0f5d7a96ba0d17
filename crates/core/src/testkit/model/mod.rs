//! Random work that is done on an adapter and on its memory version, and must give the same answers. The
//! conformance suites say what has to hold case by case; this looks for what nobody thought of.

pub mod ledger;
pub mod vault;
