//! The adapters against an emulator of AWS (moto), and against answers that no emulator gives.

mod answers;
mod archive;
mod moto;
mod queue;
mod script;
mod secrets;
