use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;

fn room() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn put(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("inside")).expect("made");
    fs::write(&path, bytes).expect("written");
    path
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, options).expect("a member");
        writer.write_all(bytes).expect("packed");
    }
    writer.finish().expect("an archive").into_inner()
}

/// Everything that is found, with the names relative to `folder`.
fn found(folder: &TempDir, paths: &[PathBuf], limits: Limits) -> Vec<String> {
    let place = format!("{}/", folder.path().display());
    let told = |item: Item| match item {
        Item::File(Candidate { name, bytes }) => format!("{name} = {}", String::from_utf8_lossy(&bytes)),
        Item::Problem(Problem { name, reason, next_step }) => format!("{name} ! {reason}; {next_step}"),
        Item::Skipped(Skipped { name, files }) => format!("{name} skipped {files}"),
    };
    Collect::new(paths, limits).map(told).map(|line| line.replace(&place, "")).collect()
}

fn all(folder: &TempDir, path: &Path) -> Vec<String> {
    found(folder, &[path.to_path_buf()], Limits::default())
}

#[test]
fn files_of_any_name_are_read_when_given_and_gzip_is_unpacked() {
    let room = room();
    let paths = [put(&room, "odd.bin", "ride"), put(&room, "b.fit.gz", gz(b"packed")), put(&room, "c.FIT", gz(b"too"))];
    let missing = room.path().join("missing.fit");
    let found = found(&room, &[&paths[..], &[missing]].concat(), Limits::default());
    assert_eq!(found[..3], ["odd.bin = ride", "b.fit.gz = packed", "c.FIT = too"]);
    assert!(found[3].starts_with("missing.fit ! it cannot be read:") && found[3].ends_with("check the name"));
}

#[test]
fn folders_are_read_in_order_and_what_is_no_ride_is_counted() {
    let room = room();
    for name in
        ["rides/b.fit", "rides/A.FIT", "rides/x/c.Fit.GZ", "rides/note.txt", "rides/._b.fit", "rides/.Trash/d.fit"]
    {
        put(&room, name, name);
    }
    put(&room, "rides/x/apple.fit", b"\x00\x05\x16\x07....");
    put(&room, "rides/y.zip", zip(&[("in/e.fit", b"member"), ("readme.md", b"")]));
    let rides = room.path().join("rides");
    assert_eq!(
        all(&room, &rides),
        [
            "rides/A.FIT = rides/A.FIT",
            "rides/b.fit = rides/b.fit",
            "rides/x/c.Fit.GZ = rides/x/c.Fit.GZ",
            "rides/y.zip: in/e.fit = member",
            "rides/y.zip skipped 1",
            // A note, two hidden ones, a Mac's notes.
            "rides skipped 4",
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_loop_of_links_ends_and_a_pipe_is_not_waited_for() {
    use std::os::unix::fs::symlink;
    let room = room();
    put(&room, "a/ride.fit", "once");
    symlink(room.path().join("a"), room.path().join("a/again")).expect("linked");
    symlink("..", room.path().join("a/up")).expect("linked");
    symlink("nowhere.fit", room.path().join("a/z.fit")).expect("linked");
    let found = all(&room, &room.path().join("a"));
    assert_eq!(found[0], "a/ride.fit = once");
    assert!(found[1].starts_with("a/z.fit ! it cannot be read"), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");

    let pipe = room.path().join("pipe.fit");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no mkfifo");
        return;
    }
    assert!(all(&room, &pipe)[0].contains("neither a file nor a folder"));
}

#[cfg(unix)]
#[test]
fn an_unreadable_folder_is_told_and_the_rest_goes_on() {
    use std::os::unix::fs::PermissionsExt;
    let room = room();
    put(&room, "top/locked/a.fit", "never");
    put(&room, "top/open/b.fit", "read");
    let locked = room.path().join("top/locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).expect("locked");
    let is_almighty = fs::read_dir(&locked).is_ok();
    let found = all(&room, &room.path().join("top"));
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).expect("unlocked");
    assert!(found.contains(&"top/open/b.fit = read".to_owned()), "{found:?}");
    if is_almighty {
        eprintln!("skipped in part: root may read everything");
        return;
    }
    assert!(found[0].starts_with("top/locked ! it cannot be read") && found[0].contains("give yourself the right"));
}

#[test]
fn depth_and_number_are_bounded() {
    let room = room();
    put(&room, "d/1/2/3/deep.fit", "deep");
    put(&room, "d/1/a.fit", "a");
    put(&room, "d/1/b.fit", "b");
    let top = [room.path().join("d")];
    let limits = Limits { depth: 2, ..Limits::default() };
    let shallow = found(&room, &top, limits);
    assert_eq!(shallow[0], "d/1/2/3 ! it lies more than 2 folders deep; import that folder by itself");
    assert_eq!(shallow[1..], ["d/1/a.fit = a", "d/1/b.fit = b"]);
    let few = found(&room, &top, Limits { files: 2, ..Limits::default() });
    assert_eq!(few.len(), 3, "{few:?}");
    assert!(few[2].contains("more than 2 files") && few[2].contains("smaller parts"), "{few:?}");
}

#[test]
fn bombs_are_not_unpacked() {
    let room = room();
    let zeros = vec![0; 40 << 20];
    let packed = zip(&[("bomb.fit", &zeros), ("bomb.fit.gz", &gz(&zeros)), ("ride.fit", b"ride")]);
    assert!(packed.len() < 100_000, "{}", packed.len());
    let archive = put(&room, "a.zip", &packed);
    let bomb =
        "it inflates to more than 100 times its size, which no ride does; check where it comes from; it was not read";
    assert_eq!(
        all(&room, &archive),
        [format!("a.zip: bomb.fit ! {bomb}"), format!("a.zip: bomb.fit.gz ! {bomb}"), "a.zip: ride.fit = ride".into()]
    );
    let single = put(&room, "b.fit.gz", gz(&zeros));
    assert_eq!(all(&room, &single), [format!("b.fit.gz ! {bomb}")]);
    // Small enough to pass the ratio, and still larger than any ride.
    let limits = Limits { file_bytes: 1 << 20, ..Limits::default() };
    let large = found(&room, &[single, put(&room, "c.fit", &zeros)], limits);
    assert!(large.iter().all(|line| line.contains("larger than 1 MiB")), "{large:?}");
}

#[test]
fn an_archive_is_bounded_in_entries_and_in_all() {
    let room = room();
    let member = vec![7u8; 600_000];
    let archive = put(&room, "a.zip", zip(&[("1.fit", &member), ("2.fit", &member), ("3.fit", b"small")]));
    let files = |limits| -> Vec<String> {
        let mut lines = found(&room, std::slice::from_ref(&archive), limits);
        lines.iter_mut().for_each(|line| *line = line.chars().take(60).collect());
        lines
    };
    let two = files(Limits { archive_bytes: 1 << 20, ..Limits::default() });
    assert_eq!(two.len(), 2, "{two:?}");
    assert!(
        two[0].starts_with("a.zip: 1.fit = ") && two[1].starts_with("a.zip ! its members inflate to more than 1 MiB")
    );
    let entries = files(Limits { archive_entries: 2, ..Limits::default() });
    assert!(entries.len() == 1 && entries[0].starts_with("a.zip ! its list of entries is too long"), "{entries:?}");
    assert_eq!(files(Limits { archive_entries: 3, ..Limits::default() }).len(), 3);
}

#[test]
fn member_names_are_for_display_only() {
    let room = room();
    let archive =
        zip(&[("../../../tmp/evil.fit", b"1"), ("/etc/abs.fit", b"2"), ("C:\\win\\dos.fit", b"3"), ("a\nb.fit", b"4")]);
    let archive = put(&room, "x/tricks.zip", archive);
    let found = all(&room, &archive);
    let names: Vec<&str> = found.iter().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    let tame =
        ["tmp/evil.fit", "etc/abs.fit", "win/dos.fit", "a\u{fffd}b.fit"].map(|name| format!("x/tricks.zip: {name}"));
    assert_eq!(names, tame);
    assert_eq!(fs::read_dir(room.path().join("x")).expect("listed").count(), 1, "nothing is unpacked to disk");
}

#[test]
fn nested_locked_and_foreign_members_are_told_apart() {
    let room = room();
    let inner = zip(&[("deep.fit", b"deep")]);
    let members: [(&str, &[u8]); 5] = [
        ("inner.ZIP", &inner),
        ("__MACOSX/._a.fit", b"x"),
        ("photo.jpg", b"x"),
        ("a.fit.gz", &gz(b"ride")),
        ("b/", b""),
    ];
    let archive = put(&room, "mixed.zip", zip(&members));
    assert_eq!(
        all(&room, &archive),
        [
            "mixed.zip: inner.ZIP ! an archive inside an archive is not opened; \
             unpack the outer one and import the inner one by itself",
            "mixed.zip: a.fit.gz = ride",
            "mixed.zip skipped 2",
        ]
    );

    // The flag "encrypted" in both headers of the first member.
    let mut locked = zip(&[("secret.fit", b"ride"), ("open.fit", b"open")]);
    let place = |magic: &[u8]| locked.windows(4).position(|window| window == magic).expect("a header");
    let flags = [place(b"PK\x03\x04") + 6, place(b"PK\x01\x02") + 8];
    for at in flags {
        locked[at] |= 1;
    }
    let found = all(&room, &put(&room, "locked.zip", &locked));
    assert!(found[0].starts_with("locked.zip: secret.fit ! it is locked with a password; unpack"), "{found:?}");
    assert_eq!(found[1], "locked.zip: open.fit = open");
}

#[test]
fn broken_archives_are_told_and_their_good_members_read() {
    let room = room();
    let whole = zip(&[("1.fit", &[b'a'; 500]), ("2.fit", b"fine")]);
    let cut = put(&room, "cut.zip", &whole[..whole.len() - 30]);
    let found = all(&room, &cut);
    assert!(found.len() == 1 && found[0].starts_with("cut.zip ! the ZIP archive is incomplete or broken"), "{found:?}");
    let fake = put(&room, "page.zip", "<html>Sign in</html>");
    assert!(all(&room, &fake)[0].starts_with("page.zip ! it is not a ZIP archive, whatever its name says"));

    let mut spoiled = whole;
    // Within the packed bytes of the first member: after its header of 30 bytes and its name.
    spoiled[38] ^= 0xff;
    let found = all(&room, &put(&room, "spoiled.zip", &spoiled));
    assert!(found[0].starts_with("spoiled.zip: 1.fit ! it is broken"), "{found:?}");
    assert_eq!(found[1], "spoiled.zip: 2.fit = fine");

    let mut torn = gz(&[b'a'; 5000]);
    torn.truncate(torn.len() - 10);
    assert!(all(&room, &put(&room, "torn.fit.gz", &torn))[0].starts_with("torn.fit.gz ! it is broken"));
}

#[test]
fn a_list_of_members_without_end_is_not_read() {
    let room = room();
    let path = room.path().join("list.zip");
    let mut file = File::create(&path).expect("made");
    file.write_all(b"PK\x03\x04").and_then(|()| file.set_len(100 << 20)).expect("a sparse file");
    drop(file);
    // 65,535 entries in a list of 90 MiB.
    let mut end = b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff".to_vec();
    end.extend_from_slice(&(90u32 << 20).to_le_bytes());
    end.extend_from_slice(&(1u32 << 20).to_le_bytes());
    end.extend_from_slice(&[0, 0]);
    fs::OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(&end)).expect("written");
    let found = all(&room, &path);
    assert!(found.len() == 1 && found[0].starts_with("list.zip ! its list of entries is too long"), "{found:?}");
}

#[tokio::test]
async fn async_code_gets_one_item_at_a_time() {
    let room = room();
    let paths = [put(&room, "a.fit", "a"), put(&room, "b.fit", "b")];
    let mut names = Vec::new();
    let mut left = Some(collect(&paths));
    while let Some(collect) = left.take() {
        let Some((Item::File(file), rest)) = next(collect).await.expect("read") else { break };
        names.push(file.bytes);
        left = Some(rest);
    }
    assert_eq!(names, ["a", "b"]);
}
