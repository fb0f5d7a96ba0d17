//! What every adapter of a port has to do. A suite is a function that takes a way to make fresh ones and
//! panics, saying what is wrong, at the first thing that is not as the port's contract says.

pub mod archive;
pub mod ledger;
pub mod notifier;
pub mod vault;
