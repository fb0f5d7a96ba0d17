//! Only one `serve` per home.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

/// Longest note about the holder that is believed, in bytes.
const MAX_NOTE: u64 = 200;

/// Why this process may not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeLockError {
    /// Another one does.
    #[error("`serve` already runs on this data ({holder}): stop it first, or use another --home")]
    Taken {
        /// Which process, since when, as it said itself.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("{path} cannot be locked ({error}): check the rights of the data folder and the disk")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Keeps other `serve` processes away until it is dropped or the process ends.
#[derive(Debug)]
pub struct ServeLock {
    // Held for its lock.
    _file: File,
}

impl ServeLock {
    /// Takes the lock of a home, or says who has it.
    pub fn take(home: &Path, now: Timestamp) -> Result<Self, ServeLockError> {
        let path = home.join("serve.lock");
        let unusable = |error| ServeLockError::Unusable { path: path.clone(), error };
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ServeLockError::Taken { holder: read_note(&file) }),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let note = format!("process {}, since {now:.0}", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(note.as_bytes())).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

/// What the holder says of itself; it is only shown, so anything odd in it is left out.
fn read_note(file: &File) -> String {
    let mut note = String::new();
    // Where it cannot be read, the holder stays nameless.
    drop(file.take(MAX_NOTE).read_to_string(&mut note));
    let note: String = note.chars().filter(|c| !c.is_control()).collect();
    if note.is_empty() { "another process".into() } else { note }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_learns_who_serves() {
        let home = tempfile::tempdir().unwrap();
        let now: Timestamp = "2025-06-01T08:00:00.25Z".parse().unwrap();
        let first = ServeLock::take(home.path(), now).unwrap();
        let error = ServeLock::take(home.path(), now).unwrap_err();
        let holder = format!("process {}, since 2025-06-01T08:00:00Z", std::process::id());
        assert!(error.to_string().contains(&holder), "{error}");
        drop(first);
        ServeLock::take(home.path(), now).unwrap();
    }

    #[test]
    fn a_home_that_is_not_there_is_told() {
        let home = tempfile::tempdir().unwrap();
        let error = ServeLock::take(&home.path().join("none"), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, ServeLockError::Unusable { .. }), "{error}");
    }
}
