//! Ride files of this world, and who judges them.

use bytes::Bytes;
use fitbridge_core::{
    Code,
    domain::{ContentId, RecordedFacts},
    ports::{ScanReport, Scanner, Verdict},
};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::Offset};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A ride.
    Ride,
    /// A valid file that is no ride.
    Settings,
    /// Nothing that could be read.
    Junk,
}

/// Who recorded a ride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorder {
    /// The rider's own computer.
    Own,
    /// The rider's watch, on the same ride.
    Second,
    /// Somebody of the household, at the same time and on another way.
    Another,
}

impl Recorder {
    fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Second => "second",
            Self::Another => "another",
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let word = text.split(' ').skip_while(|word| *word != "by").nth(1)?.to_owned();
        [Self::Own, Self::Second, Self::Another].into_iter().find(|recorder| recorder.word() == word)
    }

    /// How long after the rider's own computer it was begun, s.
    fn later_s(self) -> i64 {
        match self {
            Self::Own => 0,
            Self::Second => 90,
            Self::Another => 60,
        }
    }

    /// Whether these two recorded one ride.
    pub(crate) fn rode_with(self, other: Self) -> bool {
        self == other || (self != Self::Another && other != Self::Another)
    }
}

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct SimFile {
    pub(crate) kind: Kind,
    pub(crate) recorder: Recorder,
    pub(crate) number: i64,
    pub(crate) bytes: Bytes,
}

/// Where time begins for rides: two of them that are not one are six hours apart.
const FIRST_START_S: i64 = 1_735_711_200;
const APART_S: i64 = 6 * 3600;
/// All files have this many bytes when they are whole.
const WHOLE: usize = 96;

impl SimFile {
    /// The file of a rider's ride number so-and-so.
    pub(crate) fn new(rider: &str, number: i64, kind: Kind) -> Self {
        Self::by(Recorder::Own, rider, number, kind)
    }

    /// The same by another recorder.
    pub(crate) fn by(recorder: Recorder, rider: &str, number: i64, kind: Kind) -> Self {
        let word = match kind {
            Kind::Ride => "ride",
            Kind::Settings => "settings",
            Kind::Junk => "junk",
        };
        let mut text = format!("SIMFIT {word} {number} of {rider} by {} ", recorder.word());
        while text.len() < WHOLE {
            text.push('.');
        }
        Self { kind, recorder, number, bytes: Bytes::from(text) }
    }

    /// As it is while its upload is not finished.
    pub(crate) fn cut(&self) -> Bytes {
        self.bytes.slice(..WHOLE / 2 + 10)
    }

    pub(crate) fn content(&self) -> ContentId {
        ContentId::of(&self.bytes)
    }
}

/// When a ride of that number started.
pub(crate) fn start_of(number: i64) -> Timestamp {
    Timestamp::from_second(FIRST_START_S + number * APART_S).unwrap_or(Timestamp::MAX)
}

/// The number of a ride that started then, s since 1970.
pub(crate) fn number_at(start_s: i64) -> i64 {
    (start_s - FIRST_START_S).div_euclid(APART_S)
}

/// How far it went, m: no two rides of the same day are alike.
pub(crate) fn way_m(number: i64) -> f64 {
    f64::from(u16::try_from(20_000 + 1000 * number.rem_euclid(8)).unwrap_or(u16::MAX))
}

/// Its date where it was ridden.
pub(crate) fn date_of(number: i64) -> Date {
    Offset::constant(2).to_datetime(start_of(number)).date()
}

/// Reads the files of this world.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SimScanner;

impl Scanner for SimScanner {
    fn scan(&self, bytes: &[u8]) -> ScanReport {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.split(' ');
        let later = SignedDuration::from_secs(Recorder::of(bytes).map_or(0, Recorder::later_s));
        let facts = |number: i64| RecordedFacts {
            start: Some(start_of(number) + later),
            utc_offset_s: Some(7200),
            elapsed_s: Some(3600.0),
            distance_m: Some(way_m(number)),
            sport: Some("cycling".into()),
            manufacturer: Some(115),
            ..RecordedFacts::default()
        };
        let nothing =
            |code| ScanReport { verdict: Verdict::Rejected(code), is_activity: false, facts: RecordedFacts::default() };
        let (Some("SIMFIT"), Some(word), Some(Ok(number))) =
            (words.next(), words.next(), words.next().map(str::parse::<i64>))
        else {
            return nothing(Code::FitNotFit);
        };
        let verdict = if bytes.len() < WHOLE { Verdict::Salvageable(Code::FitTruncated) } else { Verdict::Valid };
        match word {
            "ride" => ScanReport { verdict, is_activity: true, facts: facts(number) },
            "settings" => ScanReport { verdict, is_activity: false, facts: facts(number) },
            _ => nothing(Code::FitBadHeader),
        }
    }

    fn apart_m(&self, a: &[u8], b: &[u8]) -> Option<f64> {
        let together = Recorder::of(a)?.rode_with(Recorder::of(b)?);
        Some(if together { 20.0 } else { 5000.0 })
    }
}
