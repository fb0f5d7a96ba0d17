use std::{collections::BTreeSet, fs::FileTimes};

use proptest::prelude::*;

use super::*;

fn place(folders: &[&str], stem: &str) -> Place {
    let folders = folders.iter().map(ToString::to_string).collect();
    Place { folders, stem: stem.to_owned(), extension: ".fit" }
}

fn put(root: &Path, place: &Place, bytes: &[u8]) -> Result<Written, WriteError> {
    write(root, place, "0a1b2c3d", bytes, true)
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_is_written_once_and_others_are_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let ride = place(&["2025", "06"], "ride");
    let created = Written::Created("2025/06/ride.fit".into());
    assert_eq!(put(root.path(), &ride, b"one").unwrap(), created);
    assert_eq!(put(root.path(), &ride, b"one").unwrap(), Written::AlreadyThere("2025/06/ride.fit".into()));
    let second = "2025/06/ride-0a1b2c3d.fit".to_owned();
    assert_eq!(put(root.path(), &ride, b"two").unwrap(), Written::Created(second.clone()));
    assert_eq!(put(root.path(), &ride, b"two").unwrap(), Written::AlreadyThere(second.clone()));
    assert!(matches!(put(root.path(), &ride, b"six"), Err(WriteError::Conflict(_))));
    assert_eq!(fs::read(root.path().join("2025/06/ride.fit")).unwrap(), b"one");
    assert_eq!(fs::read(root.path().join(&second)).unwrap(), b"two");
    assert_eq!(names(&root.path().join("2025/06")).len(), 2, "nothing unfinished is left");
    // Whoever moves the first file away does not get the second one twice.
    fs::remove_file(root.path().join("2025/06/ride.fit")).unwrap();
    assert_eq!(put(root.path(), &ride, b"two").unwrap(), Written::AlreadyThere(second));
}

#[test]
fn larger_files_are_compared_to_the_end() {
    let root = tempfile::tempdir().unwrap();
    let mut bytes = vec![3; 200_000];
    put(root.path(), &place(&[], "a"), &bytes).unwrap();
    assert!(matches!(put(root.path(), &place(&[], "a"), &bytes).unwrap(), Written::AlreadyThere(_)));
    bytes[199_999] = 4;
    assert!(matches!(put(root.path(), &place(&[], "a"), &bytes).unwrap(), Written::Created(_)));
}

#[test]
fn a_missing_folder_is_not_made_up() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("drive");
    let error = put(&missing, &place(&[], "a"), b"x").unwrap_err();
    assert!(matches!(error, WriteError::Io { .. }) && !error.is_full(), "{error}");
    assert!(!missing.exists());
}

#[test]
fn a_full_disk_is_told_apart() {
    let io = |kind: ErrorKind| WriteError::Io { what: "a".into(), source: kind.into() };
    assert!(io(ErrorKind::StorageFull).is_full() && io(ErrorKind::QuotaExceeded).is_full());
    assert!(!io(ErrorKind::PermissionDenied).is_full());
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), root.path().join("out")).unwrap();
    for folders in [&["out"][..], &["out", "deeper"]] {
        let error = put(root.path(), &place(folders, "a"), b"x").unwrap_err();
        assert!(matches!(error, WriteError::Escape(_)), "{error}");
    }
    fs::write(outside.path().join("same"), b"x").unwrap();
    symlink(outside.path().join("same"), root.path().join("a.fit")).unwrap();
    assert_eq!(put(root.path(), &place(&[], "a"), b"x").unwrap(), Written::Created("a-0a1b2c3d.fit".into()));
    symlink(outside.path().join("none"), root.path().join("b.fit")).unwrap();
    assert_eq!(put(root.path(), &place(&[], "b"), b"x").unwrap(), Written::Created("b-0a1b2c3d.fit".into()));
    assert_eq!(names(outside.path()), ["same".to_owned()].into());
}

#[cfg(unix)]
#[test]
fn the_file_is_readable_as_other_files_are() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    put(root.path(), &place(&[], "a"), b"x").unwrap();
    fs::write(root.path().join("plain"), b"x").unwrap();
    let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("a.fit"), mode("plain"));
}

#[test]
fn a_file_in_the_way_of_a_subfolder_stays() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("2025"), b"mine").unwrap();
    assert!(matches!(put(root.path(), &place(&["2025"], "a"), b"x"), Err(WriteError::Io { .. })));
    assert_eq!(fs::read(root.path().join("2025")).unwrap(), b"mine");
}

#[test]
fn only_old_unfinished_files_of_ours_are_removed() {
    let root = tempfile::tempdir().unwrap();
    let long_ago = fs::metadata(root.path()).unwrap().modified().unwrap() - 2 * ABANDONED;
    for (name, old) in [(".fitbridge-a.part", true), (".fitbridge-b.part", false), ("mine.part", true)] {
        let file = File::create(root.path().join(name)).unwrap();
        if old {
            file.set_times(FileTimes::new().set_modified(long_ago)).unwrap();
        }
    }
    put(root.path(), &place(&[], "a"), b"x").unwrap();
    let left = [".fitbridge-b.part", "a.fit", "mine.part"].map(str::to_owned);
    assert_eq!(names(root.path()), left.into());
}

#[test]
fn the_same_file_from_many_sides_is_there_once_and_always_whole() {
    let root = tempfile::tempdir().unwrap();
    let ride = place(&["sub"], "ride");
    let bytes = vec![9; 1_000_000];
    let final_path = root.path().join("sub/ride.fit");
    let results = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(|| put(root.path(), &ride, &bytes).unwrap())).collect();
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            if let Ok(seen) = fs::read(&final_path) {
                assert_eq!(seen.len(), bytes.len(), "a part of the file was visible");
            }
        }
        writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
    });
    let created = results.iter().filter(|written| matches!(written, Written::Created(_))).count();
    assert_eq!(created, 1, "{results:?}");
    assert_eq!(names(&root.path().join("sub")), ["ride.fit".to_owned()].into());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the order and the bytes, what is there never changes.
    #[test]
    fn no_order_of_writes_changes_a_file(writes in prop::collection::vec((0..3_u8, 0..4_u8), 1..12)) {
        let root = tempfile::tempdir().unwrap();
        let mut before = std::collections::BTreeMap::new();
        for (name, content) in writes {
            let tag = format!("{content:08x}");
            let ride = place(&[], &format!("ride{name}"));
            let written = write(root.path(), &ride, &tag, &[content; 5], false).unwrap();
            let (Written::Created(path) | Written::AlreadyThere(path)) = written;
            before.entry(path).or_insert([content; 5]);
            for (path, bytes) in &before {
                prop_assert_eq!(&fs::read(root.path().join(path)).unwrap(), bytes);
            }
        }
        prop_assert_eq!(names(root.path()).len(), before.len());
    }
}
