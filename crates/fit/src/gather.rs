//! Takes the facts of a ride out of the messages that hold them: `file_id`, `session`, `activity`, `sport`.

use crate::limits::{MAX_SERIAL_BYTES, MAX_SESSIONS};
use crate::profile::{FIELD_TIMESTAMP, mesg};
use crate::tally::{Session, Tally};
use crate::wire::{Definition, TimeBase, Values, Visit, placed};

/// Offset that stands for "no such field".
const ABSENT: usize = usize::MAX;
/// 90 degrees in semicircles.
const POLE: i32 = 1 << 30;

/// What a local message number means right now.
#[derive(Debug, Clone, Copy)]
struct Slot<'a> {
    num: u16,
    big_endian: bool,
    time_at: usize,
    lat_at: usize,
    lon_at: usize,
    fields: &'a [[u8; 3]],
}

const NOTHING: Slot<'static> =
    Slot { num: u16::MAX, big_endian: false, time_at: ABSENT, lat_at: ABSENT, lon_at: ABSENT, fields: &[] };

/// The `file_id` of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FileId<'a> {
    pub(crate) file_type: Option<u8>,
    pub(crate) manufacturer: Option<u16>,
    pub(crate) product: Option<u16>,
    /// Raw bytes, trailing zeros removed; empty when absent.
    pub(crate) serial: &'a [u8],
    pub(crate) time_created: Option<u32>,
}

/// Facts of one segment.
#[derive(Debug)]
pub(crate) struct Gather<'a> {
    slots: [Slot<'a>; 16],
    time: TimeBase,
    activities: u32,
    pub(crate) file_id: Option<FileId<'a>>,
    pub(crate) tally: Tally,
    pub(crate) sport: Option<(Option<u8>, Option<u8>)>,
    pub(crate) local_offset_s: Option<i32>,
    pub(crate) activity_timer_s: Option<f64>,
    pub(crate) first_record: Option<u32>,
    pub(crate) last_record: Option<u32>,
    pub(crate) records: u32,
    pub(crate) laps: u32,
    pub(crate) compressed: u32,
    pub(crate) has_gps: bool,
}

impl Gather<'_> {
    pub(crate) fn new() -> Self {
        Self {
            slots: [NOTHING; 16],
            time: TimeBase::default(),
            activities: 0,
            file_id: None,
            tally: Tally::default(),
            sport: None,
            local_offset_s: None,
            activity_timer_s: None,
            first_record: None,
            last_record: None,
            records: 0,
            laps: 0,
            compressed: 0,
            has_gps: false,
        }
    }
}

impl<'a> Visit<'a> for Gather<'a> {
    fn define(&mut self, local: usize, definition: Definition<'a>) {
        let mut slot =
            Slot { num: definition.num, big_endian: definition.big_endian, fields: definition.fields, ..NOTHING };
        for (num, size, at) in placed(definition.fields) {
            match (num, size) {
                (FIELD_TIMESTAMP, 4) => slot.time_at = at,
                (0, 4) if slot.num == mesg::RECORD => slot.lat_at = at,
                (1, 4) if slot.num == mesg::RECORD => slot.lon_at = at,
                _ => {}
            }
        }
        self.slots[local] = slot;
    }

    #[inline]
    fn data(&mut self, local: usize, offset: Option<u8>, payload: &'a [u8]) {
        let slot = self.slots[local];
        let values = Values { payload, big_endian: slot.big_endian };
        let own = values.u32(slot.time_at);
        let time = self.time.resolve(own, offset);
        self.compressed += u32::from(offset.is_some());
        match slot.num {
            mesg::RECORD => {
                self.records += 1;
                if time.is_some() {
                    self.last_record = time;
                    if self.first_record.is_none() {
                        self.first_record = time;
                    }
                }
                if !self.has_gps && slot.lat_at != ABSENT && slot.lon_at != ABSENT {
                    self.has_gps = is_position(values.i32(slot.lat_at), values.i32(slot.lon_at));
                }
            }
            mesg::LAP => self.laps += 1,
            mesg::SESSION => {
                if self.tally.sessions < MAX_SESSIONS {
                    self.tally.add(&session(slot.fields, values));
                } else {
                    self.tally.sessions = self.tally.sessions.saturating_add(1);
                }
            }
            mesg::FILE_ID if self.file_id.is_none() => {
                self.file_id = Some(file_id(slot.fields, values));
            }
            // Bounded like the sessions: reading one costs up to 255 steps for a message of a single byte.
            mesg::ACTIVITY if self.activities < MAX_SESSIONS => {
                self.activities += 1;
                self.activity(slot.fields, values, time);
            }
            mesg::SPORT if self.sport.is_none() => {
                self.sport = Some(sport(slot.fields, values));
            }
            _ => {}
        }
    }
}

impl Gather<'_> {
    fn activity(&mut self, fields: &[[u8; 3]], values: Values<'_>, time: Option<u32>) {
        for (num, size, at) in placed(fields) {
            match (num, size) {
                (0, 4) => self.activity_timer_s = values.u32(at).map(|ms| f64::from(ms) / 1000.0),
                (5, 4) => {
                    if let (Some(local), Some(utc)) = (values.u32(at), time) {
                        self.local_offset_s =
                            believable_offset(i64::from(local) - i64::from(utc)).or(self.local_offset_s);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether both coordinates are there, on the globe, and not the (0, 0) of a receiver without a fix.
fn is_position(lat: Option<i32>, lon: Option<i32>) -> bool {
    matches!((lat, lon), (Some(lat), Some(lon)) if (lat, lon) != (0, 0) && (-POLE..=POLE).contains(&lat))
}

/// Real files hold offsets of −35 years; time zones are quarters of an hour within 14 h.
fn believable_offset(seconds: i64) -> Option<i32> {
    (seconds % 900 == 0 && seconds.abs() <= 14 * 3600).then(|| i32::try_from(seconds).ok()).flatten()
}

fn file_id<'a>(fields: &[[u8; 3]], values: Values<'a>) -> FileId<'a> {
    let mut found = FileId::default();
    for (num, size, at) in placed(fields) {
        match (num, size) {
            (0, 1) => found.file_type = values.u8(at),
            (1, 2) => found.manufacturer = values.u16(at),
            (2, 2) => found.product = values.u16(at),
            // Any size: one real head unit writes 32 bytes where the profile has 4.
            (3, _) => {
                let kept = usize::from(size).min(MAX_SERIAL_BYTES);
                let raw = values.payload.get(at..at + kept).unwrap_or_default();
                let end = raw.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
                found.serial = raw.get(..end).unwrap_or_default();
            }
            (4, 4) => found.time_created = values.u32(at),
            _ => {}
        }
    }
    found
}

fn sport(fields: &[[u8; 3]], values: Values<'_>) -> (Option<u8>, Option<u8>) {
    let mut found = (None, None);
    for (num, size, at) in placed(fields) {
        match (num, size) {
            (0, 1) => found.0 = values.u8(at),
            (1, 1) => found.1 = values.u8(at),
            _ => {}
        }
    }
    found
}

fn session(fields: &[[u8; 3]], values: Values<'_>) -> Session {
    let mut found = Session::default();
    let milli = |value: Option<u32>| value.map(|v| f64::from(v) / 1000.0);
    let milli_short = |value: Option<u16>| value.map(|v| f64::from(v) / 1000.0);
    for (num, size, at) in placed(fields) {
        match (num, size) {
            (2, 4) => found.start = values.u32(at),
            (5, 1) => found.sport = values.u8(at),
            (6, 1) => found.sub_sport = values.u8(at),
            (7, 4) => found.elapsed_s = milli(values.u32(at)),
            (8, 4) => found.timer_s = milli(values.u32(at)),
            (9, 4) => found.distance_m = values.u32(at).map(|v| f64::from(v) / 100.0),
            (11, 2) => found.calories = values.u16(at),
            (14, 2) => found.avg_speed = milli_short(values.u16(at)),
            (15, 2) => found.max_speed = milli_short(values.u16(at)),
            (16, 1) => found.avg_heart_rate = values.u8(at),
            (17, 1) => found.max_heart_rate = values.u8(at),
            (18, 1) => found.avg_cadence = values.u8(at),
            (20, 2) => found.avg_power = values.u16(at),
            (21, 2) => found.max_power = values.u16(at),
            (22, 2) => found.ascent_m = values.u16(at),
            (23, 2) => found.descent_m = values.u16(at),
            (124, 4) => found.enhanced_avg_speed = milli(values.u32(at)),
            (125, 4) => found.enhanced_max_speed = milli(values.u32(at)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_time_zones_are_believed() {
        assert_eq!(believable_offset(28_800), Some(28_800));
        assert_eq!(believable_offset(-12_600), Some(-12_600));
        assert_eq!(believable_offset(0), Some(0));
        assert_eq!(believable_offset(225), None);
        assert_eq!(believable_offset(15 * 3600), None);
        assert_eq!(believable_offset(-1_108_856_499), None);
    }

    #[test]
    fn a_position_is_on_the_globe() {
        assert!(is_position(Some(1), Some(0)));
        assert!(!is_position(Some(0), Some(0)));
        assert!(!is_position(Some(POLE + 1), Some(5)));
        assert!(!is_position(None, Some(5)));
    }
}
