//! Watching a folder: a file is taken once it has stopped growing.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    pin::pin,
    time::{Duration, SystemTime},
};

use super::{Item, Problem, collect, name::Kind, next};

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

/// Looks into `folder` (not into those in it) every `pause`, and hands what appears there to `on_item`, until `stop`
/// is done; an item in work is finished before. Files that are there already are taken as well: who imports knows
/// duplicates. A folder that goes away is told once, and watched on for its return.
///
/// # Errors
/// The folder cannot be read at the start.
pub(crate) async fn watch(
    folder: &Path,
    pause: Duration,
    stop: impl Future<Output = ()>,
    mut on_item: impl AsyncFnMut(Item),
) -> io::Result<()> {
    let mut stop = pin!(stop);
    let mut watched = Watched::default();
    let mut seen = files(folder.to_path_buf()).await?;
    let mut is_away = false;
    loop {
        let ready = watched.look(std::mem::take(&mut seen));
        let mut left = (!ready.is_empty()).then(|| collect(&ready));
        while let Some(collect) = left.take() {
            let Some((item, rest)) = next(collect).await? else { break };
            on_item(item).await;
            left = Some(rest);
            // Between two files, never within one.
            if is_done(stop.as_mut()).await {
                return Ok(());
            }
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        match files(folder.to_path_buf()).await {
            Ok(found) => {
                is_away = false;
                seen = found;
            }
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    on_item(Item::Problem(Problem::io(folder, &error))).await;
                }
            }
        }
    }
}

/// Whether a future is done, without waiting for it. After `true` it must not be asked again.
async fn is_done(stop: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    tokio::select! {
        biased;
        () = stop => true,
        () = std::future::ready(()) => false,
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
    use std::sync::{Arc, Mutex};

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

    #[tokio::test]
    async fn files_that_appear_are_handed_over_once_until_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("old.fit"), "old").expect("written");
        fs::write(folder.path().join("note.txt"), "no ride").expect("written");
        fs::write(folder.path().join(".part.fit"), "no ride yet").expect("written");
        let (stop, stopped) = oneshot::channel::<()>();
        let stop = Mutex::new(Some(stop));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&taken);
        let place = folder.path().to_path_buf();
        let on_item = async move |item: Item| {
            let Item::File(file) = item else { panic!("{item:?}") };
            notes.lock().expect("not poisoned").push(String::from_utf8_lossy(&file.bytes).into_owned());
            match &*file.bytes {
                b"old" => fs::write(place.join("new.FIT"), "new").expect("written"),
                _ => drop(stop.lock().expect("not poisoned").take()),
            }
        };
        let until = async move {
            let _ = stopped.await;
        };
        watch(folder.path(), Duration::from_millis(5), until, on_item).await.expect("watched");
        assert_eq!(*taken.lock().expect("not poisoned"), ["old", "new"]);
    }

    #[tokio::test]
    async fn a_folder_that_goes_away_is_told_once_and_one_that_never_was_is_an_error() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("rides");
        let gone = watch(&folder, Duration::from_millis(1), std::future::pending(), async |_| {}).await;
        assert_eq!(gone.expect_err("no such folder").kind(), io::ErrorKind::NotFound);

        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("a.fit"), "first").expect("written");
        let (stop, stopped) = oneshot::channel::<()>();
        let mut stop = Some(stop);
        let mut told = Vec::new();
        let until = async move {
            let _ = stopped.await;
        };
        watch(&folder, Duration::from_millis(5), until, async |item| match item {
            Item::File(file) if &*file.bytes == b"first" => fs::remove_dir_all(&folder).expect("removed"),
            Item::Problem(problem) => {
                told.push(problem.reason);
                fs::create_dir(&folder).expect("made again");
                fs::write(folder.join("a.fit"), "second").expect("written");
            }
            _ => drop(stop.take()),
        })
        .await
        .expect("watched");
        assert_eq!(told.len(), 1, "{told:?}");
    }
}
