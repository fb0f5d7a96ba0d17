//! The engine at work in one process: a queue in memory, workers in lanes, one pass, and the loop.

mod lanes;
mod pace;
mod pass;
mod queue;
mod serve;

pub use lanes::{Lanes, Limits};
pub use pace::Paced;
pub use pass::{PassReport, SourcePass, pass};
pub use queue::{Jobs, LocalQueue};
pub use serve::{Served, serve};
