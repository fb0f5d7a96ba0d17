//! Where original files are kept, by what they are.

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::{ContentId, UserId};

/// What storing a file did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was not there and is now.
    Created,
    /// The same bytes were there.
    AlreadyThere,
}

/// Why the archive did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// No such file.
    #[error("{0} is not in the archive")]
    Missing(ContentId),
    /// What is stored under that name are other bytes.
    #[error("{0} is damaged in the archive")]
    Damaged(ContentId),
    /// There is no room; try when somebody made some.
    #[error("no room in the archive: {0}")]
    Full(String),
    /// It does not answer; try later.
    #[error("the archive is unavailable: {0}")]
    Unavailable(String),
}

/// The archive. Every user's files are separate: nobody learns from it what others have.
#[async_trait]
pub trait Archive: Send + Sync + std::fmt::Debug {
    /// Stores a file once. Other bytes are never written over it; a damaged copy is replaced.
    /// `Ok` means that it survives a crash of the process.
    async fn put(&self, user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError>;

    /// Reads a file and verifies its SHA-256.
    async fn open(&self, user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError>;

    /// Deletes a file; `Ok` also where there was none.
    async fn delete(&self, user: &UserId, content: ContentId) -> Result<(), ArchiveError>;
}
