//! From counts and prices to a month's bill.

use super::{Counted, RIDES_OF_A_NIGHT, Requests};

/// Minutes of a month of 730 hours, as AWS reckons.
pub(super) const MINUTES: f64 = 43_800.0;
/// Days of that month.
pub(super) const DAYS: f64 = MINUTES / 1440.0;

/// What is assumed of riders and of the world.
pub(super) mod assumed {
    /// Rides per rider and day.
    pub(crate) const RIDES_A_DAY: f64 = 1.0;
    /// Sinks per rider.
    pub(crate) const SINKS: f64 = 1.0;
    /// Size of a ride's file, bytes.
    pub(crate) const FILE_BYTES: f64 = 150_000.0;
    /// Months of rides that archive and ledger hold.
    pub(crate) const MONTHS_KEPT: f64 = 12.0;
    /// Lives of tokens that end in a month.
    pub(crate) const RENEWALS: f64 = super::DAYS / 7.0;
    /// Memory of a function, GB.
    pub(crate) const MEMORY_GB: f64 = 0.25;
    /// Memory that comes with a whole processor, GB.
    pub(crate) const GB_PER_CPU: f64 = 1769.0 / 1024.0;
    /// Until the source answers a poll, s.
    pub(crate) const POLL_S: f64 = 0.25;
    /// Polls that wait at a time.
    pub(crate) const POLLS_AT_A_TIME: f64 = 256.0;
    /// A tick's own time, s.
    pub(crate) const TICK_S: f64 = 0.5;
    /// Polls begin in so much of each minute, s; what is left is for what has begun (`run/deadline.rs`).
    pub(crate) const BEGIN_S: f64 = 40.0;
    /// An invocation of the sink, s: a download and an upload.
    pub(crate) const SINK_S: f64 = 1.5;
    /// Polls that a shard makes in a minute at most, before there is another one.
    pub(crate) const POLLS_OF_A_SHARD: f64 = 14_000.0;
    /// Nights in which each file of the archive is read once.
    pub(crate) const FILES_CYCLE: f64 = 28.0;
    /// Bytes sent to ask for a list, with TLS and the token.
    pub(crate) const POLL_BYTES: f64 = 1_500.0;
    /// Receives that an event source makes in a minute on an empty queue: five at a time, 20 s each.
    pub(crate) const IDLE_RECEIVES: f64 = 15.0;
    /// A keyring is fetched so often in a month by each process.
    pub(crate) const KEYRING_FETCHES: f64 = super::MINUTES / 5.0;
    /// Metrics that the template's alarms watch: an alarm is charged for each.
    pub(crate) const ALARM_METRICS: f64 = 26.0;
}

/// A price in dollars, and what of it costs nothing each month for ever.
#[derive(Debug, Clone, Copy)]
pub(super) struct Price {
    /// As the page names it.
    pub(crate) name: &'static str,
    /// For one.
    pub(crate) dollars: f64,
    /// So many cost nothing.
    pub(crate) free: f64,
}

const fn price(name: &'static str, dollars: f64, free: f64) -> Price {
    Price { name, dollars, free }
}

/// List prices.
pub(super) mod list {
    use super::{Price, price};

    pub(crate) const LAMBDA_GB_S: Price = price("Lambda arm64, GB-second", 1.333_34e-5, 400_000.0);
    pub(crate) const LAMBDA_REQUEST: Price = price("Lambda, request", 0.2e-6, 1e6);
    pub(crate) const SCHEDULER: Price = price("EventBridge Scheduler, invocation", 1e-6, 14e6);
    pub(crate) const SQS: Price = price("SQS standard, request", 0.4e-6, 1e6);
    pub(crate) const READ: Price = price("DynamoDB on demand, read request unit", 0.125e-6, 0.0);
    pub(crate) const WRITE: Price = price("DynamoDB on demand, write request unit", 0.625e-6, 0.0);
    pub(crate) const TABLE_GB: Price = price("DynamoDB storage, GB-month", 0.25, 25.0);
    pub(crate) const RECOVERY_GB: Price = price("DynamoDB point-in-time recovery, GB-month", 0.2, 0.0);
    pub(crate) const SECRET: Price = price("Secrets Manager, secret-month", 0.4, 0.0);
    pub(crate) const SECRET_CALL: Price = price("Secrets Manager, request", 5e-6, 0.0);
    pub(crate) const S3_PUT: Price = price("S3 standard, PUT", 5e-6, 0.0);
    pub(crate) const S3_GET: Price = price("S3 standard, GET or HEAD", 0.4e-6, 0.0);
    pub(crate) const S3_GB: Price = price("S3 standard, GB-month", 0.023, 0.0);
    pub(crate) const LOG_GB: Price = price("CloudWatch Logs, GB taken in", 0.5, 5.0);
    pub(crate) const METRIC: Price = price("CloudWatch, custom metric", 0.3, 10.0);
    pub(crate) const ALARM: Price = price("CloudWatch, metric of an alarm", 0.1, 10.0);
    pub(crate) const DASHBOARD: Price = price("CloudWatch, dashboard", 3.0, 3.0);
    pub(crate) const OUT_GB: Price = price("data to the internet, GB", 0.09, 100.0);

    pub(crate) const ALL: [Price; 18] = [
        LAMBDA_GB_S,
        LAMBDA_REQUEST,
        SCHEDULER,
        SQS,
        READ,
        WRITE,
        TABLE_GB,
        RECOVERY_GB,
        SECRET,
        SECRET_CALL,
        S3_PUT,
        S3_GET,
        S3_GB,
        LOG_GB,
        METRIC,
        ALARM,
        DASHBOARD,
        OUT_GB,
    ];
}

/// Where riders' secrets lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vault {
    /// One secret per connection.
    PerUserSecret,
    /// Keys in two secrets, ciphertext in the ledger.
    Keyring,
}

/// Both of them.
pub const VAULTS: [Vault; 2] = [Vault::PerUserSecret, Vault::Keyring];

/// A service of some size.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// Riders.
    pub riders: f64,
    /// Polls per rider and day.
    pub polls_a_day: f64,
    /// Where their secrets lie.
    pub vault: Vault,
}

/// A group of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Computing.
    Lambda,
    /// The ledger.
    DynamoDb,
    /// The vault.
    Secrets,
    /// The archive.
    S3,
    /// Queue and schedule.
    Sqs,
    /// Logs, metrics, alarms, the dashboard.
    CloudWatch,
    /// Data sent out.
    Out,
}

/// A month's bill, dollars.
#[derive(Debug, Clone)]
pub struct Bill {
    lines: Vec<(Group, Price, f64)>,
}

impl Bill {
    /// All of it, at list prices.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.lines.iter().map(|(_, price, quantity)| price.dollars * quantity).sum()
    }

    /// All of it, without what AWS gives every account each month.
    #[must_use]
    pub fn total_after_free(&self) -> f64 {
        self.lines.iter().map(|(_, price, quantity)| price.dollars * (quantity - price.free).max(0.0)).sum()
    }

    /// One group of it, at list prices.
    pub(super) fn of(&self, group: Group) -> f64 {
        let lines = self.lines.iter().filter(|(of, _, _)| *of == group);
        lines.map(|(_, price, quantity)| price.dollars * quantity).sum()
    }
}

/// How long a shard is busy in a minute with as many polls as it may have, s.
pub(super) fn busiest_minute(counted: &Counted) -> f64 {
    use assumed::{GB_PER_CPU, MEMORY_GB, POLL_S, POLLS_AT_A_TIME, POLLS_OF_A_SHARD, TICK_S};
    let waits = POLL_S / POLLS_AT_A_TIME;
    let computes = counted.poll_cpu_ms / 1e3 * GB_PER_CPU / MEMORY_GB;
    TICK_S + POLLS_OF_A_SHARD * waits.max(computes)
}

impl Situation {
    /// How many shards that many polls need: 1, 2, 4 or 8.
    pub(super) fn shards(&self) -> f64 {
        let a_minute = self.riders * self.polls_a_day / 1440.0;
        let enough = |shards: &f64| a_minute / shards <= assumed::POLLS_OF_A_SHARD;
        [1.0, 2.0, 4.0].into_iter().find(enough).unwrap_or(8.0)
    }

    /// The month's bill.
    #[must_use]
    pub fn bill(&self, counted: &Counted) -> Bill {
        use assumed::{
            ALARM_METRICS, FILE_BYTES, FILES_CYCLE, GB_PER_CPU, IDLE_RECEIVES, KEYRING_FETCHES, MEMORY_GB, MONTHS_KEPT,
            POLL_BYTES, POLL_S, POLLS_AT_A_TIME, RENEWALS, RIDES_A_DAY, SINK_S, SINKS, TICK_S,
        };
        let each = counted.of(self.vault);
        let shards = self.shards();
        let ticks = MINUTES * shards;
        let polls = self.riders * self.polls_a_day * DAYS;
        let rides = self.riders * RIDES_A_DAY * SINKS * DAYS;
        let renewals = self.riders * RENEWALS;
        let nights = self.riders * DAYS;
        let sum = |of: fn(&Requests) -> f64| {
            ticks * of(&each.minute)
                + polls * of(&each.poll)
                + rides * of(&each.ride)
                + renewals * of(&each.renewal)
                + nights * of(&each.night)
        };
        let sinks = rides * counted.sink_invocations_of_a_ride + nights * counted.sink_invocations_of_a_night;
        // A page of the list takes as long as a poll, which is one.
        let pages = polls + nights * counted.list_pages_of_a_night;
        let files_looked_at = nights * RIDES_OF_A_NIGHT / FILES_CYCLE;
        // A poll costs the longer of what it waits, shared with others, and what it computes.
        let poll_gb_s = (MEMORY_GB * POLL_S / POLLS_AT_A_TIME).max(GB_PER_CPU * counted.poll_cpu_ms / 1e3);
        let gb_s = ticks * TICK_S * MEMORY_GB + pages * poll_gb_s + sinks * SINK_S * MEMORY_GB;
        let sends = sum(|of| of.sqs_sends);
        let (secrets, fetches) = match self.vault {
            // The two secrets of the keyrings are there, and empty.
            Vault::PerUserSecret => (self.riders * (1.0 + SINKS) + 2.0, 0.0),
            Vault::Keyring => (2.0, KEYRING_FETCHES * (shards + 1.0)),
        };
        let kept = rides * MONTHS_KEPT;
        let table_gb = kept * counted.ledger_bytes_of_a_ride / 1e9;
        let logged = ticks * counted.log_bytes_of_a_tick + sinks * counted.log_bytes_of_a_sink;
        let lines = vec![
            (Group::Lambda, list::LAMBDA_GB_S, gb_s),
            (Group::Lambda, list::LAMBDA_REQUEST, ticks + sinks),
            (Group::Sqs, list::SCHEDULER, ticks),
            // Each message is sent, received and deleted; a tick asks once how many wait, when something is due.
            (Group::Sqs, list::SQS, 3.0 * sends + IDLE_RECEIVES * MINUTES + ticks),
            (Group::DynamoDb, list::READ, sum(|of| of.read_units)),
            (Group::DynamoDb, list::WRITE, sum(|of| of.write_units)),
            (Group::DynamoDb, list::TABLE_GB, table_gb),
            (Group::DynamoDb, list::RECOVERY_GB, table_gb),
            (Group::Secrets, list::SECRET, secrets),
            (Group::Secrets, list::SECRET_CALL, sum(|of| of.secrets) + fetches),
            (Group::S3, list::S3_PUT, sum(|of| of.s3_puts)),
            (Group::S3, list::S3_GET, sum(|of| of.s3_gets) + files_looked_at),
            (Group::S3, list::S3_GB, self.riders * RIDES_A_DAY * DAYS * MONTHS_KEPT * FILE_BYTES / 1e9),
            (Group::CloudWatch, list::LOG_GB, logged / 1e9),
            // Two of them are told for each shard.
            (Group::CloudWatch, list::METRIC, counted.metrics + 2.0 * (shards - 1.0)),
            (Group::CloudWatch, list::ALARM, ALARM_METRICS),
            (Group::CloudWatch, list::DASHBOARD, 1.0),
            (Group::Out, list::OUT_GB, (pages * POLL_BYTES + rides * FILE_BYTES) / 1e9),
        ];
        Bill { lines }
    }
}
