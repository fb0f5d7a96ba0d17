//! Watching a folder: a file is taken once it has stopped growing.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    pin::pin,
    time::{Duration, SystemTime},
};

use crate::name::{Kind, shown};

/// Between two looks: a file is taken about as long after it stopped growing.
const PAUSE: Duration = Duration::from_secs(2);

/// The folder cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("the folder {folder} cannot be watched: {source}; check its name and your rights to it")]
pub struct WatchError {
    /// As it is shown.
    folder: String,
    source: io::Error,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    len: u64,
    changed: Option<SystemTime>,
}

/// What is known of a folder from the looks so far.
#[derive(Debug, Default)]
struct Watched {
    /// Files and how they were at the last look.
    last: HashMap<PathBuf, Stamp>,
    /// Files that were taken, as they were then.
    taken: HashMap<PathBuf, Stamp>,
}

impl Watched {
    /// Takes note of a look; gives the files that stayed the same since the look before and were not taken so.
    fn look(&mut self, seen: HashMap<PathBuf, Stamp>) -> Vec<PathBuf> {
        // What is gone may come back under its name as something else.
        self.taken.retain(|path, _| seen.contains_key(path));
        let mut ready: Vec<PathBuf> = seen
            .iter()
            .filter(|(path, stamp)| self.last.get(*path) == Some(stamp) && self.taken.get(*path) != Some(stamp))
            .map(|(path, _)| path.clone())
            .collect();
        ready.sort_unstable();
        for path in &ready {
            if let Some(stamp) = seen.get(path) {
                self.taken.insert(path.clone(), *stamp);
            }
        }
        self.last = seen;
        ready
    }
}

/// Looks into `folder` (not into those in it) every two seconds, and hands the paths of files that may be rides to
/// `on_path`, until `stop` is done. Files that are there already are handed over as well: who imports knows
/// duplicates. When the folder goes away, its own path is handed over once, so that who tries to read it tells why;
/// it is watched on for its return.
///
/// # Errors
/// The folder cannot be read at the start.
pub async fn watch(
    folder: &Path,
    stop: impl Future<Output = ()>,
    on_path: impl AsyncFnMut(PathBuf),
) -> Result<(), WatchError> {
    watch_every(PAUSE, folder, stop, on_path).await
}

async fn watch_every(
    pause: Duration,
    folder: &Path,
    stop: impl Future<Output = ()>,
    mut on_path: impl AsyncFnMut(PathBuf),
) -> Result<(), WatchError> {
    let mut stop = pin!(stop);
    let mut watched = Watched::default();
    let first = files(folder.to_path_buf()).await;
    let first = first.map_err(|source| WatchError { folder: shown(folder), source })?;
    watched.look(first);
    let mut is_away = false;
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        let ready = match files(folder.to_path_buf()).await {
            Ok(seen) => {
                is_away = false;
                watched.look(seen)
            }
            Err(_) if is_away => Vec::new(),
            Err(_) => {
                is_away = true;
                vec![folder.to_path_buf()]
            }
        };
        for path in ready {
            tokio::select! {
                // What was asked for first: between two files the stop counts, within one it waits.
                biased;
                () = &mut stop => return Ok(()),
                () = std::future::ready(()) => on_path(path).await,
            }
        }
    }
}

/// The files of a folder that may be rides.
async fn files(folder: PathBuf) -> io::Result<HashMap<PathBuf, Stamp>> {
    let listed = tokio::task::spawn_blocking(move || {
        let mut found = HashMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            // A file may vanish between the list and the look at it, as downloads do when they are done.
            let Ok(about) = fs::metadata(&path) else { continue };
            if about.is_file() && !hidden && Kind::of(&path) != Kind::Other {
                found.insert(path, Stamp { len: about.len(), changed: about.modified().ok() });
            }
        }
        Ok(found)
    });
    listed.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn seen(files: &[(&str, u64)]) -> HashMap<PathBuf, Stamp> {
        files.iter().map(|(name, len)| (PathBuf::from(name), Stamp { len: *len, changed: None })).collect()
    }

    #[test]
    fn a_file_is_taken_when_it_has_stopped_growing_and_again_when_it_changed() {
        let mut watched = Watched::default();
        let none = Vec::<PathBuf>::new();
        assert_eq!(watched.look(seen(&[("a", 1)])), none);
        assert_eq!(watched.look(seen(&[("a", 2)])), none);
        assert_eq!(watched.look(seen(&[("a", 2), ("b", 5)])), [PathBuf::from("a")]);
        assert_eq!(watched.look(seen(&[("a", 2), ("b", 5)])), [PathBuf::from("b")]);
        assert_eq!(watched.look(seen(&[("a", 2), ("b", 5)])), none);
        assert_eq!(watched.look(seen(&[("a", 3), ("b", 5)])), none);
        assert_eq!(watched.look(seen(&[("a", 3)])), [PathBuf::from("a")]);
        assert_eq!(watched.look(seen(&[("a", 3), ("b", 5)])), none);
        assert_eq!(watched.look(seen(&[("a", 3), ("b", 5)])), [PathBuf::from("b")]);
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("readable")
    }

    #[tokio::test]
    async fn files_that_appear_are_handed_over_once_until_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("old.fit"), "old").expect("written");
        fs::write(folder.path().join("note.txt"), "no ride").expect("written");
        fs::write(folder.path().join(".part.fit"), "no ride yet").expect("written");
        let (stop, stopped) = oneshot::channel::<()>();
        let mut stop = Some(stop);
        let mut taken = Vec::new();
        let until = async {
            let _ = stopped.await;
        };
        watch_every(Duration::from_millis(5), folder.path(), until, async |path| {
            taken.push(text(&path));
            match taken.len() {
                1 => fs::write(folder.path().join("new.FIT"), "new").expect("written"),
                _ => drop(stop.take()),
            }
        })
        .await
        .expect("watched");
        assert_eq!(taken, ["old", "new"]);
    }

    #[tokio::test]
    async fn a_folder_that_goes_away_is_told_once_and_one_that_never_was_is_an_error() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("rides");
        let none = watch(&folder, std::future::pending(), async |_| {}).await.expect_err("no such folder").to_string();
        assert!(none.contains("rides cannot be watched") && none.contains("check its name"), "{none}");

        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("a.fit"), "first").expect("written");
        let (stop, stopped) = oneshot::channel::<()>();
        let mut stop = Some(stop);
        let mut told = Vec::new();
        let until = async {
            let _ = stopped.await;
        };
        watch_every(Duration::from_millis(5), &folder, until, async |path| {
            if path == folder {
                told.push("away".to_owned());
                fs::create_dir(&folder).expect("made again");
                fs::write(folder.join("a.fit"), "second ride").expect("written");
                return;
            }
            told.push(text(&path));
            match told.len() {
                1 => fs::remove_dir_all(&folder).expect("removed"),
                _ => drop(stop.take()),
            }
        })
        .await
        .expect("watched");
        assert_eq!(told, ["first", "away", "second ride"]);
    }
}
