//! The simulator over real sockets: what tests of other crates rely on.

mod control;
mod files;
mod igpsport_auth;
mod igpsport_rides;
mod intervals;
mod intervals_oauth;
mod shape;
mod support;
mod webhook;
