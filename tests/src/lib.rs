//! Helpers of the end-to-end tests: a bench with the simulated outside world and a data folder of its own,
//! and the built `fitbridge` binary, run as a person runs it.

mod arrivals;
mod bench;
mod binary;
mod kill;
mod ledger;
mod mail;
mod output;
mod process;
mod secrets;
mod tree;

pub use bench::{Bench, Setup, WEBHOOK_SECRET};
pub use binary::path as fitbridge;
pub use kill::{Dice, kill_rounds};
pub use ledger::{Row, age_breakers, ledger_rows};
pub use mail::MailServer;
pub use output::Output;
pub use process::{Running, wait_until};
pub use secrets::forms_of;
pub use tree::{Tree, tree_of};

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}
