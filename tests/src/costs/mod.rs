//! What the service on AWS costs: computed from requests that a test counts, and from prices.

mod model;
mod page;

use serde::{Deserialize, Serialize};

pub use model::{Bill, Situation, VAULTS, Vault};
pub use page::page;

/// What was counted, as it is committed: `tests/costs.json`.
pub const COUNTED: &str = include_str!("../../costs.json");

/// Requests and units that something costs, besides what Lambda is billed by time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// DynamoDB's read request units.
    pub read_units: f64,
    /// DynamoDB's write request units.
    pub write_units: f64,
    /// Requests to Secrets Manager.
    pub secrets: f64,
    /// Messages sent; their sending is one request of SQS for up to ten.
    pub sqs_sends: f64,
    /// Files written to S3.
    pub s3_puts: f64,
    /// Files read from S3, and looked for.
    pub s3_gets: f64,
}

impl Requests {
    /// What is left when something else is taken off.
    #[must_use]
    pub fn less(self, other: Self, times: f64) -> Self {
        Self {
            read_units: self.read_units - other.read_units * times,
            write_units: self.write_units - other.write_units * times,
            secrets: self.secrets - other.secrets * times,
            sqs_sends: self.sqs_sends - other.sqs_sends * times,
            s3_puts: self.s3_puts - other.s3_puts * times,
            s3_gets: self.s3_gets - other.s3_gets * times,
        }
    }
}

/// What one of the vaults makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfVault {
    /// A shard's minute in which nobody is polled.
    pub minute: Requests,
    /// A poll that finds nothing new.
    pub poll: Requests,
    /// A ride from its discovery to one sink.
    pub ride: Requests,
    /// A new token in place of one that ends.
    pub renewal: Requests,
    /// A night's look at everything, at [`RIDES_OF_A_NIGHT`] rides and one sink, without its reads of files.
    pub night: Requests,
}

/// The rides that a night is counted for: twelve months of one a day.
pub const RIDES_OF_A_NIGHT: f64 = 365.0;

/// Everything that was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// With a secret per connection.
    pub per_user_secret: OfVault,
    /// With ciphertext in the ledger.
    pub keyring: OfVault,
    /// Invocations of the sink function for a ride, when no other ride shares them.
    pub sink_invocations_of_a_ride: f64,
    /// Invocations of the sink function for a night.
    pub sink_invocations_of_a_night: f64,
    /// Pages of the source's list that a night asks for.
    pub list_pages_of_a_night: f64,
    /// Custom metrics that both functions have published when all goes well.
    pub metrics: f64,
    /// Bytes that a tick writes to the log, at most.
    pub log_bytes_of_a_tick: f64,
    /// Bytes that an invocation of the sink writes to the log, at most.
    pub log_bytes_of_a_sink: f64,
    /// Bytes of the records of a ride at one sink, its events among them, at most.
    pub ledger_bytes_of_a_ride: f64,
    /// Processor time of a poll, ms, as the bench `poller` told it at its most (ADR 0017).
    pub poll_cpu_ms: f64,
}

impl Counted {
    /// As it is committed.
    ///
    /// # Panics
    /// When the committed file is damaged.
    #[must_use]
    pub fn committed() -> Self {
        serde_json::from_str(COUNTED).expect("tests/costs.json has the fields of Counted")
    }

    /// Of a vault.
    #[must_use]
    pub fn of(&self, vault: Vault) -> &OfVault {
        match vault {
            Vault::PerUserSecret => &self.per_user_secret,
            Vault::Keyring => &self.keyring,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_program_prints() {
        let there = include_str!("../../../docs/COSTS.md");
        let printed = page(&Counted::committed());
        assert_eq!(there, printed, "run: cargo run -q -p fitbridge-tests --example costs > docs/COSTS.md");
    }

    #[test]
    fn a_secret_per_connection_is_what_a_large_service_pays_for() {
        let counted = Counted::committed();
        let total = |vault| Situation { riders: 100_000.0, polls_a_day: 50.0, vault }.bill(&counted).total();
        assert!(total(Vault::PerUserSecret) > 50.0 * total(Vault::Keyring));
    }

    #[test]
    fn the_polls_of_a_shard_fit_into_its_minute() {
        let seconds = model::busiest_minute(&Counted::committed());
        assert!((20.0..50.0).contains(&seconds), "{seconds} s of a function that ends after 55");
    }

    #[test]
    fn riders_cost_in_proportion_once_there_are_many() {
        let counted = Counted::committed();
        for vault in VAULTS {
            let each = |riders: f64| Situation { riders, polls_a_day: 150.0, vault }.bill(&counted).total() / riders;
            let ratio = each(1e6) / each(1e5);
            assert!((0.8..1.2).contains(&ratio), "{vault:?}: {ratio}");
        }
    }
}
