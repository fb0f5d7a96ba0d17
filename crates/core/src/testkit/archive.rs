//! The archive in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;

use crate::{
    domain::{ContentId, UserId},
    ports::{Archive, ArchiveError, Put},
};

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<(UserId, ContentId), Bytes>,
    makes_links: bool,
    refuse: Option<ArchiveError>,
}

/// An archive in memory. Clones share their files.
#[derive(Debug, Clone, Default)]
pub struct MemoryArchive(Arc<Mutex<State>>);

impl MemoryArchive {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn here(&self) -> Result<MutexGuard<'_, State>, ArchiveError> {
        let state = self.state();
        state.refuse.clone().map_or(Ok(state), Err)
    }

    /// Makes every call fail with this error, or none any longer.
    pub fn refuse(&self, error: Option<ArchiveError>) {
        self.state().refuse = error;
    }

    /// Makes links from now on: `memory://{user}/{sha256}?life={seconds}`.
    pub fn make_links(&self) {
        self.state().makes_links = true;
    }

    /// Writes other bytes over a stored file, as a bad disk does.
    pub fn damage(&self, user: &UserId, content: ContentId) {
        self.state().files.entry((user.clone(), content)).and_modify(|file| *file = Bytes::from_static(b"bit rot"));
    }

    /// Every file that is stored, with its owner.
    pub fn files(&self) -> Vec<(UserId, ContentId)> {
        self.state().files.keys().cloned().collect()
    }
}

#[async_trait]
impl Archive for MemoryArchive {
    async fn put(&self, user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError> {
        if ContentId::of(&bytes) != content {
            return Err(ArchiveError::Damaged(content));
        }
        let before = self.here()?.files.insert((user.clone(), content), bytes.clone());
        Ok(if before == Some(bytes) { Put::AlreadyThere } else { Put::Created })
    }

    async fn open(&self, user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError> {
        let bytes = self.here()?.files.get(&(user.clone(), content)).cloned();
        let bytes = bytes.ok_or(ArchiveError::Missing(content))?;
        if ContentId::of(&bytes) == content { Ok(bytes) } else { Err(ArchiveError::Damaged(content)) }
    }

    async fn delete(&self, user: &UserId, content: ContentId) -> Result<(), ArchiveError> {
        self.here()?.files.remove(&(user.clone(), content));
        Ok(())
    }

    async fn forget_user(&self, user: &UserId) -> Result<u64, ArchiveError> {
        let mut state = self.here()?;
        let before = state.files.len();
        state.files.retain(|(owner, _), _| owner != user);
        Ok(u64::try_from(before - state.files.len()).unwrap_or(u64::MAX))
    }

    fn makes_links(&self) -> bool {
        self.state().makes_links
    }

    async fn link(&self, user: &UserId, content: ContentId, life: Duration) -> Result<SecretString, ArchiveError> {
        if !self.here()?.makes_links {
            return Err(ArchiveError::Unavailable("it makes no links".into()));
        }
        Ok(format!("memory://{user}/{content}?life={}", life.as_secs()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::conformance;

    #[tokio::test]
    async fn the_memory_archive_conforms() {
        let archive = MemoryArchive::default();
        conformance::archive::suite(&archive, &|user, content| archive.damage(user, content)).await;
        let refusal = ArchiveError::Full("the test says so".into());
        archive.refuse(Some(refusal.clone()));
        let user = UserId::new("rider").unwrap();
        let put = archive.put(&user, ContentId::of(b"x"), Bytes::from_static(b"x")).await;
        assert_eq!(put, Err(refusal));
    }
}
