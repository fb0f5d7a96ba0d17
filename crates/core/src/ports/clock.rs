//! Time and chance.

use jiff::Timestamp;

/// What time it is. The engine never asks the machine.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment, UTC.
    fn now(&self) -> Timestamp;
}

/// Randomness for jitter; nothing secret is made from it.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// A number in `0.0..1.0`.
    fn fraction(&self) -> f64;
}
