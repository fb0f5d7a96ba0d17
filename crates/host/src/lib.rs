//! What the machine below the engine gives, on one machine as in a function: the time, chance, and a pace
//! kept against the time. Nothing here stores anything.

mod machine;
mod pace;

pub use machine::{SystemClock, SystemEntropy};
pub use pace::Paced;
