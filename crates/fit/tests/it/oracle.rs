//! `fitparser` as a second opinion on how many data messages a file holds.

use super::corpus::{folder, real_files};
use fitbridge_fit::scan;
use fitbridge_fit::synthetic::{RideSpec, malformed};

fn second_opinion(bytes: &[u8]) -> Option<usize> {
    fitparser::from_bytes(bytes).ok().map(|messages| messages.len())
}

#[test]
fn both_count_the_same_messages_in_real_files() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    for (name, bytes) in real_files(&folder) {
        // The decoder takes seconds a megabyte in a debug build; the bench reads the largest.
        if bytes.len() > 300_000 {
            continue;
        }
        let scan = scan(&bytes);
        if scan.verdict.is_valid()
            && let Some(messages) = second_opinion(&bytes)
        {
            assert_eq!(scan.summary.messages as usize, messages, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 35, "only {compared} files compared");
}

#[test]
fn both_count_the_same_messages_in_made_up_files() {
    let start = "2026-05-01T06:00:00Z".parse().expect("a time");
    let rides = (0..8).map(|seed| RideSpec::small(seed, start).encode().expect("encodable"));
    let odd = [
        malformed::ride(),
        malformed::ride_short_header(),
        malformed::ride_without_header_crc(),
        malformed::big_endian(),
        malformed::compressed_timestamps(),
        malformed::developer_fields(),
        malformed::no_session(),
        malformed::igpsport_serial([1; 8]),
        malformed::enhanced_speed_zero(),
        malformed::non_utf8_strings(),
        malformed::chained(&malformed::ride(), &malformed::big_endian()),
    ];
    for bytes in rides.chain(odd) {
        let scan = scan(&bytes);
        assert!(scan.verdict.is_valid());
        assert_eq!(Some(scan.summary.messages as usize), second_opinion(&bytes));
    }
}
