//! The ledger against an emulator of DynamoDB, and against answers that no emulator gives.

mod conformance;
mod emulator;
mod fake;
mod faults;
mod requests;
mod usage;
