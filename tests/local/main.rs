//! End-to-end tests on one machine: the built binary against the simulator, over real sockets.

mod delivery;
mod idle;
