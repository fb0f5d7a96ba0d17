//! The ledger against an emulator of DynamoDB, and against answers that no emulator gives.

mod conformance;
mod emulator;
mod engine;
mod fake;
mod faults;
mod large;
mod lost;
mod model;
mod requests;
mod together;
mod usage;
