//! The `fitbridge` command.
fn main() {}
