#![doc = include_str!("../README.md")]

mod archive;
mod clock;
mod ledger;
mod nothing;
mod owners;
mod random;
pub mod run;
mod serve_lock;
pub mod smtp;
mod vault;

pub use archive::FolderArchive;
pub use clock::ScaledClock;
pub use fitbridge_host::{SystemClock, SystemEntropy};
pub use ledger::{OpenError, SqliteLedger, scrub};
pub use nothing::Nothing;
pub use owners::{OwnerError, OwnerGuard, Owners};
pub use random::{NoRandomness, random_bytes};
pub use serve_lock::{ServeLock, ServeLockError};
pub use vault::FileVault;
