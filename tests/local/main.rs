//! End-to-end tests on one machine.
