//! What every adapter of a port has to do. A suite is a function that takes a way to make fresh ones.
