//! Over real sockets, against a server that answers what a test tells it to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod connections;
mod contract;
mod faults;
mod files;
mod first_contact;
mod simulated;
mod source;
mod support;
