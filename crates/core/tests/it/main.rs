//! The engine over the fakes of the testkit: each file one subject.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account;
mod audit;
mod away;
mod backfills;
mod clocks;
mod dedupe;
mod deliveries;
mod expiring;
mod files;
mod forgetting;
mod groups;
mod halt;
mod history;
mod links;
mod notices;
mod outages;
mod plans;
mod polling;
mod probes;
mod races;
mod reconciles;
mod reconnecting;
mod redrive;
mod riders;
mod rules;
mod signed_in;
mod sinks;
mod ticks;
mod tokens;
mod walks;
mod workers;
mod world;
