//! Which processes are alive.
//!
//! A process that claims work holds an exclusive lock on a file of its own. The kernel frees the lock when
//! the process ends, however it ends; so a free lock, or no file, means that the owner is gone. Ids are
//! random, so none is ever used again, and gone is for good.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use fitbridge_core::domain::OwnerId;

/// Why a process could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The folder of lock files cannot be used.
    #[error("{path} cannot be written ({error}): check the rights of the data folder and the disk")]
    Unwritable {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

/// The registry of a home. It touches no file before [`Owners::register`].
#[derive(Debug, Clone)]
pub struct Owners {
    folder: PathBuf,
}

/// Keeps an owner alive. When it is dropped, or the process ends in whatever way, the owner is gone.
#[derive(Debug)]
pub struct OwnerGuard {
    id: OwnerId,
    path: PathBuf,
    // Held for its lock.
    _lock: File,
}

impl OwnerGuard {
    /// The owner.
    pub fn id(&self) -> &OwnerId {
        &self.id
    }
}

impl Drop for OwnerGuard {
    fn drop(&mut self) {
        // Without its file the owner is gone as well; what stays behind is swept up by the next start.
        drop(fs::remove_file(&self.path));
    }
}

impl Owners {
    /// The registry in `home`.
    pub fn open(home: &Path) -> Self {
        Self { folder: home.join("owners") }
    }

    /// Registers this process under a fresh id, and removes the files of owners that are gone.
    pub fn register(&self) -> Result<OwnerGuard, OwnerError> {
        let unwritable = |path: &Path, error| OwnerError::Unwritable { path: path.to_owned(), error };
        fs::create_dir_all(&self.folder).map_err(|error| unwritable(&self.folder, error))?;
        self.sweep();
        let mut random = [0; 10];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| OwnerError::NoRandomness)?;
        let id = OwnerId::from_any(&hex::encode(random));
        let path = self.path(&id);
        // The file gets its name only once it is locked: nobody ever sees a living owner's file unlocked.
        let unnamed = path.with_extension("new");
        let lock = OpenOptions::new().write(true).create_new(true).open(&unnamed);
        let lock = lock.map_err(|error| unwritable(&unnamed, error))?;
        lock.try_lock().map_err(|error| unwritable(&unnamed, error.into()))?;
        fs::rename(&unnamed, &path).map_err(|error| unwritable(&path, error))?;
        Ok(OwnerGuard { id, path, _lock: lock })
    }

    /// Whether an owner is known to be gone. Where its file cannot be asked, the answer is no: its leases
    /// then have to end.
    pub fn is_gone(&self, owner: &OwnerId) -> bool {
        is_free(&self.path(owner))
    }

    /// How many processes besides `mine` are at work on this data.
    pub fn others_alive(&self, mine: &OwnerId) -> usize {
        let mine = self.path(mine);
        self.locks().filter(|path| *path != mine && !is_free(path)).count()
    }

    fn locks(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "lock"))
    }

    fn path(&self, owner: &OwnerId) -> PathBuf {
        self.folder.join(format!("{owner}.lock"))
    }

    fn sweep(&self) {
        for path in self.locks() {
            if is_free(&path) {
                drop(fs::remove_file(&path));
            }
        }
    }
}

/// Whether nobody holds the lock of a file, or there is none. Askers share the lock, so that two who ask at
/// once do not take each other for the owner.
fn is_free(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        },
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_alive_while_its_guard_is_held() {
        let home = tempfile::tempdir().unwrap();
        let owners = Owners::open(home.path());
        let (one, two) = (owners.register().unwrap(), owners.register().unwrap());
        assert_ne!(one.id(), two.id());
        assert_eq!(owners.others_alive(one.id()), 1);
        assert!(!owners.is_gone(one.id()) && !Owners::open(home.path()).is_gone(two.id()));
        let id = one.id().clone();
        drop(one);
        assert_eq!(owners.others_alive(two.id()), 0);
        assert!(owners.is_gone(&id) && !owners.is_gone(two.id()));
        assert!(owners.is_gone(&OwnerId::from_any("never")));
    }

    #[test]
    fn a_dead_owners_file_is_swept_up_and_a_living_ones_is_not() {
        let home = tempfile::tempdir().unwrap();
        let owners = Owners::open(home.path());
        let alive = owners.register().unwrap();
        let dead = home.path().join("owners/dead.lock");
        fs::write(&dead, "").unwrap();
        assert!(owners.is_gone(&OwnerId::from_any("dead")), "its lock is free");
        let _second = owners.register().unwrap();
        assert!(!dead.exists() && !owners.is_gone(alive.id()));
        assert!(owners.is_gone(&OwnerId::from_any("dead")), "gone is for good");
    }

    #[test]
    fn asking_makes_no_file() {
        let home = tempfile::tempdir().unwrap();
        assert!(Owners::open(home.path()).is_gone(&OwnerId::from_any("x")));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_home_that_cannot_be_written_is_told() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("owners"), "in the way").unwrap();
        let error = Owners::open(home.path()).register().unwrap_err().to_string();
        assert!(error.contains("owners") && error.contains("check the rights"), "{error}");
    }
}
