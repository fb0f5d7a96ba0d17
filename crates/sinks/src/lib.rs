#![doc = include_str!("../README.md")]

mod answer;
pub mod folder;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod intervals;
pub mod registry;
#[cfg(test)]
mod testing;
mod text;
pub mod webhook;

pub use folder::Folder;
pub use intervals::Intervals;
pub use registry::{Options, all_sinks};
pub use webhook::Webhook;
