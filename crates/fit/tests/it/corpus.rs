//! Verdicts and facts over the shared corpus, which is not part of the repository.

use fitbridge_fit::{Scan, Sport, SubSport, Verdict, scan};
use std::path::{Path, PathBuf};

/// The shared corpus, or `None` (with a note) where it is not at hand.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fit");
    if folder.join("INDEX.tsv").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: no ../shared/fit");
    None
}

/// Name and bytes of every real file.
pub(crate) fn real_files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    rows(&folder.join("INDEX.tsv"))
        .into_iter()
        .map(|row| {
            let bytes = std::fs::read(folder.join("real").join(&row[0])).expect("a listed file");
            (row[0].clone(), bytes)
        })
        .collect()
}

/// The lines of a table without its heading.
fn rows(table: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(table).expect("the table is readable");
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn verdicts_and_counts_equal_the_index() {
    let Some(folder) = folder() else { return };
    let mut wrong = Vec::new();
    for row in rows(&folder.join("INDEX.tsv")) {
        let bytes = std::fs::read(folder.join("real").join(&row[0])).expect("a listed file");
        let Scan { verdict, summary, .. } = scan(&bytes);
        if verdict.is_valid() != (row[14] == "ok") {
            wrong.push(format!("{}: {verdict:?}, index says {}", row[0], row[14]));
        }
        // Of a broken file the index counts the incomplete last record too.
        if !verdict.is_valid() {
            continue;
        }
        let shown = |number: Option<u16>| number.map_or(String::new(), |n| n.to_string());
        let facts = [
            ("segments", summary.segments.to_string(), 5),
            ("manufacturer", shown(summary.manufacturer), 7),
            ("product", shown(summary.product), 8),
            ("records", summary.records.to_string(), 9),
            ("sessions", summary.sessions.to_string(), 10),
            ("compressed", summary.compressed_messages.to_string(), 11),
        ];
        for (name, found, column) in facts {
            if found != row[column] {
                wrong.push(format!("{}: {name} {found}, index {}", row[0], row[column]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_verdicts_hold() {
    let Some(folder) = folder() else { return };
    let hostile = folder.join("hostile");
    let table = rows(&hostile.join("expected.tsv"));
    assert!(table.len() > 10);
    for row in table {
        let bytes = std::fs::read(hostile.join(&row[0])).expect("a listed file");
        let verdict = scan(&bytes).verdict;
        let holds = match row[1].as_str() {
            "valid" => verdict == Verdict::Valid,
            "rejected" => matches!(verdict, Verdict::Rejected(_)),
            "not valid" => verdict != Verdict::Valid,
            "either" => true,
            other => panic!("unknown expectation {other}"),
        };
        assert!(holds, "{}: {verdict:?}, expected {}", row[0], row[1]);
    }
}

#[test]
fn facts_of_the_one_real_igpsport_file() {
    let Some(folder) = folder() else { return };
    let bytes = std::fs::read(folder.join("real/igs320-2021-06-27-09-20-13.fit")).expect("listed");
    let Scan { verdict, summary, segments, .. } = scan(&bytes);
    assert_eq!(verdict, Verdict::Valid);
    assert!(summary.is_activity && summary.has_gps);
    assert_eq!((summary.manufacturer, summary.product), (Some(115), Some(320)));
    assert_eq!(summary.serial.as_deref(), Some("e47e14178c661c69"));
    assert_eq!(summary.sport, Some(Sport(2)));
    assert_eq!(summary.sub_sport, Some(SubSport(7)));
    assert_eq!(summary.sessions, 1);
    assert_eq!(summary.definitions, 9);
    assert_eq!(summary.local_offset_s, Some(28_800));
    let start = summary.start.expect("a start");
    assert_eq!(start.to_string(), "2021-06-27T01:20:13Z");
    let created = summary.time_created.expect("a creation time");
    assert_eq!(start.as_second() - created.as_second(), 1);
    let first = summary.first_record.expect("a record");
    assert_eq!(first.as_second() - start.as_second(), 153);
    assert_eq!(summary.elapsed_s.map(f64::round), Some(10_215.0));
    assert_eq!(summary.timer_s.map(f64::round), Some(9_142.0));
    assert_eq!(summary.distance_m.map(|m| (m / 10.0).round()), Some(5_969.0));
    assert_eq!(summary.ascent_m, Some(396.0));
    assert_eq!((summary.avg_heart_rate, summary.avg_power), (None, None));
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].range, 0..bytes.len());
    assert_eq!(segments[0].data, 14..bytes.len() - 2);
    assert_eq!(segments[0].start, Some(start));
}
