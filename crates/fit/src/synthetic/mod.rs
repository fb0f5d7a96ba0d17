//! Made-up rides, whole and broken, for the simulator and for tests.
//!
//! [`RideSpec`] makes believable rides with an encoder library; [`RawFit`] writes any bytes in the frame of a FIT
//! file, and [`malformed`] uses it for the files that no encoder would write.

mod encode;
pub mod malformed;
mod model;
mod random;
mod raw;
mod ride;

pub use raw::{Order, Payload, RawField, RawFit};
pub use ride::{RideFacts, RideSpec};

/// Why a ride could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// FIT has no value for a time of the ride.
    #[error("the ride's time {0} cannot be written in FIT")]
    Time(jiff::Timestamp),
    /// The spec asks for what no ride has, such as a record interval of 0 seconds.
    #[error("the ride cannot be made: {0}")]
    Spec(&'static str),
    /// The encoder library refused a message.
    #[error("the encoder refused the ride: {0}")]
    Encoder(String),
}
