//! Files that only their owner may read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use fitbridge_core::ports::VaultError;
use zeroize::Zeroizing;

use super::unavailable;

/// The file of the key: 32 random bytes, mode 0600.
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(super) fn of(folder: &Path) -> Self {
        Self { path: folder.join("key") }
    }

    /// The key; `None` where there is none.
    pub(super) fn read(&self) -> Result<Option<Zeroizing<[u8; 32]>>, VaultError> {
        let shown = self.path.display();
        match readable_by_others(&self.path) {
            Ok(false) => {}
            Ok(true) => {
                return Err(unavailable(format!("{shown} can be read by other users: run `chmod 600 {shown}`")));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(format!("{shown} cannot be read: {error}"))),
        }
        let bytes = fs::read(&self.path).map_err(|error| unavailable(format!("{shown} cannot be read: {error}")))?;
        let bytes = Zeroizing::new(bytes);
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        let damaged = |_| unavailable(format!("{shown} is damaged: restore it, or remove it and connect again"));
        key.map(Zeroizing::new).map(Some).map_err(damaged)
    }

    /// The key, made where there is none. When several processes make one at once, all get the same.
    pub(super) fn read_or_make(&self) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        if let Some(key) = self.read()? {
            return Ok(key);
        }
        let failed = |error: &dyn std::fmt::Display| unavailable(format!("{}: {error}", self.path.display()));
        let mut key = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| unavailable("no random bytes for a key"))?;
        let unnamed = unnamed(&self.path)?;
        write_synced(&unnamed, key.as_slice()).map_err(|error| failed(&error))?;
        // A link is made only where the name is free: the first process wins, with its whole key.
        let linked = fs::hard_link(&unnamed, &self.path);
        drop(fs::remove_file(&unnamed));
        match linked {
            Ok(()) => sync_folder_of(&self.path).map_err(|error| failed(&error))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&error)),
        }
        self.read()?.ok_or_else(|| failed(&"it vanished"))
    }
}

/// Writes a file for its owner's eyes, in place of the one before, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let unnamed = unnamed(path)?;
    let written =
        write_synced(&unnamed, bytes).and_then(|()| fs::rename(&unnamed, path)).and_then(|()| sync_folder_of(path));
    written.map_err(|error| {
        drop(fs::remove_file(&unnamed));
        unavailable(format!("{} cannot be written: {error}", path.display()))
    })
}

/// A name beside `path` that nobody else uses.
fn unnamed(path: &Path) -> Result<PathBuf, VaultError> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| unavailable("the operating system gives no random bytes"))?;
    Ok(path.with_extension(format!("{}.new", hex::encode(random))))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes a new name last through a power cut, where the system knows how.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// Elsewhere the folder of the user's profile is what keeps others out.
#[cfg(not(unix))]
fn readable_by_others(path: &Path) -> io::Result<bool> {
    fs::metadata(path).map(|_| false)
}
