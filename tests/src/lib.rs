//! Helpers of the end-to-end tests: a bench with the simulated outside world and a data folder of its own,
//! and the built `fitbridge` binary, run as a person runs it.

mod arrivals;
mod bench;
mod binary;
pub mod costs;
mod failing_disk;
mod faketime;
mod faults;
mod kill;
mod ledger;
mod mail;
mod mount;
mod output;
mod process;
mod secrets;
mod serves;
mod stop;
mod tree;

pub use bench::{Bench, Setup, WEBHOOK_SECRET};
pub use binary::{build, path as fitbridge, programs};
pub use failing_disk::FailingDisk;
pub use faketime::MovedClock;
pub use faults::{one_in_ten_goes_wrong, struck, sync_until_quiet};
pub use kill::{Dice, kill_rounds, kills_until_done};
pub use ledger::{Row, age_breakers, end_leases, ledger_rows, may_be_written, skip_the_night};
pub use mail::MailServer;
pub use mount::Mount;
pub use output::Output;
pub use process::{Running, wait_until};
pub use secrets::forms_of;
pub use serves::serves_until_done;
pub use stop::{stop_in_the_middle, stop_rounds};
pub use tree::{Tree, tree_of};

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}
