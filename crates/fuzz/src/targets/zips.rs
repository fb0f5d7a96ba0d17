//! ZIP archives from riders.

use std::{
    io::{Cursor, Write},
    sync::LazyLock,
};

use fitbridge_fit::synthetic::malformed;
use fitbridge_inlet::{Archive, Item, Limits};
use flate2::{Compression, write::GzEncoder};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::Target;

/// The inlet for archives.
pub(super) const ZIP: Target = Target { name: "zip", seeds, corpus: None, words: WORDS, check };

const WORDS: &[&[u8]] = &[
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x06\x07",
    b"PK\x07\x08",
    b"../../x.fit",
    b".fit",
    b".zip",
    b"\x1f\x8b\x08",
    b"\x01\x00\x10\x00",
];
/// Small ones, so that mutations come near them.
static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    file_bytes: 20_000,
    archive_entries: 50,
    archive_bytes: 60_000,
    ratio: 50,
    ratio_from_bytes: 1_000,
    ..Limits::default()
});

fn seeds() -> Vec<Vec<u8>> {
    let ride = malformed::ride();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = packed.write_all(&ride);
    let packed = packed.finish().unwrap_or_default();
    let zeros = vec![0; 50_000];
    let stored = CompressionMethod::Stored;
    vec![
        archive(&[("a.fit", &ride)], stored),
        archive(&[("a/b.FIT", &ride), ("c.fit.gz", &packed), ("readme.txt", b"x")], CompressionMethod::Deflated),
        archive(&[("__MACOSX/._a.fit", b"x"), ("inner.zip", b"PK\x03\x04"), ("../up.fit", &ride)], stored),
        archive(&[("bomb.fit", &zeros)], CompressionMethod::Deflated),
        archive(&[], stored),
    ]
}

fn archive(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        let _ = writer.start_file(*name, options).map(|()| writer.write_all(bytes));
    }
    writer.finish().map(Cursor::into_inner).unwrap_or_default()
}

fn check(bytes: &[u8]) -> String {
    let limits = *LIMITS;
    let archive = match Archive::open("upload.zip".into(), Cursor::new(bytes), limits) {
        Ok(archive) => archive,
        Err(problem) => {
            assert!(!problem.next_step.is_empty());
            return format!("refused: {}", word(&problem.reason));
        }
    };
    let (mut items, mut inflated, mut told) = (0, 0, std::collections::BTreeSet::new());
    for item in archive {
        items += 1;
        assert!(items <= limits.archive_entries + 1, "more items than members");
        match item {
            Item::File(file) => {
                inflated += file.bytes.len() as u64;
                assert!(file.bytes.len() as u64 <= limits.file_bytes);
                assert!(!file.name.chars().any(char::is_control), "{:?}", file.name);
                told.insert("file".to_owned());
            }
            Item::Problem(problem) => {
                assert!(!problem.name.chars().any(char::is_control), "{:?}", problem.name);
                told.insert(word(&problem.reason));
            }
            Item::Skipped(skipped) => {
                told.insert(format!("skipped {}", skipped.files.min(3)));
            }
        }
    }
    assert!(inflated <= limits.archive_bytes + limits.file_bytes, "{inflated} bytes of an archive");
    told.into_iter().collect::<Vec<_>>().join(", ")
}

/// The beginning of a reason, which is the same for all of its kind.
fn word(reason: &str) -> String {
    reason.split_whitespace().take(6).filter(|word| word.chars().all(char::is_alphabetic)).collect::<Vec<_>>().join(" ")
}
