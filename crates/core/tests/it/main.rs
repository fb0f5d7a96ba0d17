//! The engine over the fakes of the testkit: each file one subject.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account;
mod audit;
mod dedupe;
mod deliveries;
mod files;
mod forgetting;
mod groups;
mod history;
mod notices;
mod outages;
mod polling;
mod races;
mod reconnecting;
mod rules;
mod signed_in;
mod simulation;
mod sinks;
mod ticks;
mod tokens;
mod workers;
mod world;
