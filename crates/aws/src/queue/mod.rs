//! Handing work over: jobs as messages of SQS, and jobs that stay in this process.
//!
//! Only the poller calls sources, so tasks that do ([`fitbridge_core::ports::Task::calls_source`]) are in no
//! message. In the poller a [`RoutedQueue`] keeps them in an [`InProcessQueue`]; in the sink a
//! [`SinkQueue`] leaves them to the ledger, where the poller's next sweep finds them.

mod message;
mod routed;
mod sqs;

pub use message::{DecodeError, MAX_MESSAGE_BYTES, decode, encode, judge};
pub use routed::{InProcessQueue, Jobs, RoutedQueue, SinkQueue};
pub use sqs::SqsQueue;
