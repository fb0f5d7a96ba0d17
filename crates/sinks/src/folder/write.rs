//! Putting a file into a folder: whole or not at all, and never over another.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::NamedTempFile;

use super::template::Place;

/// Unfinished files are called this; they are hidden from most listings.
const TEMP_PREFIX: &str = ".fitbridge-";
const TEMP_SUFFIX: &str = ".part";

/// An unfinished file this much older than a new one belongs to a process that is gone.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// It is new; its path within the folder.
    Created(String),
    /// The same bytes were there.
    AlreadyThere(String),
}

/// Why a file could not be put there.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{what}: {source}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("the subfolder {0:?} leads out of the folder")]
    Escape(String),
    #[error("{0:?} and its second name hold other files")]
    Conflict(String),
}

impl WriteError {
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }
}

fn at(what: &str) -> impl FnOnce(io::Error) -> WriteError {
    let what = what.to_owned();
    move |source| WriteError::Io { what, source }
}

/// Puts the bytes at their place under `root`, or, where another file has that name, under the name with
/// `tag`. Says that they are there only when they are on the disk.
pub(super) fn write(root: &Path, place: &Place, tag: &str, bytes: &[u8], sweep: bool) -> Result<Written, WriteError> {
    let root = root.canonicalize().map_err(at("the folder"))?;
    let folder = subfolder(&root, &place.folders)?;
    let names = [format!("{}{}", place.stem, place.extension), format!("{}-{tag}{}", place.stem, place.extension)];
    let shown = |name: &String| {
        let parts: Vec<&str> = place.folders.iter().map(String::as_str).chain([name.as_str()]).collect();
        parts.join("/")
    };
    // Both names are looked at before one is taken: the file may be under the second one since long.
    for name in &names {
        let path = folder.join(name);
        if holds(&path, bytes).map_err(at(name))? == Some(true) {
            persist(&path, &folder).map_err(at(name))?;
            return Ok(Written::AlreadyThere(shown(name)));
        }
    }
    let mut temp = unfinished(&folder, bytes).map_err(at("a new file in the folder"))?;
    if sweep {
        remove_abandoned(&folder, temp.path());
    }
    for name in &names {
        let path = folder.join(name);
        match temp.persist_noclobber(&path) {
            Ok(_) => {
                sync_folder(&folder).map_err(at(name))?;
                return Ok(Written::Created(shown(name)));
            }
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
                if holds(&path, bytes).map_err(at(name))? == Some(true) {
                    persist(&path, &folder).map_err(at(name))?;
                    return Ok(Written::AlreadyThere(shown(name)));
                }
                temp = error.file;
            }
            Err(error) => return Err(at(name)(error.error)),
        }
    }
    let [first, _] = names;
    Err(WriteError::Conflict(shown(&first)))
}

/// Writes and removes a file as a delivery would, to see whether one can be written.
pub(super) fn try_out(folder: &Path) -> io::Result<()> {
    let temp = unfinished(folder, b"FitBridge tries whether it can write here")?;
    let mut end = temp.path().as_os_str().to_owned();
    end.push(".try");
    let end = PathBuf::from(end);
    temp.persist_noclobber(&end).map_err(|error| error.error)?;
    fs::remove_file(&end)
}

/// Creates the subfolders one by one and never leaves `root`, also not through a link.
fn subfolder(root: &Path, names: &[String]) -> Result<PathBuf, WriteError> {
    let mut folder = root.to_owned();
    for name in names {
        let next = folder.join(name);
        match fs::create_dir(&next) {
            Ok(()) => sync_folder(&folder).map_err(at(name))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(at(name)(error)),
        }
        folder = next.canonicalize().map_err(at(name))?;
        if !folder.starts_with(root) {
            return Err(WriteError::Escape(name.clone()));
        }
        if !folder.is_dir() {
            return Err(at(name)(ErrorKind::NotADirectory.into()));
        }
    }
    Ok(folder)
}

/// Whether a path holds exactly these bytes; `None` when nothing is there. Links and everything else that
/// is no file hold other bytes.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<Option<bool>> {
    let facts = match fs::symlink_metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !facts.is_file() || facts.len() != u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        return Ok(Some(false));
    }
    let mut file = File::open(path)?;
    let mut chunk = vec![0; 64 * 1024];
    let mut rest = bytes;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Some(rest.is_empty())),
            Ok(read) => match rest.strip_prefix(&chunk[..read]) {
                Some(next) => rest = next,
                None => return Ok(Some(false)),
            },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn unfinished(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMP_PREFIX).suffix(TEMP_SUFFIX);
    // Temporary files are private by default; this one becomes the rider's file, under the usual mask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temp = builder.tempfile_in(folder)?;
    temp.write_all(bytes)?;
    temp.as_file().sync_all()?;
    Ok(temp)
}

/// Makes what an earlier attempt wrote survive a power cut, which it may not have come to do.
#[cfg(unix)]
fn persist(path: &Path, folder: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_folder(folder)
}

/// Makes a new name in a folder survive a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some network file systems cannot do this to a folder.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

// Windows flushes neither folders nor files that were opened for reading.
#[cfg(not(unix))]
fn persist(_path: &Path, _folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes what processes left that were killed while writing. Ages are compared on the file system's own
/// clock. What cannot be removed now is left for the next time.
fn remove_abandoned(folder: &Path, fresh: &Path) {
    let modified = |path: &Path| fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?.modified().ok();
    let (Some(now), Ok(entries)) = (modified(fresh), fs::read_dir(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(TEMP_PREFIX) && name.contains(TEMP_SUFFIX));
        let path = entry.path();
        let old = || modified(&path).and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age > ABANDONED);
        if ours && old() && fs::remove_file(&path).is_ok() {
            tracing::info!("removed an unfinished file that a stopped process had left");
        }
    }
}

#[cfg(test)]
mod tests;
