//! Nothing that was cut, flipped or thrown together passes as valid, and nothing makes the scanner panic.

use fitbridge_fit::synthetic::malformed;
use fitbridge_fit::{TrackError, crc16, scan, track};
use proptest::prelude::*;

fn seeds() -> [Vec<u8>; 4] {
    [
        malformed::ride(),
        malformed::ride_short_header(),
        malformed::ride_without_header_crc(),
        malformed::compressed_timestamps(),
    ]
}

#[test]
fn every_prefix_is_not_valid() {
    for seed in seeds() {
        for end in 0..seed.len() {
            assert!(!scan(&seed[..end]).verdict.is_valid(), "prefix of {end} bytes");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for mut file in seeds() {
        for at in 0..file.len() {
            for bit in 0..8 {
                file[at] ^= 1 << bit;
                assert!(!scan(&file).verdict.is_valid(), "byte {at} bit {bit}");
                file[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn any_appended_byte_is_noticed() {
    for seed in seeds() {
        for byte in 0..=u8::MAX {
            let longer = [seed.as_slice(), &[byte]].concat();
            assert!(!scan(&longer).verdict.is_valid(), "appended {byte}");
        }
    }
}

/// Makes sizes and checksums right again, so that mutations reach the walk.
fn repaired(mut file: Vec<u8>) -> Vec<u8> {
    if file.len() < 16 {
        return file;
    }
    let data_size = (file.len() - 16) as u32;
    file[0] = 14;
    file[4..8].copy_from_slice(&data_size.to_le_bytes());
    file[8..12].copy_from_slice(b".FIT");
    let crc = crc16(0, &file[..12]);
    file[12..14].copy_from_slice(&crc.to_le_bytes());
    let end = file.len() - 2;
    let crc = crc16(0, &file[..end]);
    file[end..].copy_from_slice(&crc.to_le_bytes());
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        scan(&bytes);
        let scan = scan(&repaired(bytes));
        for segment in scan.segments {
            prop_assert!(segment.data.start <= segment.data.end);
            prop_assert!(segment.range.end >= segment.data.end);
        }
    }

    #[test]
    fn mutated_rides_never_panic(
        which in 0usize..4,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = seeds()[which].clone();
        for (at, byte) in edits {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let cut = cut.index(file.len());
        scan(&file[..cut]);
        scan(&repaired(file[..cut].to_vec()));
        let file = repaired(file);
        // Not merely caught: the decoder is not to meet what it panics on.
        let track = track(&file, 50);
        prop_assert_ne!(&track, &Err(TrackError::Panicked));
        prop_assert!(track.map_or(0, |track| track.points.len()) <= 50);
        let scan = scan(&file);
        prop_assert!(scan.summary.elapsed_s.is_none_or(f64::is_finite));
        prop_assert!(scan.summary.distance_m.is_none_or(f64::is_finite));
    }
}
