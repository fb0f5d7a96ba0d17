#![doc = include_str!("../README.md")]

mod mutate;
mod random;
mod runner;
mod targets;

pub use runner::{Report, run};
pub use targets::{Target, all, named};

/// Checks one input with the target of that name; for fuzzers that make their own inputs.
///
/// # Panics
/// When there is no such target, or the check fails.
pub fn check(target: &str, input: &[u8]) {
    match named(target) {
        Some(target) => drop((target.check)(input)),
        None => panic!("there is no target {target}"),
    }
}
