//! Ciphertext in the ledger, under keys of Secrets Manager.
//!
//! A secret of Secrets Manager per [`Role`](super::Role) holds a ring of AES-256 keys; a rider's secret is
//! a record of its own, `sealed/{connection}` in the rider's scope, written through the ledger with the
//! version it replaces. User, connection, the record's version and the key's name are associated data, so
//! that a row that was copied to another rider, or an older one put back, does not open.
//!
//! A key is retired in three steps: add a new one ([`SecretsManagerKeys::add_key`]), let what is sealed
//! move on (each seal uses the new one; [`KeyringVault::rotate_user`] moves the rest), drop the old one
//! ([`SecretsManagerKeys::drop_old_keys`]). `fitbridge admin vault rotate` does it.

mod fetched;
mod ring;
mod sealed;
mod source;
#[cfg(test)]
mod tests;
mod vault;

pub use ring::{Keyring, KeyringError};
pub use source::{Dropped, KeySource, SETTLED_AFTER, SecretsManagerKeys};
pub use vault::{KeyringVault, Rotated};
