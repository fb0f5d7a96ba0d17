//! Domain records in a ledger: where each kind lies, how it is written, and typed reads.
//!
//! | path in the user's scope | record |
//! |---|---|
//! | `user` | [`User`](crate::domain::User) |
//! | `connection/{connection}` | [`Connection`](crate::domain::Connection) |
//! | `activity/{activity}` | [`Activity`](crate::domain::Activity) |
//! | `content/{sha256}` | [`ContentOwner`]: which activity holds a file |
//! | `delivery/{connection}/{sha256}` | [`Delivery`](crate::domain::Delivery) |
//! | `habits/{connection}` | [`Habits`](crate::domain::Habits): when the rides of a source tend to appear |
//! | `contact` | [`Contact`](crate::domain::Contact): how the rider is told |
//! | `notice/{cause}` | [`Notice`](crate::domain::Notice): what the rider is told about one cause |
//! | `event/{time}-{tag}` | [`Event`](crate::domain::Event): what happened, for the audit |
//! | `day/{date}` | [`Day`]: which rides began on a day (UTC) |
//! | `baseline/{connection}/{month}` | [`BaselineMonth`]: what was at a sink before us |
//! | `seen/{connection}/{part}` | [`SeenRides`]: what a reconcile saw upstream, while it is under way |
//! | `sealed/{connection}` | a vault's ciphertext, where the vault keeps it in the ledger |
//!
//! | path in the system's scope | record |
//! |---|---|
//! | `cursor/{shard}` | [`Cursor`]: how far a shard's ticks are |
//! | `breaker/{provider}` | [`Breaker`]: whether a provider is left alone |
//! | `receipt/{digest}` | [`Receipt`]: that a rider's account was deleted |
//! | `rider/{user}` | [`Listed`]: that there is such a rider; the operator's list |
//! | `halt` | [`Halt`]: nobody is asked anything, for as long as it is there |

mod records;
mod stored;

pub use records::{
    BaselineMonth, BaselineRide, Breaker, ContentOwner, Cursor, CursorClaim, Day, DayRide, Document, Halt, Listed,
    Receipt, SeenRides,
};
pub use stored::{Store, StoreError, Stored};
