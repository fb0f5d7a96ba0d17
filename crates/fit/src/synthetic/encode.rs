//! Writes a made-up ride with the encoder library.

use super::SyntheticError;
use super::model::{Model, Sample};
use super::ride::RideSpec;
use crate::profile::{FIELD_TIMESTAMP, FILE_TYPE_ACTIVITY, fit_seconds, mesg};
use embedded_io::{ErrorType, Seek, SeekFrom, Write};
use jiff::{SignedDuration, Timestamp};
use rustyfit::Encoder;
use rustyfit::profile::typedef::{FitBaseType, MesgNum};
use rustyfit::proto::{Field, Message, Value};
use std::convert::Infallible;

const DEVICE_INFO: u16 = 23;
const EVENT: u16 = 21;
const FILE_CREATOR: u16 = 49;

const EVENT_TIMER: u8 = 0;
const EVENT_SESSION: u8 = 8;
const EVENT_LAP: u8 = 9;
const EVENT_ACTIVITY: u8 = 26;
const TYPE_START: u8 = 0;
const TYPE_STOP: u8 = 1;
const TYPE_STOP_ALL: u8 = 4;

/// A growing file in memory, as the encoder goes back to fill in the header.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    at: usize,
}

impl ErrorType for Memory {
    type Error = Infallible;
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let end = self.at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Infallible> {
        let base = match to {
            SeekFrom::Start(_) => 0,
            SeekFrom::End(_) => self.bytes.len(),
            SeekFrom::Current(_) => self.at,
        };
        self.at = match to {
            SeekFrom::Start(by) => usize::try_from(by).unwrap_or(usize::MAX),
            SeekFrom::End(by) | SeekFrom::Current(by) => {
                base.saturating_add_signed(isize::try_from(by).unwrap_or(isize::MIN))
            }
        };
        Ok(self.at as u64)
    }
}

fn field(num: u8, base_type: FitBaseType, value: Value) -> Field {
    Field { num, base_type, value, is_expanded: false }
}

fn enumerated(num: u8, value: u8) -> Field {
    field(num, FitBaseType::ENUM, Value::Uint8(value))
}

fn u8_(num: u8, value: Option<u8>) -> Field {
    field(num, FitBaseType::UINT8, Value::Uint8(value.unwrap_or(u8::MAX)))
}

fn u16_(num: u8, value: Option<u16>) -> Field {
    field(num, FitBaseType::UINT16, Value::Uint16(value.unwrap_or(u16::MAX)))
}

fn u32_(num: u8, value: u32) -> Field {
    field(num, FitBaseType::UINT32, Value::Uint32(value))
}

fn i32_(num: u8, value: i32) -> Field {
    field(num, FitBaseType::SINT32, Value::Int32(value))
}

fn message(num: u16, fields: Vec<Field>) -> Message {
    Message { num: MesgNum(num), fields, ..Message::default() }
}

/// A ride's times in FIT seconds.
pub(super) struct Times {
    start: u32,
    end: u32,
    /// Its end on the rider's wall clock.
    local: u32,
}

/// The times of a ride, if FIT can hold them.
pub(super) fn times(spec: &RideSpec) -> Result<Times, SyntheticError> {
    let at = |instant: Timestamp| fit_seconds(instant).ok_or(SyntheticError::Time(instant));
    let last = spec.start + SignedDuration::from_secs(i64::from(spec.duration_s));
    let local = at(last + SignedDuration::from_secs(i64::from(spec.utc_offset_s)))?;
    Ok(Times { start: at(spec.start)?, end: at(last)?, local })
}

/// The messages of a ride in file order.
pub(super) fn encode(spec: &RideSpec, model: &Model) -> Result<Vec<u8>, SyntheticError> {
    // Those between are covered by the first and the last.
    let Times { start, end, local } = times(spec)?;
    let facts = &model.facts;

    let mut memory = Memory::default();
    memory.bytes.reserve(28 * model.samples.len() + 1024);
    let mut encoder = Encoder::builder().header_option(rustyfit::HeaderOption::Normal(15)).build();
    let mut stream = encoder.stream(&mut memory);
    let mut put = |mut message: Message| {
        stream.write_message(&mut message).map_err(|error| SyntheticError::Encoder(error.to_string()))
    };
    put(message(
        mesg::FILE_ID,
        vec![
            enumerated(0, FILE_TYPE_ACTIVITY),
            u16_(1, Some(spec.manufacturer)),
            u16_(2, Some(spec.product)),
            field(3, FitBaseType::UINT32Z, Value::Uint32(spec.serial)),
            u32_(4, start),
        ],
    ))?;
    put(message(FILE_CREATOR, vec![u16_(0, Some(100))]))?;
    put(message(
        DEVICE_INFO,
        vec![
            u32_(FIELD_TIMESTAMP, start),
            u8_(0, Some(0)),
            u16_(2, Some(spec.manufacturer)),
            field(3, FitBaseType::UINT32Z, Value::Uint32(spec.serial)),
            u16_(4, Some(spec.product)),
        ],
    ))?;
    put(event(start, EVENT_TIMER, TYPE_START))?;
    let mut pause = model.pause;
    for sample in &model.samples {
        if let Some((from, to)) = pause
            && sample.at_s > from
        {
            put(event(start + from, EVENT_TIMER, TYPE_STOP))?;
            put(event(start + to, EVENT_TIMER, TYPE_START))?;
            pause = None;
        }
        put(record(start, sample))?;
    }
    put(event(end, EVENT_TIMER, TYPE_STOP_ALL))?;
    for (index, lap) in (0u16..).zip(&model.laps) {
        let seconds = lap.end_s - lap.start_s;
        put(message(
            mesg::LAP,
            vec![
                u16_(254, Some(index)),
                u32_(FIELD_TIMESTAMP, start + lap.end_s),
                enumerated(0, EVENT_LAP),
                enumerated(1, TYPE_STOP),
                u32_(2, start + lap.start_s),
                u32_(7, seconds * 1000),
                u32_(8, seconds * 1000),
                u32_(9, lap.distance),
                enumerated(25, spec.sport),
                enumerated(39, spec.sub_sport),
            ],
        ))?;
    }
    put(message(
        mesg::SESSION,
        vec![
            u16_(254, Some(0)),
            u32_(FIELD_TIMESTAMP, end),
            enumerated(0, EVENT_SESSION),
            enumerated(1, TYPE_STOP),
            u32_(2, start),
            enumerated(5, spec.sport),
            enumerated(6, spec.sub_sport),
            u32_(7, spec.duration_s * 1000),
            u32_(8, facts.timer_s * 1000),
            u32_(9, (facts.distance_m * 100.0).round() as u32),
            u16_(11, Some(facts.calories)),
            u16_(14, Some((facts.avg_speed_mps * 1000.0).round() as u16)),
            u16_(15, Some((facts.max_speed_mps * 1000.0).round() as u16)),
            u8_(16, facts.avg_heart_rate),
            u8_(17, facts.max_heart_rate),
            u8_(18, Some(facts.avg_cadence)),
            u16_(20, facts.avg_power),
            u16_(21, facts.max_power),
            u16_(22, (!spec.indoor).then_some(facts.ascent_m)),
            u16_(23, (!spec.indoor).then_some(facts.descent_m)),
            u16_(25, Some(0)),
            u16_(26, u16::try_from(model.laps.len()).ok()),
        ],
    ))?;
    put(message(
        mesg::ACTIVITY,
        vec![
            u32_(FIELD_TIMESTAMP, end),
            u32_(0, facts.timer_s * 1000),
            u16_(1, Some(1)),
            enumerated(2, 0),
            enumerated(3, EVENT_ACTIVITY),
            enumerated(4, TYPE_STOP),
            u32_(5, local),
        ],
    ))?;
    stream.finish().map_err(|error| SyntheticError::Encoder(error.to_string()))?;
    Ok(memory.bytes)
}

fn event(at: u32, event: u8, kind: u8) -> Message {
    message(EVENT, vec![u32_(FIELD_TIMESTAMP, at), enumerated(0, event), enumerated(1, kind), u8_(4, Some(0))])
}

fn record(start: u32, sample: &Sample) -> Message {
    let mut fields = Vec::with_capacity(10);
    fields.push(u32_(FIELD_TIMESTAMP, start + sample.at_s));
    if let Some((lat, lon)) = sample.position {
        fields.push(i32_(0, lat));
        fields.push(i32_(1, lon));
    }
    fields.push(u16_(2, Some(sample.altitude)));
    fields.push(u32_(5, sample.distance));
    fields.push(u16_(6, Some(sample.speed)));
    fields.push(u8_(3, sample.heart_rate));
    fields.push(u8_(4, Some(sample.cadence)));
    fields.push(u16_(7, sample.power));
    fields.push(field(13, FitBaseType::SINT8, Value::Int8(sample.temperature)));
    message(mesg::RECORD, fields)
}
