//! Original files in a folder, by SHA-256.

use std::{
    error::Error as _,
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    domain::{ContentId, UserId},
    ports::{Archive, ArchiveError, Put, archive_path},
};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, local::LocalFileSystem, path};

/// An archive in a folder of this machine. A file appears under its name only when all of its bytes are
/// there, so a killed process leaves none half-written. A power cut may: reading verifies the SHA-256 and
/// answers `Damaged`, and putting the file again mends it.
#[derive(Debug)]
pub struct FolderArchive {
    folder: PathBuf,
    store: OnceLock<LocalFileSystem>,
}

impl FolderArchive {
    /// The archive in `folder`. Nothing is made before the first file is put there.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        let archive = Self { folder: folder.to_owned(), store: OnceLock::new() };
        archive.store(false).map(|_| ())?;
        Ok(archive)
    }

    /// The folder as a store; made first where `make` says so. `None` where there is no folder.
    fn store(&self, make: bool) -> Result<Option<&LocalFileSystem>, ArchiveError> {
        if let Some(store) = self.store.get() {
            return Ok(Some(store));
        }
        let unavailable = |error: &dyn std::error::Error| {
            let folder = self.folder.display();
            ArchiveError::Unavailable(format!("{folder}: {error}; check that it is a folder, and its rights"))
        };
        if make {
            std::fs::create_dir_all(&self.folder).map_err(|error| unavailable(&error))?;
        }
        match std::fs::read_dir(&self.folder) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(&error)),
        }
        let store = LocalFileSystem::new_with_prefix(&self.folder).map_err(|error| unavailable(&error))?;
        Ok(Some(self.store.get_or_init(|| store)))
    }

    async fn read(&self, location: &path::Path, content: ContentId) -> Result<Bytes, ArchiveError> {
        let store = self.store(false)?.ok_or(ArchiveError::Missing(content))?;
        let read = async { store.get(location).await?.bytes().await };
        let bytes = read.await.map_err(|error| failure(content, &error))?;
        if ContentId::of(&bytes) == content { Ok(bytes) } else { Err(ArchiveError::Damaged(content)) }
    }
}

/// Each part is encoded, so that a user named `..` stays inside.
fn location(user: &UserId, content: ContentId) -> path::Path {
    path::Path::from_iter(archive_path(user, content))
}

/// The error as the port knows it; a disk without room is found wherever it hides in the chain of causes.
fn failure(content: ContentId, error: &Error) -> ArchiveError {
    if matches!(error, Error::NotFound { .. }) {
        return ArchiveError::Missing(content);
    }
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let kind = deeper.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return ArchiveError::Full(format!("{error}; make room and try again"));
        }
        cause = deeper.source();
    }
    ArchiveError::Unavailable(error.to_string())
}

#[async_trait]
impl Archive for FolderArchive {
    async fn put(&self, user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError> {
        if ContentId::of(&bytes) != content {
            return Err(ArchiveError::Damaged(content));
        }
        let vanished = || ArchiveError::Unavailable(format!("{} vanished", self.folder.display()));
        let store = self.store(true)?.ok_or_else(vanished)?;
        let location = location(user, content);
        let create = PutOptions::from(PutMode::Create);
        match store.put_opts(&location, bytes.clone().into(), create).await {
            Ok(_) => return Ok(Put::Created),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(failure(content, &error)),
        }
        match self.read(&location, content).await {
            Ok(_) => Ok(Put::AlreadyThere),
            Err(ArchiveError::Damaged(_) | ArchiveError::Missing(_)) => {
                tracing::warn!(content = %content, "replacing a damaged file of the archive");
                store.put(&location, bytes.into()).await.map_err(|error| failure(content, &error))?;
                Ok(Put::Created)
            }
            Err(error) => Err(error),
        }
    }

    async fn open(&self, user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError> {
        self.read(&location(user, content), content).await
    }

    async fn delete(&self, user: &UserId, content: ContentId) -> Result<(), ArchiveError> {
        let Some(store) = self.store(false)? else { return Ok(()) };
        match store.delete(&location(user, content)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(content, &error)),
        }
    }

    async fn forget_user(&self, user: &UserId) -> Result<u64, ArchiveError> {
        // Object stores know no folders; the rider's goes with what was left in it.
        let folder = self.folder.join("fit").join(user.as_str());
        let unavailable = |error: io::Error| ArchiveError::Unavailable(format!("{}: {error}", folder.display()));
        if user.as_str().chars().all(|c| c == '.') {
            return Ok(0);
        }
        let mut files = 0;
        let shelves = match std::fs::read_dir(&folder) {
            Ok(shelves) => shelves,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(unavailable(error)),
        };
        for shelf in shelves {
            let shelf = shelf.map_err(unavailable)?.path();
            if let Ok(left) = std::fs::read_dir(&shelf) {
                files += u64::try_from(left.count()).unwrap_or(u64::MAX);
            }
        }
        std::fs::remove_dir_all(&folder).map_err(unavailable)?;
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use fitbridge_core::testkit::conformance;

    use super::*;

    #[tokio::test]
    async fn the_folder_archive_conforms() {
        let home = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open(&home.path().join("archive")).unwrap();
        let damage = |user: &UserId, content| {
            let store = archive.store.get().unwrap();
            let path = store.path_to_filesystem(&location(user, content)).unwrap();
            std::fs::write(path, "bit rot").unwrap();
        };
        conformance::archive::suite(&archive, &damage).await;
        let names: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["archive"], "nothing was written outside");
    }

    #[tokio::test]
    async fn asking_makes_no_folder() {
        let home = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open(&home.path().join("archive")).unwrap();
        let (user, content) = (UserId::new("me").unwrap(), ContentId::of(b"ride"));
        assert_eq!(archive.open(&user, content).await, Err(ArchiveError::Missing(content)));
        assert_eq!(archive.delete(&user, content).await, Ok(()));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_cut_to_nothing_is_damaged_and_mended() {
        let home = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open(home.path()).unwrap();
        let (user, bytes) = (UserId::new("me").unwrap(), Bytes::from_static(b"ride"));
        let content = ContentId::of(&bytes);
        archive.put(&user, content, bytes.clone()).await.unwrap();
        let sha256 = content.to_string();
        let path = home.path().join("fit/me").join(&sha256[..2]).join(format!("{sha256}.fit"));
        assert_eq!(std::fs::read(&path).unwrap(), b"ride", "where the docs say");
        std::fs::write(&path, "").unwrap();
        assert_eq!(archive.open(&user, content).await, Err(ArchiveError::Damaged(content)));
        assert_eq!(archive.put(&user, content, bytes.clone()).await, Ok(Put::Created));
        assert_eq!(archive.open(&user, content).await, Ok(bytes));
    }

    #[tokio::test]
    async fn a_disk_without_room_and_a_file_in_the_way_are_told_apart() {
        let content = ContentId::of(b"");
        let full = Error::Generic { store: "x", source: Box::new(io::Error::from(io::ErrorKind::StorageFull)) };
        assert!(matches!(failure(content, &full), ArchiveError::Full(_)));
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("archive");
        std::fs::write(&path, "").unwrap();
        let error = FolderArchive::open(&path).unwrap_err().to_string();
        assert!(error.contains("archive") && error.contains("check that it is a folder"), "{error}");
    }
}
