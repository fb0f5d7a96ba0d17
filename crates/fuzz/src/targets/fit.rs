//! FIT files.

use std::{fs, path::Path};

use fitbridge_fit::{
    Scan, TrackError, crc16,
    limits::{MAX_FILE_BYTES, MAX_SEGMENTS},
    scan,
    synthetic::malformed,
    track,
};

use super::Target;

/// The scanner's verdict and summary.
pub(super) const SCAN: Target =
    Target { name: "scan", seeds, corpus: Some(corpus), words: WORDS, check: |bytes| checked(bytes) };

/// The samples for plots.
pub(super) const TRACK: Target =
    Target { name: "track", seeds, corpus: None, words: WORDS, check: |bytes| sampled(bytes) };

const WORDS: &[&[u8]] = &[
    b".FIT",
    // Headers of definition messages, with and without developer fields, and of compressed timestamps.
    &[0x40, 0, 0, 0, 0],
    &[0x60, 0, 0, 0, 0],
    &[0x80],
    // Sizes of a field that are no multiple of its type, and types that nobody knows.
    &[253, 4, 0x86],
    &[253, 3, 0x86],
    &[0, 255, 7],
    &[0, 0, 0],
    &[18, 0],
    &[20, 0],
];
/// Largest file of the corpus that is a seed: mutations of small files reach as far and cost less.
const LARGEST_SEED: u64 = 64 * 1024;
/// Points asked for.
const POINTS: usize = 40;

fn seeds() -> Vec<Vec<u8>> {
    let ride = malformed::ride();
    vec![
        malformed::ride_short_header(),
        malformed::ride_without_header_crc(),
        malformed::big_endian(),
        malformed::truncated(&ride),
        malformed::chained(&ride, &ride),
        malformed::data_size_zero(),
        malformed::no_session(),
        malformed::not_an_activity(5),
        malformed::developer_fields(),
        malformed::compressed_timestamps(),
        malformed::igpsport_serial(*b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        malformed::enhanced_speed_zero(),
        malformed::zero_size_fields(),
        malformed::non_utf8_strings(),
        ride,
    ]
}

/// The real and the hostile files that may lie beside the checkout.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fit");
    let mut found = Vec::new();
    for part in ["real", "hostile"] {
        let Ok(entries) = fs::read_dir(folder.join(part)) else { continue };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort_unstable();
        let small = |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST_SEED);
        found.extend(paths.iter().filter(|path| small(path)).filter_map(|path| fs::read(path).ok()));
    }
    found
}

fn checked(bytes: &[u8]) -> String {
    let first = judged(bytes);
    // Mutations break the checksums, behind which most of the scanner lies.
    let second = judged(&repaired(bytes));
    format!("{first} {second}")
}

fn judged(bytes: &[u8]) -> String {
    let found = scan(bytes);
    assert_eq!(scan(bytes), found, "the same bytes, another verdict");
    assert!(found.segments.len() <= MAX_SEGMENTS);
    let mut from = 0;
    for segment in &found.segments {
        assert!(segment.range.start >= from && segment.range.start <= segment.range.end);
        assert!(segment.range.end <= bytes.len(), "a segment ends where the file does, or before");
        assert!(segment.data.start >= segment.range.start && segment.data.end <= segment.range.end);
        from = segment.range.end;
    }
    let summary = &found.summary;
    for number in [summary.elapsed_s, summary.timer_s, summary.distance_m] {
        assert!(number.is_none_or(|number| number.is_finite() && number >= 0.0), "{number:?}");
    }
    if found.verdict.is_valid() {
        is_whole(bytes, &found);
    }
    let facts = (found.segments.len(), summary.distance_m.is_some(), summary.start.is_some());
    format!("{:?} {facts:?}", found.verdict)
}

/// What "valid" promises, told by other means than the scanner's own.
fn is_whole(bytes: &[u8], found: &Scan) {
    assert!(bytes.len() <= MAX_FILE_BYTES && found.problem_at.is_none());
    assert_eq!(found.segments.last().map(|segment| segment.range.end), Some(bytes.len()), "bytes after the end");
    for segment in &found.segments {
        let file = &bytes[segment.range.clone()];
        assert!(matches!(file[0], 12 | 14) && &file[8..12] == b".FIT");
        let size = u32::from_le_bytes([file[4], file[5], file[6], file[7]]) as usize;
        assert!(size > 0 && usize::from(file[0]) + size + 2 == file.len());
        assert_eq!(crc16(0, file), 0, "a file together with its own CRC has the CRC 0");
    }
}

fn sampled(bytes: &[u8]) -> String {
    let told = |bytes: &[u8]| match track(bytes, POINTS) {
        Ok(track) => {
            assert!(track.points.len() <= POINTS);
            format!("{} points", track.points.len().min(3))
        }
        Err(error) => {
            assert_ne!(error, TrackError::Panicked, "the decoder is not to meet what it panics on");
            format!("{error:?}")
        }
    };
    format!("{} {}", told(bytes), told(&repaired(bytes)))
}

/// The bytes with a header and checksums that fit.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    if file.len() < 16 {
        return file;
    }
    let data = u32::try_from(file.len() - 16).unwrap_or(u32::MAX);
    file[0] = 14;
    file[4..8].copy_from_slice(&data.to_le_bytes());
    file[8..12].copy_from_slice(b".FIT");
    let crc = crc16(0, &file[..12]);
    file[12..14].copy_from_slice(&crc.to_le_bytes());
    let end = file.len() - 2;
    let crc = crc16(0, &file[..end]);
    file[end..].copy_from_slice(&crc.to_le_bytes());
    file
}
