//! What the benches of the whole share: the outside world in a process of its own, the adapters as the
//! command line wires them, and what is measured.

mod machine;
mod meter;
mod upstream;

pub(crate) use machine::{Machine, connect_source};
pub(crate) use meter::{Cpu, Usage, memory_kb};
pub(crate) use upstream::{Plan, Upstream};

/// What a bench ends with when something it needs fails.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A number of things as a divisor.
pub(crate) fn per(count: usize) -> f64 {
    f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX))
}

/// The runtime that the command line has.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
