//! Original files in S3, by SHA-256.

mod credentials;
mod http;
mod operator;
mod s3;

#[cfg(any(test, feature = "testkit"))]
pub(crate) use http::Clients;
pub use operator::OperatorArchive;
pub use s3::{LinkError, S3Archive};
