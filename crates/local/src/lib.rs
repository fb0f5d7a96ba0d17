#![doc = include_str!("../README.md")]

mod archive;
mod clock;
mod ledger;
mod owners;
mod serve_lock;
mod vault;

pub use archive::FolderArchive;
pub use clock::{ScaledClock, SystemClock, SystemEntropy};
pub use ledger::{OpenError, SqliteLedger};
pub use owners::{OwnerError, OwnerGuard, Owners};
pub use serve_lock::{ServeLock, ServeLockError};
pub use vault::FileVault;
