#![doc = include_str!("../README.md")]

mod asks;
mod bugs;
mod clockwork;
mod judge;
mod knobs;
mod operator;
mod riders;
mod rides;
mod run;
mod shrink;
mod story;
mod trouble;
mod wishes;
mod workers;
mod world;

pub use bugs::{Catch, hunt, laws_broken_by};
pub use fitbridge_core::engine::Bug;
pub use run::{Options, Report, run};
pub use shrink::{Shrunk, shrink};
pub use story::Violation;
pub use trouble::Fault;
