//! The page `docs/COSTS.md`.

use std::fmt::Write as _;

use super::{
    Counted, Requests, Situation, VAULTS, Vault,
    model::{
        Group,
        assumed::{self, BEGIN_S},
        busiest_minute, list,
    },
};

const RIDERS: [f64; 4] = [1.0, 1e3, 1e5, 1e6];
const POLLS: [f64; 2] = [50.0, 150.0];

/// When the prices were written down.
const PRICED: &str = "2026-11-23";

/// The page, as Markdown.
#[must_use]
pub fn page(counted: &Counted) -> String {
    let mut page = String::new();
    let written = write(&mut page, counted);
    // Writing to a text cannot fail.
    debug_assert!(written.is_ok());
    page
}

fn write(page: &mut String, counted: &Counted) -> std::fmt::Result {
    writeln!(
        page,
        "# What the service on AWS costs\n\n\
         Written by a program: `cargo run -q -p fitbridge-tests --example costs > docs/COSTS.md`. It computes from what\n\
         `make test-aws` counts at the adapters ([costs.json](../tests/costs.json)); nothing here was ever billed, since\n\
         nothing ran on AWS yet. List prices of us-east-1 as written down on {PRICED}; other Regions differ, and AWS's own\n\
         pages decide. Dollars a month, without tax and support.\n"
    )?;
    bills(page, counted)?;
    measured(page, counted)?;
    assumptions(page, counted)?;
    prices(page)
}

fn bills(page: &mut String, counted: &Counted) -> std::fmt::Result {
    writeln!(
        page,
        "| riders | polls a day | vault | month | per rider | after the free tier | Lambda | DynamoDB | secrets | S3 | \
         SQS, schedule | logs, metrics, alarms | data out |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for riders in RIDERS {
        for polls_a_day in POLLS {
            for vault in VAULTS {
                let bill = Situation { riders, polls_a_day, vault }.bill(counted);
                write!(
                    page,
                    "| {} | {polls_a_day} | {} | **{}** | {} | {} |",
                    whole(riders),
                    name(vault),
                    dollars(bill.total()),
                    small(bill.total() / riders),
                    dollars(bill.total_after_free()),
                )?;
                let groups = [
                    Group::Lambda,
                    Group::DynamoDb,
                    Group::Secrets,
                    Group::S3,
                    Group::Sqs,
                    Group::CloudWatch,
                    Group::Out,
                ];
                for group in groups {
                    write!(page, " {} |", dollars(bill.of(group)))?;
                }
                writeln!(page)?;
            }
        }
    }
    writeln!(
        page,
        "\nThe free tier is what AWS gives every account each month for ever (last section), for nothing else in the account.\n\
         Besides its vault, a large service pays most for its nights, in which all that a rider has is read and compared.\n\
         `RequestsPerSecond` bounds what is asked, in {BEGIN_S} of 60 seconds: the default of 5 is enough for {} riders at 50\n\
         polls a day, whatever `Shards` is; more needs a word with iGPSport first.\n",
        (5.0 * 86_400.0 * BEGIN_S / 60.0 / (50.0 + counted.list_pages_of_a_night)).floor()
    )
}

fn measured(page: &mut String, counted: &Counted) -> std::fmt::Result {
    writeln!(
        page,
        "## Counted\n\n\
         | what | vault | read units | write units | Secrets Manager | messages | S3 PUT | S3 GET |\n\
         |---|---|---|---|---|---|---|---|"
    )?;
    for vault in VAULTS {
        let of = counted.of(vault);
        let rows = [
            ("a shard's minute, nobody polled", of.minute),
            ("a poll that finds nothing", of.poll),
            ("a ride to one sink, all stages", of.ride),
            ("a token renewed", of.renewal),
            ("a night at 365 rides", of.night),
        ];
        for (what, Requests { read_units, write_units, secrets, sqs_sends, s3_puts, s3_gets }) in rows {
            writeln!(
                page,
                "| {what} | {} | {read_units} | {write_units} | {secrets} | {sqs_sends} | {s3_puts} | {s3_gets} |",
                name(vault)
            )?;
        }
    }
    let Counted {
        sink_invocations_of_a_ride,
        sink_invocations_of_a_night,
        list_pages_of_a_night,
        metrics,
        log_bytes_of_a_tick,
        log_bytes_of_a_sink,
        ledger_bytes_of_a_ride,
        poll_cpu_ms,
        ..
    } = counted;
    writeln!(
        page,
        "\nBesides: {sink_invocations_of_a_ride} invocations of the sink for a ride, {sink_invocations_of_a_night} for a night, which asks for\n\
         {list_pages_of_a_night} pages of the list; {metrics} custom metrics, and two more for each further shard; at most\n\
         {log_bytes_of_a_tick} bytes of log for a tick, {log_bytes_of_a_sink} for an invocation of the sink; at most\n\
         {ledger_bytes_of_a_ride} bytes in the ledger for a ride, its events among them. A poll computes for {poll_cpu_ms} ms at most\n\
         (ADR 0017, `make bench`). A night was counted at fewer rides, of two numbers, and reckoned on. A minute also reads half a unit for each 40 riders or so that are planned for it, which\n\
         is not in the table.\n"
    )
}

fn assumptions(page: &mut String, counted: &Counted) -> std::fmt::Result {
    use assumed::{
        ALARM_METRICS, FILE_BYTES, FILES_CYCLE, IDLE_RECEIVES, MEMORY_GB, MONTHS_KEPT, POLL_BYTES, POLL_S,
        POLLS_AT_A_TIME, POLLS_OF_A_SHARD, RIDES_A_DAY, SINK_S, SINKS, TICK_S,
    };
    writeln!(
        page,
        "## Assumed\n\n\
         A rider has {RIDES_A_DAY} ride a day of {} kB, {SINKS} sink, and a token that is renewed every 7 days. Archive and\n\
         ledger hold {MONTHS_KEPT} months of rides. Functions have {} MB. A poll waits {POLL_S} s for iGPSport, {POLLS_AT_A_TIME} at a\n\
         time; a tick takes {TICK_S} s of its own, an invocation of the sink {SINK_S} s, and rides share none. There is one shard\n\
         for each {} polls a minute (1, 2, 4 or 8), which then is busy for {:.0} s of it. A night reads each file of the\n\
         archive once in {FILES_CYCLE}. A page of the list sends {POLL_BYTES} bytes, a ride its file once per sink. The\n\
         queue's event source asks {IDLE_RECEIVES} times a minute when nothing is there. Alarms watch {ALARM_METRICS} metrics; one dashboard, no KMS key of\n\
         your own, nothing in a VPC.\n",
        FILE_BYTES / 1e3,
        MEMORY_GB * 1024.0,
        whole(POLLS_OF_A_SHARD),
        busiest_minute(counted),
    )?;
    let of = |vault| counted.of(vault).poll;
    writeln!(
        page,
        "## Formula\n\n\
         With R riders, p polls a day, d = 30.4 days, t = 43,800 ticks per shard:\n\n\
         - DynamoDB: t × shards × minute + R × p × d × poll + R × d × ride + R × (d / 7) × renewal + R × d × night, each in units as\n\
           counted; and the ledger's GB twice, for storage and for point-in-time recovery.\n\
         - Lambda: t × shards × {TICK_S} s × {MEMORY_GB} GB + R × d × (p + pages of a night) × (the larger of {POLL_S} s / {POLLS_AT_A_TIME} × {MEMORY_GB} GB, and {} ms × the\n\
           1.73 GB that come with a whole processor) + invocations of the sink × {SINK_S} s × {MEMORY_GB} GB.\n\
         - Secrets: {}: R × (1 + sinks) + 2 secrets, {} request a poll. {}: two secrets, fetched every 5 minutes by each\n\
           process, {} requests a poll.\n\
         - SQS: 3 requests a message (send, receive, delete), the idle receives, and one a tick that asks how many wait (fewer in\n\
           truth: only where something is due). Data out, S3, logs: as assumed and counted.\n",
        counted.poll_cpu_ms,
        name(Vault::PerUserSecret),
        of(Vault::PerUserSecret).secrets,
        name(Vault::Keyring),
        of(Vault::Keyring).secrets,
    )
}

fn prices(page: &mut String) -> std::fmt::Result {
    writeln!(page, "## Prices\n\n| what | dollars | free each month |\n|---|---|---|")?;
    for price in list::ALL {
        let (unit, scale) = if price.dollars < 1e-3 { (" a million", 1e6) } else { ("", 1.0) };
        let free = if price.free > 0.0 { whole(price.free) } else { "none".to_owned() };
        writeln!(page, "| {} | {:.4}{unit} | {free} |", price.name, price.dollars * scale)?;
    }
    Ok(())
}

fn name(vault: Vault) -> &'static str {
    match vault {
        Vault::PerUserSecret => "per-user-secret",
        Vault::Keyring => "keyring",
    }
}

/// A price of a month: cents while it is small.
fn dollars(value: f64) -> String {
    if value >= 100.0 { whole(value) } else { format!("{value:.2}") }
}

/// A price of a rider.
fn small(value: f64) -> String {
    if value >= 1.0 { format!("{value:.2}") } else { format!("{value:.4}") }
}

/// A whole number with commas.
fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
