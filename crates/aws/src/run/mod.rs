//! What the functions do with an invocation. Their `main.rs` files only hand over the environment and the
//! events.
//!
//! - [`Poller`]: one tick of a shard. Polls and resolves run in this process, everything else goes to SQS.
//! - [`SinkWorker`]: one batch of jobs; each record has its own end, whatever the others do.
//!
//! Both stop beginning things well before the function's time is over ([`Deadline`]), and give back what
//! they have not begun.

mod absent;
mod deadline;
mod parts;
mod poller;
mod sink;
mod work;

#[cfg(feature = "fuzzing")]
pub(crate) use {poller::shard_of, sink::named};

#[cfg(test)]
mod tests;

pub use absent::Absent;
pub use deadline::Deadline;
pub use parts::{Parts, StartError};
pub use poller::{Poller, PollerError};
pub use sink::{BatchAnswer, SinkError, SinkWorker};
