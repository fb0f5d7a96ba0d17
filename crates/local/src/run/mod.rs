//! The engine at work in one process: a queue in memory, workers in lanes, one pass, and the loop.

mod lanes;
mod pass;
mod queue;
mod serve;

pub use fitbridge_host::Paced;
pub use lanes::{Lanes, Limits};
pub use pass::{PassReport, SourcePass, pass, work_through};
pub use queue::{Jobs, LocalQueue};
pub use serve::{Served, serve};
