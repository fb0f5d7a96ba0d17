//! What a function is given: its environment, read once, and the clients and adapters made from it.

mod clients;
mod environment;
mod http;
mod outputs;
mod problems;

pub use clients::{Clients, ConnectError, warm};
pub use environment::{Environment, VaultChoice};
#[cfg(any(test, feature = "testkit"))]
pub(crate) use http::{SdkHttp, unwatched};
pub use outputs::{Outputs, OutputsError};
pub use problems::{Problem, Problems};
