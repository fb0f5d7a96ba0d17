//! Verdict and facts of every ready-made odd file of the `malformed` module.

use fitbridge_fit::synthetic::malformed::{self, RECORDS};
use fitbridge_fit::{FitCode, Summary, Verdict, scan};

fn valid(bytes: &[u8]) -> Summary {
    let scan = scan(bytes);
    assert_eq!(scan.verdict, Verdict::Valid);
    assert_eq!(scan.problem_at, None);
    scan.summary
}

fn assert_is_the_ride(summary: &Summary) {
    assert!(summary.is_activity);
    assert_eq!(summary.records, RECORDS);
    assert_eq!(summary.sessions, 1);
    assert_eq!(summary.start.map(|t| t.to_string()).as_deref(), Some("2021-09-08T01:46:40Z"));
    assert_eq!(summary.elapsed_s, Some(f64::from(RECORDS - 1)));
    assert_eq!(summary.distance_m, Some(f64::from(RECORDS - 1) * 7.0));
    assert_eq!(summary.avg_speed_mps, Some(7.0));
    assert_eq!(summary.manufacturer, Some(115));
    let span = summary.last_record.zip(summary.first_record).map(|(last, first)| last.as_second() - first.as_second());
    assert_eq!(span, Some(i64::from(RECORDS - 1)));
}

#[test]
fn odd_but_valid_rides_say_the_same() {
    let plain = valid(&malformed::ride());
    assert_is_the_ride(&plain);
    assert_eq!(plain.serial.as_deref(), Some("78563412"));
    assert_eq!(plain.local_offset_s, Some(28_800));
    for bytes in [
        malformed::ride_short_header(),
        malformed::ride_without_header_crc(),
        malformed::developer_fields(),
        malformed::zero_size_fields(),
        malformed::non_utf8_strings(),
    ] {
        let summary = valid(&bytes);
        assert_is_the_ride(&summary);
        assert_eq!(summary.serial, plain.serial);
    }
    assert_is_the_ride(&valid(&malformed::big_endian()));
    let compressed = valid(&malformed::compressed_timestamps());
    assert_is_the_ride(&compressed);
    assert_eq!(compressed.compressed_messages, RECORDS - 1);
}

#[test]
fn a_serial_of_32_bytes_is_read() {
    let summary = valid(&malformed::igpsport_serial([0xE4, 0x7E, 0x14, 0x17, 0x8C, 0x66, 0x1C, 0x69]));
    assert_is_the_ride(&summary);
    assert_eq!(summary.serial.as_deref(), Some("e47e14178c661c69"));
    let none = valid(&malformed::igpsport_serial([0; 8]));
    assert_eq!(none.serial, None);
}

#[test]
fn constant_zero_enhanced_speeds_are_passed_over() {
    let summary = valid(&malformed::enhanced_speed_zero());
    assert_eq!(summary.avg_speed_mps, Some(7.0));
    assert_eq!(summary.max_speed_mps, Some(9.0));
}

#[test]
fn without_a_session_records_give_the_totals() {
    let summary = valid(&malformed::no_session());
    assert_eq!(summary.sessions, 0);
    assert_eq!(summary.start, summary.first_record);
    assert_eq!(summary.elapsed_s, Some(f64::from(RECORDS - 1)));
    assert_eq!(summary.timer_s, None);
    assert_eq!(summary.distance_m, Some(f64::from(RECORDS - 1) * 7.0));
    assert_eq!(summary.avg_heart_rate, Some(130.0));
    assert_eq!(summary.max_heart_rate, Some(130));
    assert_eq!(summary.max_speed_mps, Some(7.0));
}

#[test]
fn two_chained_rides_are_two_segments() {
    let (first, second) = (malformed::ride(), malformed::big_endian());
    let chained = malformed::chained(&first, &second);
    let scan = scan(&chained);
    assert_eq!(scan.verdict, Verdict::Valid);
    assert_eq!(scan.segments.len(), 2);
    assert_eq!(chained.get(scan.segments[0].range.clone()), Some(first.as_slice()));
    assert_eq!(chained.get(scan.segments[1].range.clone()), Some(second.as_slice()));
    assert_eq!(scan.summary.records, 2 * RECORDS);
    assert_eq!(scan.summary.sessions, 2);
    assert_eq!(scan.summary.distance_m, Some(f64::from(RECORDS - 1) * 14.0));
}

#[test]
fn files_that_are_no_activity_are_valid_and_say_so() {
    for file_type in [2, 5, 6] {
        let scan = scan(&malformed::not_an_activity(file_type));
        assert_eq!(scan.verdict, Verdict::Valid);
        assert!(!scan.summary.is_activity);
        assert_eq!(scan.segments[0].file_type, Some(file_type));
    }
    let silent = valid(&malformed::only_definitions());
    assert_eq!((silent.messages, silent.definitions), (0, 2));
    assert_eq!((silent.start, silent.elapsed_s, silent.sport), (None, None, None));
    // A settings file before an activity: the activity's device counts.
    let mixed = malformed::chained(&malformed::not_an_activity(2), &malformed::ride());
    assert!(valid(&mixed).is_activity);
}

#[test]
fn broken_files_have_their_code() {
    use Verdict::{Rejected, Salvageable};
    let ride = malformed::ride();
    let table = [
        ("empty", malformed::empty(), Rejected(FitCode::Empty)),
        ("header 255", malformed::header_size_255(), Rejected(FitCode::BadHeader)),
        ("html", b"<!doctype html><html></html>".to_vec(), Rejected(FitCode::NotFit)),
        ("truncated", malformed::truncated(&ride), Salvageable(FitCode::Truncated)),
        ("cut early", ride[..200].to_vec(), Rejected(FitCode::Truncated)),
        ("boundary, 60", malformed::truncated_at_boundary(60), Salvageable(FitCode::Truncated)),
        ("boundary, 59", malformed::truncated_at_boundary(59), Rejected(FitCode::Truncated)),
        ("no crc", malformed::missing_crc(&ride), Salvageable(FitCode::MissingCrc)),
        ("half a crc", ride[..ride.len() - 1].to_vec(), Salvageable(FitCode::MissingCrc)),
        ("bad crc", malformed::bad_crc(&ride), Salvageable(FitCode::BadCrc)),
        ("zeros after", malformed::trailing_zeros(&ride), Salvageable(FitCode::TrailingBytes)),
        ("html after", malformed::trailing_html(&ride), Salvageable(FitCode::TrailingBytes)),
        ("size 0", malformed::data_size_zero(), Salvageable(FitCode::DataSizeZero)),
        ("zero-size", malformed::zero_size_messages(5), Rejected(FitCode::ZeroSizeMessage)),
        ("messages", malformed::too_many_messages(), Rejected(FitCode::TooManyMessages)),
        ("settings, cut", malformed::bad_crc(&malformed::not_an_activity(2)), Rejected(FitCode::BadCrc)),
        ("32 MiB", vec![0; 32 * 1024 * 1024 + 1], Rejected(FitCode::TooLarge)),
        ("17 rides", ride.repeat(17), Rejected(FitCode::TooManySegments)),
    ];
    for (name, bytes, expected) in table {
        assert_eq!(scan(&bytes).verdict, expected, "{name}");
    }
    assert_eq!(scan(&ride.repeat(16)).verdict, Verdict::Valid);
}

#[test]
fn definitions_of_one_segment_do_not_reach_into_the_next() {
    use fitbridge_fit::synthetic::{Order, Payload, RawFit};
    let mut orphan = RawFit::new();
    orphan.message(1, &Payload::new(Order::Little).raw(&[0; 19]));
    let bytes = malformed::chained(&malformed::ride(), &orphan.finish());
    assert_eq!(scan(&bytes).verdict, Verdict::Salvageable(FitCode::UndefinedMessage));
}

#[test]
fn absurd_definitions_are_refused() {
    use fitbridge_fit::synthetic::{Order, RawFit};
    let mut wide = RawFit::new();
    wide.define(0, Order::Little, 20, &[(9, 255, 13); 100]);
    assert_eq!(scan(&wide.finish()).verdict, Verdict::Rejected(FitCode::MessageTooLarge));
    let mut order = RawFit::new();
    order.bytes(&[0x40, 0, 7, 20, 0, 0]);
    assert_eq!(scan(&order.finish()).verdict, Verdict::Rejected(FitCode::BadDefinition));
    let mut flood = RawFit::new();
    flood.bytes(&[0x40, 0, 0, 20, 0, 0].repeat(200_001));
    assert_eq!(scan(&flood.finish()).verdict, Verdict::Rejected(FitCode::TooManyDefinitions));
}

#[test]
fn absurd_times_are_flagged_and_not_believed() {
    use fitbridge_fit::synthetic::{Order, Payload, RawFit};
    let session = |start: u32, elapsed_ms: u32| {
        let mut fit = RawFit::new();
        fit.define(0, Order::Little, 18, &[(2, 4, 0x86), (7, 4, 0x86)]);
        fit.message(0, &Payload::new(Order::Little).u32(start).u32(elapsed_ms));
        valid(&fit.finish())
    };
    let good = session(malformed::START, 3_600_000);
    assert!(!good.elapsed_suspect && !good.clock_suspect);
    assert!(session(malformed::START, 11 * 86_400_000).elapsed_suspect);
    // 1999: a date, but not one of a ride.
    let early = session(0x1200_0000, 1000);
    assert!(early.clock_suspect && early.start.is_some());
    // Seconds since power-on, the invalid value, and the last value there is.
    assert_eq!(session(12_345, 1000).start, None);
    assert_eq!(session(u32::MAX, u32::MAX).start, None);
    assert_eq!(session(u32::MAX, u32::MAX).elapsed_s, None);
    assert_eq!(session(u32::MAX - 1, 0).start.map(|t| t.to_string()).as_deref(), Some("2126-02-06T06:28:14Z"));
}
