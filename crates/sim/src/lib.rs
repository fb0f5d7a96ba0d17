#![doc = include_str!("../README.md")]

mod bugs;
mod clockwork;
mod judge;
mod knobs;
mod riders;
mod run;
mod shrink;
mod story;
mod trouble;
mod workers;
mod world;

pub use bugs::{Catch, hunt, laws_broken_by};
pub use fitbridge_core::engine::Bug;
pub use run::{Options, Report, run};
pub use shrink::{Shrunk, shrink};
pub use story::Violation;
pub use trouble::Fault;
