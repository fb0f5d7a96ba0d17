//! How often each source is polled: learned, decided when it is polled, and told.

mod freshness;
mod keep;
mod outlook;
mod rhythm;

pub use freshness::Freshness;
pub(in crate::engine) use keep::{HOT_FOR, Place};
pub use outlook::{DORMANT_AFTER, ENOUGH_RIDES, Outlook, holds, last_turn, next_turn, outlook, slot_of, within};
pub use rhythm::Window;
