#![doc = include_str!("../README.md")]

pub mod codes;
pub mod domain;
pub mod engine;
pub mod ports;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use codes::{Code, Failure, Reader};
pub use engine::{Engine, Policy};
