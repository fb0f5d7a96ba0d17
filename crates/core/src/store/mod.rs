//! Domain records in a ledger: where each kind lies, how it is written, and typed reads.
//!
//! | path in the user's scope | record |
//! |---|---|
//! | `user` | [`User`](crate::domain::User) |
//! | `connection/{connection}` | [`Connection`](crate::domain::Connection) |
//! | `activity/{activity}` | [`Activity`](crate::domain::Activity) |
//! | `content/{sha256}` | [`ContentOwner`]: which activity holds a file |
//! | `delivery/{connection}/{sha256}` | [`Delivery`](crate::domain::Delivery) |
//! | `baseline/{connection}/{month}` | [`BaselineMonth`]: what was at a sink before us |
//! | `sealed/{connection}` | a vault's ciphertext, where the vault keeps it in the ledger |
//!
//! | path in the system's scope | record |
//! |---|---|
//! | `cursor/{shard}` | [`Cursor`]: how far a shard's ticks are |
//! | `breaker/{realm}` | [`Breaker`]: whether a provider is left alone |

mod records;
mod stored;

pub use records::{BaselineMonth, BaselineRide, Breaker, ContentOwner, Cursor, CursorClaim, Document};
pub use stored::{Store, StoreError, Stored};
