//! Ports that a function must not have.

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    Code, Failure,
    domain::{ContentId, FileLocation, RemoteAccount, RideId, UserId},
    ports::{
        Access, Archive, ArchiveError, FileError, Files, ListPage, Login, Put, Resolution, Source, SourceError,
        SourceIdentity, TokenFacts,
    },
};
use secrecy::SecretString;

/// In place of an adapter that a function is not given: the poller has neither archive nor file host, the
/// sink no source. Nothing calls it unless there is a bug; its rights at AWS would refuse it as well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Absent;

fn bug() -> Failure {
    Failure::new(Code::Bug, "this function has no such adapter")
}

#[async_trait]
impl Source for Absent {
    async fn list_page(&self, _: Access<'_>, _: u32) -> Result<ListPage, SourceError> {
        Err(SourceError::Away(bug()))
    }

    async fn resolve(&self, _: Access<'_>, _: RideId) -> Result<Resolution, SourceError> {
        Err(SourceError::Away(bug()))
    }

    async fn reachable(&self, _: &RemoteAccount) -> Result<(), SourceError> {
        Err(SourceError::Away(bug()))
    }

    fn token_facts(&self, _: &SecretString) -> Result<TokenFacts, SourceError> {
        Err(SourceError::Away(bug()))
    }

    async fn identify(&self, _: &SecretString, _: Option<&str>) -> Result<Vec<SourceIdentity>, SourceError> {
        Err(SourceError::Away(bug()))
    }

    async fn log_in(&self, _: &str, _: &Login) -> Result<SecretString, SourceError> {
        Err(SourceError::Away(bug()))
    }
}

#[async_trait]
impl Files for Absent {
    async fn open(&self, _: &FileLocation) -> Result<Bytes, FileError> {
        Err(FileError::Again { failure: bug(), retry_after: None })
    }
}

#[async_trait]
impl Archive for Absent {
    async fn put(&self, _: &UserId, _: ContentId, _: Bytes) -> Result<Put, ArchiveError> {
        Err(ArchiveError::Unavailable(bug().to_string()))
    }

    async fn open(&self, _: &UserId, _: ContentId) -> Result<Bytes, ArchiveError> {
        Err(ArchiveError::Unavailable(bug().to_string()))
    }

    async fn delete(&self, _: &UserId, _: ContentId) -> Result<(), ArchiveError> {
        Err(ArchiveError::Unavailable(bug().to_string()))
    }

    async fn forget_user(&self, _: &UserId) -> Result<u64, ArchiveError> {
        Err(ArchiveError::Unavailable(bug().to_string()))
    }
}
