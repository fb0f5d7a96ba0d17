//! Telling riders from AWS.

mod ses;

#[cfg(feature = "fuzzing")]
pub(crate) use ses::result as ses_result;

pub use ses::{CHANNEL, Ses};
