//! Original files in S3, by SHA-256.

mod credentials;
mod http;
mod s3;

pub use s3::{LinkError, S3Archive};
