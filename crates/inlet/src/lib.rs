//! Rides from a rider's own hands: files, folders, ZIP archives, head units on USB, a watched folder.
//!
//! Everything here is bounded and nothing is trusted: one file is in memory at a time, names from archives are
//! only ever shown, and what cannot be read is told while the rest goes on.

mod archive;
mod limits;
mod name;
mod read;
pub mod usb;
pub mod watch;

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;

pub use archive::Archive;
pub use limits::Limits;

use name::{Kind, shown};
use read::{Content, content};

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A file that may be a ride. Whether it is one, the scanner says.
    File(Candidate),
    /// Something that should have been read and could not be.
    Problem(Problem),
    /// Files that do not look like rides, counted for each folder that was given and for each archive.
    Skipped(Skipped),
}

/// A file that may be a ride.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// For display only: the path as given, or archive and member. Without control characters.
    pub name: String,
    /// The FIT file, already inflated; at most [`Limits::file_bytes`].
    pub bytes: Bytes,
}

/// Why something was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// As [`Candidate::name`].
    pub name: String,
    /// What happened, in a part of a sentence without a full stop.
    pub reason: String,
    /// What the rider can do, likewise.
    pub next_step: &'static str,
}

impl Problem {
    fn new(name: impl Into<String>, reason: impl Into<String>, next_step: &'static str) -> Self {
        Self { name: name.into(), reason: reason.into(), next_step }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        let next_step = match error.kind() {
            io::ErrorKind::NotFound => "check the name",
            io::ErrorKind::PermissionDenied => "give yourself the right to read it, and import again",
            _ => "check the disk or the device, and import again",
        };
        Self::new(shown(path), format!("it cannot be read: {error}"), next_step)
    }
}

/// Files that were passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The folder or the archive.
    pub name: String,
    /// How many files in it, at any depth.
    pub files: u64,
}

/// Reads `paths` one file at a time, in the given order and folders in the order of their names. Blocks on the
/// disk: see [`next`] for async code.
pub fn collect(paths: &[PathBuf]) -> Collect {
    Collect::new(paths, Limits::default())
}

/// The next item, read on a thread that may block; `None` when there is no more.
///
/// # Errors
/// The thread was lost, which only happens while the program ends or after a bug.
pub async fn next(mut collect: Collect) -> io::Result<Option<(Item, Collect)>> {
    tokio::task::spawn_blocking(move || collect.next().map(|item| (item, collect))).await.map_err(io::Error::other)
}

/// An iterator over what `paths` hold; see [`collect`].
#[derive(Debug)]
pub struct Collect {
    limits: Limits,
    /// What is left to do, the next at the end.
    work: Vec<Work>,
    /// Folders that were entered, by their real place: a link that leads back ends here.
    entered: HashSet<PathBuf>,
    skipped: u64,
    files: u64,
}

#[derive(Debug)]
enum Work {
    /// A path that the rider typed.
    Given(PathBuf),
    /// A path inside a folder, with the depth of that folder.
    Inside(PathBuf, u32),
    Archive(Box<Archive<File>>),
    /// All of a given folder was read.
    EndOf(PathBuf),
}

impl Collect {
    fn new(paths: &[PathBuf], limits: Limits) -> Self {
        let work = paths.iter().rev().cloned().map(Work::Given).collect();
        Self { limits, work, entered: HashSet::new(), skipped: 0, files: 0 }
    }

    fn given(&mut self, path: &Path) -> Option<Item> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                self.work.push(Work::EndOf(path.to_path_buf()));
                self.folder(path, 0)
            }
            Ok(found) if found.is_file() => self.file(path, true),
            Ok(_) => {
                let reason = "it is neither a file nor a folder";
                Some(Item::Problem(Problem::new(shown(path), reason, "give a file, a folder or a ZIP archive")))
            }
            Err(error) => Some(Item::Problem(Problem::io(path, &error))),
        }
    }

    fn inside(&mut self, path: &Path, depth: u32) -> Option<Item> {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match fs::metadata(path) {
            // Waste baskets and the like.
            Ok(_) if hidden => self.skip(),
            Ok(found) if found.is_dir() => self.folder(path, depth + 1),
            Ok(found) if found.is_file() && Kind::of(path) != Kind::Other => self.file(path, false),
            Ok(_) => self.skip(),
            // A link that leads nowhere is not a ride that is missing, unless it is named like one.
            Err(_) if hidden || Kind::of(path) == Kind::Other => self.skip(),
            Err(error) => Some(Item::Problem(Problem::io(path, &error))),
        }
    }

    fn skip(&mut self) -> Option<Item> {
        self.skipped += 1;
        None
    }

    fn folder(&mut self, path: &Path, depth: u32) -> Option<Item> {
        if depth > self.limits.depth {
            let reason = format!("it lies more than {} folders deep", self.limits.depth);
            return Some(Item::Problem(Problem::new(shown(path), reason, "import that folder by itself")));
        }
        let listed = fs::canonicalize(path).and_then(|place| {
            if !self.entered.insert(place) {
                return Ok(Vec::new());
            }
            fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
        });
        match listed {
            Ok(mut entries) => {
                // The last is taken first.
                entries.sort_unstable_by(|a, b| b.cmp(a));
                self.work.extend(entries.into_iter().map(|entry| Work::Inside(entry, depth)));
                None
            }
            Err(error) => Some(Item::Problem(Problem::io(path, &error))),
        }
    }

    fn file(&mut self, path: &Path, given: bool) -> Option<Item> {
        match content(path, Kind::of(path), &self.limits) {
            Ok(Content::Ride(bytes)) => Some(Item::File(Candidate { name: shown(path), bytes })),
            Ok(Content::Zip(file)) => match Archive::open(shown(path), file, self.limits) {
                Ok(archive) => {
                    self.work.push(Work::Archive(Box::new(archive)));
                    None
                }
                Err(problem) => Some(Item::Problem(problem)),
            },
            Ok(Content::AppleDouble) if !given => self.skip(),
            Ok(Content::AppleDouble) => {
                let reason = "it holds a Mac's notes about a file, not the file itself";
                Some(Item::Problem(Problem::new(shown(path), reason, "give the file of the same name without `._`")))
            }
            Err(problem) => Some(Item::Problem(problem)),
        }
    }

    fn step(&mut self, work: Work) -> Option<Item> {
        match work {
            Work::Given(path) => self.given(&path),
            Work::Inside(path, depth) => self.inside(&path, depth),
            Work::Archive(mut archive) => {
                let item = archive.next();
                if item.is_some() {
                    self.work.push(Work::Archive(archive));
                }
                item
            }
            Work::EndOf(path) => match std::mem::take(&mut self.skipped) {
                0 => None,
                files => Some(Item::Skipped(Skipped { name: shown(&path), files })),
            },
        }
    }
}

impl Iterator for Collect {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            let work = self.work.pop()?;
            let Some(item) = self.step(work) else { continue };
            if matches!(item, Item::File(_)) {
                if self.files == self.limits.files {
                    self.work.clear();
                    let reason = format!("there are more than {} files", self.limits.files);
                    let problem = Problem::new("import", reason, "import the rest in smaller parts");
                    return Some(Item::Problem(problem));
                }
                self.files += 1;
            }
            return Some(item);
        }
    }
}

#[cfg(test)]
mod tests;
