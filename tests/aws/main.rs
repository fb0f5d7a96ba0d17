//! The service on AWS, end to end: the built functions against emulators of AWS and the simulated outside
//! world. The harness plays what AWS does around them: the runtime's API, the schedule, and the queue's
//! event source with its retries and dead letters.
//!
//! Time that has to pass is taken out of the ledger instead ([`service::Service::pass_minutes`],
//! [`service::Service::end_leases`]), since the functions have no switch that moves their clock.

mod admin;
mod admin_rides;
mod clock;
mod costs;
mod dev;
mod everyday;
mod hardship;
mod links;
mod messages;
mod neighbours;
mod plan;
mod queue;
mod reconciles;
mod refusals;
mod riders;
mod rights;
mod runtime;
mod service;
mod shards;
mod starting;
mod table;
mod tap;
mod ticks;
mod trouble;
