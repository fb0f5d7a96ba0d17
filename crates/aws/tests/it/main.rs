//! The adapters against an emulator of AWS (moto), and against answers that no emulator gives.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod answers;
mod archive;
mod queue;
mod script;
mod secrets;
