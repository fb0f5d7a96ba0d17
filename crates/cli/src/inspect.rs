//! `fitbridge inspect`: what the scanner says about files. Nothing is imported, nothing is sent.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anstyle::AnsiColor;
use fitbridge_core::Code;
use fitbridge_fit::{Scan, Verdict, limits::MAX_FILE_BYTES, scan};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    exit::Exit,
    out::{Out, bold, paint, plain},
    render::units::{clock, km, local_time},
};

/// The line of a file in JSON mode. What is not known is null.
#[derive(Debug, Default, Serialize)]
struct FileLine {
    r#type: &'static str,
    /// As given, so that the reader finds his file again.
    file: String,
    verdict: &'static str,
    code: Option<&'static str>,
    sha256: Option<String>,
    serial: Option<String>,
    segments: Option<u32>,
    messages: Option<u32>,
    sport: Option<String>,
    sub_sport: Option<String>,
    start: Option<String>,
    elapsed_s: Option<f64>,
    distance_m: Option<f64>,
    manufacturer: Option<u16>,
    product: Option<u16>,
}

/// How many files got which verdict.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
struct Counts {
    valid: u32,
    salvageable: u32,
    rejected: u32,
    unreadable: u32,
}

impl Counts {
    fn exit(self) -> Exit {
        match self {
            Self { unreadable: 1.., .. } => Exit::Failed,
            Self { rejected: 1.., .. } => Exit::Unfinished,
            _ => Exit::Done,
        }
    }
}

/// Judges `files` and prints a block, or in JSON mode a line, for each. A file that cannot be read ends in
/// [`Exit::Failed`], a rejected one in [`Exit::Unfinished`]; the others are judged all the same.
pub(crate) fn run(out: Out, files: &[PathBuf]) -> Exit {
    let mut counts = Counts::default();
    for path in files {
        match read(path) {
            Ok(bytes) => one(out, path, &bytes, &mut counts),
            Err(error) => {
                counts.unreadable += 1;
                let line = FileLine {
                    r#type: "file",
                    file: path.to_string_lossy().into_owned(),
                    verdict: "rejected",
                    code: Some(Code::FileUnreadable.as_str()),
                    ..FileLine::default()
                };
                record(out, &line);
                let name = plain(&path.to_string_lossy());
                out.note(format!("{name} cannot be read: {error}; check its name and your rights to it"));
            }
        }
    }
    let mut summary = serde_json::json!(counts);
    summary["type"] = "summary".into();
    out.record(&summary);
    if files.len() > 1 {
        let Counts { valid, salvageable, rejected, unreadable } = counts;
        out.line(format!("{valid} valid, {salvageable} salvageable, {rejected} rejected, {unreadable} unreadable"));
    }
    counts.exit()
}

fn one(out: Out, path: &Path, bytes: &[u8], counts: &mut Counts) {
    let found = scan(bytes);
    *match found.verdict {
        Verdict::Valid => &mut counts.valid,
        Verdict::Salvageable(_) => &mut counts.salvageable,
        Verdict::Rejected(_) => &mut counts.rejected,
    } += 1;
    let line = line(path, bytes, &found);
    record(out, &line);
    for text in block(&line, &found) {
        out.line(text);
    }
}

/// The bytes of a file, one more than the scanner accepts at most: it then says that the file is too large.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder, not a file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn line(path: &Path, bytes: &[u8], found: &Scan) -> FileLine {
    let summary = &found.summary;
    // Of a file that is too large not all was read; a digest of a part would mislead.
    let whole = bytes.len() <= MAX_FILE_BYTES;
    FileLine {
        r#type: "file",
        file: path.to_string_lossy().into_owned(),
        verdict: found.verdict.as_str(),
        code: found.verdict.code().map(|code| code.as_str()),
        sha256: whole.then(|| hex::encode(Sha256::digest(bytes))),
        serial: summary.serial.clone(),
        segments: Some(summary.segments),
        messages: Some(summary.messages),
        sport: summary.sport.map(|sport| sport.name()),
        sub_sport: summary.sub_sport.map(|sport| sport.name()),
        start: summary.start.map(|start| start.to_string()),
        elapsed_s: summary.elapsed_s,
        distance_m: summary.distance_m,
        manufacturer: summary.manufacturer,
        product: summary.product,
    }
}

fn record(out: Out, line: &FileLine) {
    if let Ok(value) = serde_json::to_value(line) {
        out.record(&value);
    }
}

/// The block for people.
fn block(line: &FileLine, found: &Scan) -> Vec<String> {
    let summary = &found.summary;
    let mut lines = vec![format!("{}  {}", bold(plain(&line.file)), verdict(found.verdict))];
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(format!("  {name:<9} {value}"));
        }
    };
    if let Some(code) = found.verdict.code() {
        let place = found.problem_at.map(|at| format!(" (at byte {at})")).unwrap_or_default();
        fact("problem", Some(format!("{}{place}", code.entry().sentence())));
        fact("do", Some(code.entry().next_step().to_owned()));
    }
    fact("start", summary.start.map(|start| local_time(start, summary.local_offset_s)));
    fact("elapsed", summary.elapsed_s.map(clock));
    fact("distance", summary.distance_m.map(km));
    fact(
        "sport",
        line.sport.as_ref().map(|sport| match &line.sub_sport {
            Some(sub) if sub != "generic" => format!("{sport}, {sub}"),
            _ => sport.clone(),
        }),
    );
    fact("device", device(summary.manufacturer, summary.product, summary.serial.as_deref()));
    let kind = if summary.is_activity { "" } else { ", no activity" };
    fact(
        "holds",
        Some(format!("{} in {}{kind}", many(summary.messages, "message"), many(summary.segments, "segment"))),
    );
    fact("sha256", line.sha256.clone());
    lines
}

/// `1 message`, `2 messages`.
fn many(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The verdict in its colour, with its code.
pub(crate) fn verdict(verdict: Verdict) -> String {
    let color = match verdict {
        Verdict::Valid => AnsiColor::Green,
        Verdict::Salvageable(_) => AnsiColor::Yellow,
        Verdict::Rejected(_) => AnsiColor::Red,
    };
    let word = paint(color, verdict.as_str());
    verdict.code().map_or_else(|| word.clone(), |code| format!("{word} {code}"))
}

/// Maker, product and serial number as a person reads them; `None` when the file names none of them.
pub(crate) fn device(manufacturer: Option<u16>, product: Option<u16>, serial: Option<&str>) -> Option<String> {
    let maker = manufacturer.map(|number| match number {
        // Numbers of the FIT profile's `manufacturer` type that riders of bicycles meet most.
        1 => "Garmin".to_owned(),
        32 => "Wahoo".to_owned(),
        115 => "iGPSport".to_owned(),
        289 => "Hammerhead".to_owned(),
        294 => "COROS".to_owned(),
        number => format!("maker {number}"),
    });
    let parts = [maker, product.map(|number| format!("product {number}")), serial.map(|hex| format!("serial {hex}"))];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

#[cfg(test)]
mod tests {
    use fitbridge_fit::synthetic::RideSpec;
    use serde_json::{Value, json};

    use super::*;

    fn ride() -> Vec<u8> {
        let start = "2024-05-06T07:08:09Z".parse().expect("a time");
        RideSpec::small(7, start).encode().expect("a ride")
    }

    fn value(name: &str, bytes: &[u8]) -> Value {
        serde_json::to_value(line(Path::new(name), bytes, &scan(bytes))).expect("serialises")
    }

    #[test]
    fn a_ride_says_every_documented_field() {
        let bytes = ride();
        let line = value("rides/a b.fit", &bytes);
        let facts = RideSpec::small(7, "2024-05-06T07:08:09Z".parse().expect("a time")).facts().expect("facts");
        let mut names: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
        names.sort_unstable();
        let documented = "code distance_m elapsed_s file manufacturer messages product segments serial sha256 sport \
                          start sub_sport type verdict";
        assert_eq!(names.join(" "), documented.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(line["type"], "file");
        assert_eq!(line["file"], "rides/a b.fit");
        assert_eq!(line["verdict"], "valid");
        assert_eq!(line["code"], Value::Null);
        assert_eq!(line["sha256"], hex::encode(Sha256::digest(&bytes)));
        assert_eq!(line["segments"], 1);
        assert_eq!(line["sport"], "cycling");
        assert_eq!(line["start"], "2024-05-06T07:08:09Z");
        assert_eq!(line["manufacturer"], 115);
        assert_eq!(line["product"], 301);
        assert_eq!(line["distance_m"], json!(facts.distance_m));
        let serial = line["serial"].as_str().expect("a serial");
        assert!(!serial.ends_with("00") && serial.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()));
    }

    #[test]
    fn absent_facts_are_null() {
        let line = value("x", b"<html>");
        assert_eq!((&line["verdict"], &line["code"]), (&json!("rejected"), &json!("fit_not_fit")));
        for field in ["serial", "sport", "sub_sport", "start", "elapsed_s", "distance_m", "manufacturer", "product"] {
            assert_eq!(line[field], Value::Null, "{field}");
        }
    }

    #[test]
    fn broken_and_unreadable_files_decide_the_exit_code() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = folder.path().join("good.fit");
        let cut = folder.path().join("cut.fit");
        let junk = folder.path().join("junk.fit");
        let bytes = ride();
        std::fs::write(&good, &bytes).expect("written");
        std::fs::write(&cut, &bytes[..bytes.len() - 40]).expect("written");
        std::fs::write(&junk, b"no").expect("written");
        let out = Out::new(true);
        assert_eq!(run(out, &[good.clone(), cut]), Exit::Done);
        assert_eq!(run(out, &[good.clone(), junk.clone()]), Exit::Unfinished);
        assert_eq!(run(out, &[junk, folder.path().join("none.fit"), good.clone()]), Exit::Failed);
        assert_eq!(run(Out::new(false), &[folder.path().to_path_buf(), good]), Exit::Failed);
    }

    #[test]
    fn a_file_over_the_limit_is_read_no_further_and_has_no_digest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("huge.fit");
        File::create(&path).and_then(|file| file.set_len(64 * 1024 * 1024)).expect("a sparse file");
        let bytes = read(&path).expect("readable");
        assert_eq!(bytes.len(), MAX_FILE_BYTES + 1);
        let line = value("huge.fit", &bytes);
        assert_eq!((&line["code"], &line["sha256"]), (&json!("fit_too_large"), &Value::Null));
    }

    #[test]
    fn the_block_names_problem_and_next_step() {
        let bytes = ride();
        let found = scan(&bytes[..bytes.len() - 40]);
        let text = block(&line(Path::new("a\u{1b}[2Jb.fit"), &bytes, &found), &found).join("\n");
        assert!(text.contains("salvageable") && text.contains("fit_truncated"), "{text}");
        assert!(text.contains("export it again from the head unit"), "{text}");
        assert!(text.contains("iGPSport, product 301, serial "), "{text}");
        assert!(!text.contains("\u{1b}[2J"), "{text}");
    }

    #[test]
    fn the_shared_corpus_agrees_with_its_index() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fit");
        let Ok(index) = std::fs::read_to_string(corpus.join("INDEX.tsv")) else {
            eprintln!("skipped: no ../shared/fit");
            return;
        };
        let mut wrong = Vec::new();
        let mut seen = 0;
        for row in index.lines().skip(1) {
            let row: Vec<&str> = row.split('\t').collect();
            let path = corpus.join("real").join(row[0]);
            let bytes = read(&path).expect("a listed file");
            let line = value(row[0], &bytes);
            seen += 1;
            let number = |text: &str| text.parse::<u64>().map_or(Value::Null, |number| json!(number));
            let is_valid = row[14] == "ok";
            let mut facts = vec![("sha256", json!(row[4]))];
            if is_valid {
                facts.push(("verdict", json!("valid")));
                facts.push(("segments", number(row[5])));
                facts.push(("manufacturer", number(row[7])));
                facts.push(("product", number(row[8])));
            }
            for (field, expected) in facts {
                if line[field] != expected {
                    wrong.push(format!("{}: {field} {} instead of {expected}", row[0], line[field]));
                }
            }
            if !is_valid && line["verdict"] == "valid" {
                wrong.push(format!("{}: valid, but {}", row[0], row[14]));
            }
        }
        assert!(seen > 40, "only {seen} files listed");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
