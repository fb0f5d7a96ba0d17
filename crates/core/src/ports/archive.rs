//! Where original files are kept, by what they are.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;

use crate::domain::{ContentId, UserId};

/// Where a file lies in every archive, folder by folder: `fit/{user}/{first 2 digits}/{sha256}.fit`. All archives
/// have the same layout, so that one can be copied into another. Whoever makes a path or a key of the parts
/// encodes each, so that a user named `..` stays inside.
pub fn archive_path(user: &UserId, content: ContentId) -> [String; 4] {
    let sha256 = content.to_string();
    let (start, _) = sha256.split_at(2);
    ["fit".to_owned(), user.to_string(), start.to_owned(), format!("{sha256}.fit")]
}

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
    /// `Ok` means that it survives a crash of the process. It fails with [`ArchiveError::Full`] or
    /// [`ArchiveError::Unavailable`]; asked again, it does no harm.
    async fn put(&self, user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError>;

    /// Reads a file and verifies its SHA-256. After [`ArchiveError::Missing`] and [`ArchiveError::Damaged`] a ride of
    /// the cloud is fetched anew; after [`ArchiveError::Unavailable`] the file is read again later.
    async fn open(&self, user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError>;

    /// Deletes a file; `Ok` also where there was none. It fails with [`ArchiveError::Unavailable`] only.
    async fn delete(&self, user: &UserId, content: ContentId) -> Result<(), ArchiveError>;

    /// Deletes whatever is left of a user, also what no record names and what could be restored, and says how many
    /// files there were.
    /// It fails with [`ArchiveError::Unavailable`] only; asked again, it deletes what is left.
    async fn forget_user(&self, user: &UserId) -> Result<u64, ArchiveError>;

    /// Whether it can make links; the same for its whole life.
    fn makes_links(&self) -> bool {
        false
    }

    /// A URL by which anybody can read a file for so long, a second to seven days. Whoever has it needs no
    /// key, so it is kept like one. Whether the file is there is not asked. Only where
    /// [`Archive::makes_links`]; elsewhere it is always unavailable.
    async fn link(&self, _user: &UserId, _content: ContentId, _life: Duration) -> Result<SecretString, ArchiveError> {
        Err(ArchiveError::Unavailable("it makes no links".into()))
    }
}
