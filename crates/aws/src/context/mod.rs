//! What a function is given: its environment, read once, and the clients and adapters made from it.

mod clients;
mod environment;
mod outputs;
mod problems;

pub use clients::{Clients, NoRegion, warm};
pub use environment::{Environment, VaultChoice};
pub use outputs::{Outputs, OutputsError};
pub use problems::{Problem, Problems};
