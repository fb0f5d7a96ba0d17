//! The simulation as a test: many worlds, exact replay, and planted bugs that must be found.

mod bugs;
mod worlds;
