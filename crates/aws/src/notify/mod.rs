//! Telling riders from AWS.

mod ses;

pub use ses::{CHANNEL, Ses};
