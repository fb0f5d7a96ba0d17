//! Metrics as lines on standard output in `CloudWatch`'s embedded metric format: no call is made, and
//! `CloudWatch` reads them out of the log.
//!
//! Namespace [`NAMESPACE`]; dimensions are `Function`, and for a few metrics also `Shard`. A user is never a
//! dimension: each set of dimensions is charged as a metric of its own.

mod emf;
mod observer;

pub use emf::{Metric, Metrics, NAMESPACE, Unit};
pub use observer::MetricsObserver;
