//! Where secrets lie sealed on AWS: one secret of Secrets Manager per connection ([`PerUserSecretVault`],
//! the default), or ciphertext in the ledger under keys of Secrets Manager ([`KeyringVault`]).
//!
//! The poller may read the secrets of sources only, and the sink those of sinks only. A [`Role`] is part of
//! each secret's name, and each role has a keyring of its own, so that the functions' rights at AWS tell
//! them apart; no code of ours has to be believed.

mod keyring;
mod migrate;
mod open_only;
mod operator;
mod per_user;
mod role;
mod service;

pub use keyring::{
    Dropped, KeySource, Keyring, KeyringError, KeyringVault, Rotated, SETTLED_AFTER, SecretsManagerKeys,
};
pub use migrate::{MigrateError, Migrated, Originals, Side, migrate, survey};
pub use open_only::OpenOnly;
pub use operator::OperatorVault;
pub use per_user::{PerUserSecretVault, Recovery};
pub use role::Role;
pub use service::ServiceVault;
