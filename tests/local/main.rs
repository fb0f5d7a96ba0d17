//! End-to-end tests on one machine: the built binary against the simulator, over real sockets.

mod account;
mod admin;
mod backfill;
mod commands;
mod delivery;
mod disk;
mod duplicates;
mod elsewhere;
mod file_host;
mod idle;
mod import;
mod inspect;
mod intervals;
mod kill;
mod notices;
mod outage;
mod read_only;
mod regions;
mod rows;
mod rules;
mod secrets;
mod serve;
mod settings;
mod token;
mod tools;
mod upstream;
