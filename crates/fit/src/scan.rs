//! The scanner: one bounded pass that judges a file and gathers its facts.

use crate::code::{FitCode, Verdict};
use crate::gather::{FileId, Gather};
use crate::limits::{MAX_ELAPSED_S, MAX_FILE_BYTES, MAX_SEGMENTS, SALVAGE_RECORDS};
use crate::profile::{FILE_TYPE_ACTIVITY, Sport, SubSport, instant};
use crate::summary::Summary;
use crate::tally::Tally;
use crate::totals::RecordTotals;
use crate::wire::{Counts, Header, RunningCrc, Stop, header, walk};
use jiff::Timestamp;
use std::ops::Range;

/// Bytes of the CRC after a segment's data.
const CRC_BYTES: usize = 2;
/// 2010-01-01T00:00:00Z: before it there was hardly a recorder, but there are many unset clocks.
const CLOCK_FLOOR_S: i64 = 1_262_304_000;

/// What the scanner found out about a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Whether the file is whole.
    pub verdict: Verdict,
    /// Where the first problem lies, as a byte offset; `None` when valid.
    pub problem_at: Option<usize>,
    /// Facts of all segments together.
    pub summary: Summary,
    /// The chained FIT files, in file order; at most [`crate::limits::MAX_SEGMENTS`].
    pub segments: Vec<Segment>,
}

/// One of the FIT files chained in a file; most files have exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Header, data and CRC as a file of its own.
    pub range: Range<usize>,
    /// The data alone: equal for a chained and for a stand-alone copy.
    pub data: Range<usize>,
    /// `file_id.type`; 4 is an activity.
    pub file_type: Option<u8>,
    /// Start of its first session, else its first record's time.
    pub start: Option<Timestamp>,
    /// Its session messages.
    pub sessions: u32,
    /// Its record messages.
    pub records: u32,
}

/// Judges `bytes` and gathers the facts. Never fails and never panics: what is wrong is the verdict.
///
/// The time is proportional to the length and bounded by [`crate::limits`]; memory does not grow with the
/// file. A file without any session is walked a second time, without its CRC, for totals from its records.
pub fn scan(bytes: &[u8]) -> Scan {
    let mut scanner = Scanner::new(bytes);
    scanner.run();
    scanner.finish()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    problem: Option<Stop>,
    counts: Counts,
    segments: Vec<Segment>,
    summary: Summary,
    tally: Tally,
    file_id: Option<FileId<'a>>,
    sport: Option<(Option<u8>, Option<u8>)>,
    activity_timer_s: Option<f64>,
    first_record: Option<u32>,
    last_record: Option<u32>,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            problem: None,
            counts: Counts::default(),
            segments: Vec::new(),
            summary: Summary::default(),
            tally: Tally::default(),
            file_id: None,
            sport: None,
            activity_timer_s: None,
            first_record: None,
            last_record: None,
        }
    }

    /// Keeps the first problem; a limit passed later outweighs a problem that leaves something to save.
    fn problem(&mut self, code: FitCode, at: usize) {
        match self.problem {
            Some(known) if known.code.is_final() || !code.is_final() => {}
            _ => self.problem = Some(Stop { at, code }),
        }
    }

    fn run(&mut self) {
        if self.bytes.len() > MAX_FILE_BYTES {
            self.problem(FitCode::TooLarge, MAX_FILE_BYTES);
            return;
        }
        let mut pos = 0;
        loop {
            match header(self.bytes.get(pos..).unwrap_or_default()) {
                Ok(_) if self.segments.len() == MAX_SEGMENTS => {
                    self.problem(FitCode::TooManySegments, pos);
                    return;
                }
                Ok(header) => match self.segment(pos, header) {
                    Some(next) => pos = next,
                    None => return,
                },
                Err(code) if pos == 0 => {
                    self.problem(code, 0);
                    return;
                }
                Err(_) => {
                    self.problem(FitCode::TrailingBytes, pos);
                    return;
                }
            }
            if pos == self.bytes.len() {
                return;
            }
        }
    }

    /// Scans one segment; gives where the next one starts, or `None` when there is no telling.
    fn segment(&mut self, pos: usize, header: Header) -> Option<usize> {
        let bytes = self.bytes;
        let start = pos + header.len;
        let announced = start + header.data_size;
        if !header.crc_ok {
            self.problem(FitCode::BadHeaderCrc, pos);
        }
        let end = if header.data_size == 0 {
            self.problem(FitCode::DataSizeZero, pos);
            // An unclosed recording: what follows may well be data, so look what can be saved.
            bytes.len().saturating_sub(CRC_BYTES).max(start)
        } else if announced > bytes.len() {
            self.problem(FitCode::Truncated, bytes.len());
            bytes.len()
        } else {
            announced
        };

        let mut crc = RunningCrc::new(pos);
        let mut found = Gather::new();
        let walked = walk(bytes, start, end, &mut self.counts, Some(&mut crc), &mut found);
        if let Err(stop) = walked {
            self.problem(stop.code, stop.at);
        }
        let whole = walked.is_ok() && header.data_size > 0 && end == announced;
        let next = if whole { self.check_crc(crc, end) } else { None };
        self.take(&found, pos..next.unwrap_or(end).min(bytes.len()), start..end);
        next
    }

    /// Compares the CRC behind the data that ends at `end`; gives the position after it, if it is there.
    fn check_crc(&mut self, crc: RunningCrc, end: usize) -> Option<usize> {
        let Some(stored) = self.bytes.get(end..).and_then(|rest| rest.first_chunk::<CRC_BYTES>()) else {
            self.problem(FitCode::MissingCrc, end);
            return None;
        };
        if crc.up_to(self.bytes, end) != u16::from_le_bytes(*stored) {
            self.problem(FitCode::BadCrc, end);
        }
        Some(end + CRC_BYTES)
    }

    /// Adds the facts of a segment to those of the file.
    fn take(&mut self, found: &Gather<'a>, range: Range<usize>, data: Range<usize>) {
        let file_type = found.file_id.and_then(|id| id.file_type);
        let is_activity = file_type == Some(FILE_TYPE_ACTIVITY);
        // An activity's file_id outweighs that of a settings or course file chained before it.
        if self.file_id.is_none() || (is_activity && !self.summary.is_activity) {
            self.file_id = found.file_id.or(self.file_id);
        }
        let mut own = Summary::default();
        found.tally.fill(&mut own);
        self.segments.push(Segment {
            range,
            data,
            file_type,
            start: own.start.or(found.first_record.and_then(instant)),
            sessions: found.tally.sessions,
            records: found.records,
        });
        self.tally.join(&found.tally);
        self.sport = self.sport.or(found.sport);
        self.activity_timer_s = self.activity_timer_s.or(found.activity_timer_s);
        self.first_record = self.first_record.or(found.first_record);
        self.last_record = found.last_record.or(self.last_record);
        let summary = &mut self.summary;
        summary.is_activity |= is_activity;
        summary.records += found.records;
        summary.laps += found.laps;
        summary.compressed_messages += found.compressed;
        summary.has_gps |= found.has_gps;
        summary.local_offset_s = summary.local_offset_s.or(found.local_offset_s);
    }

    fn finish(mut self) -> Scan {
        let totals =
            (self.tally.sessions == 0 && self.summary.records > 0).then(|| record_totals(self.bytes, &self.segments));
        let summary = &mut self.summary;
        self.tally.fill(summary);
        summary.first_record = self.first_record.and_then(instant);
        summary.last_record = self.last_record.and_then(instant);
        if let Some(totals) = totals {
            totals.fill(summary);
            summary.timer_s = self.activity_timer_s;
        }
        if let Some(id) = self.file_id {
            summary.manufacturer = id.manufacturer;
            summary.product = id.product;
            summary.serial = (!id.serial.is_empty()).then(|| hex::encode(id.serial));
            summary.time_created = id.time_created.and_then(instant);
        }
        if let (None, Some((sport, sub_sport))) = (summary.sport, self.sport) {
            summary.sport = sport.map(Sport);
            summary.sub_sport = sub_sport.map(SubSport);
        }
        summary.start = summary.start.or(summary.first_record);
        summary.elapsed_s = summary.elapsed_s.or_else(|| {
            let (first, last) = (summary.first_record?, summary.last_record?);
            Some((last.as_second() - first.as_second()).max(0) as f64)
        });
        summary.messages = self.counts.messages;
        summary.definitions = self.counts.definitions;
        summary.segments = self.segments.len() as u32;
        summary.elapsed_suspect = summary.elapsed_s.is_some_and(|s| s > MAX_ELAPSED_S);
        summary.clock_suspect = match summary.start {
            Some(start) => start.as_second() < CLOCK_FLOOR_S,
            // There are times, but they count from power-on.
            None => self.first_record.is_some(),
        };

        let worth_saving = summary.sessions > 0 || summary.records >= SALVAGE_RECORDS;
        let verdict = match self.problem {
            None => Verdict::Valid,
            Some(stop) if worth_saving && !stop.code.is_final() => Verdict::Salvageable(stop.code),
            Some(stop) => Verdict::Rejected(stop.code),
        };
        Scan { verdict, problem_at: self.problem.map(|stop| stop.at), summary: self.summary, segments: self.segments }
    }
}

fn record_totals<'a>(bytes: &'a [u8], segments: &[Segment]) -> RecordTotals<'a> {
    let mut totals = RecordTotals::new();
    let mut counts = Counts::default();
    for segment in segments {
        totals.next_segment();
        let Range { start, end } = segment.data;
        if walk(bytes, start, end, &mut counts, None, &mut totals).is_err() {
            break;
        }
    }
    totals
}
