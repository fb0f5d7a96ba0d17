//! Ready-made odd and broken files, small and deterministic.

use super::raw::{Order, Payload, RawField, RawFit};
use crate::limits::MAX_MESSAGES;
use crate::profile::{FILE_TYPE_ACTIVITY, mesg};

const ENUM: u8 = 0x00;
const UINT8: u8 = 0x02;
const UINT16: u8 = 0x84;
const SINT32: u8 = 0x85;
const UINT32: u8 = 0x86;
const STRING: u8 = 0x07;
const UINT32Z: u8 = 0x8C;
const BYTE: u8 = 0x0D;

/// 2021-09-08T01:46:40Z in FIT seconds: when every ride of this module starts.
pub const START: u32 = 1_000_000_000;
/// Samples of every ride of this module, one a second.
pub const RECORDS: u32 = 100;

const FILE_ID: [RawField; 5] = [(0, 1, ENUM), (1, 2, UINT16), (2, 2, UINT16), (3, 4, UINT32Z), (4, 4, UINT32)];
const RECORD: [RawField; 6] =
    [(253, 4, UINT32), (0, 4, SINT32), (1, 4, SINT32), (5, 4, UINT32), (6, 2, UINT16), (3, 1, UINT8)];
const SESSION: [RawField; 8] = [
    (253, 4, UINT32),
    (2, 4, UINT32),
    (5, 1, ENUM),
    (6, 1, ENUM),
    (7, 4, UINT32),
    (8, 4, UINT32),
    (9, 4, UINT32),
    (14, 2, UINT16),
];
const ACTIVITY: [RawField; 3] = [(253, 4, UINT32), (1, 2, UINT16), (5, 4, UINT32)];

fn file_id(fit: &mut RawFit, order: Order, file_type: u8) {
    fit.define(0, order, mesg::FILE_ID, &FILE_ID);
    let id = Payload::new(order).u8(file_type).u16(115).u16(301);
    fit.message(0, &id.u32(0x1234_5678).u32(START));
}

fn record(order: Order, index: u32) -> Payload {
    Payload::new(order)
        .u32(START + index)
        .u32(626_349_397 + 90 * index)
        .u32(159_605_000)
        .u32(700 * index)
        .u16(7000)
        .u8(130)
}

fn records(fit: &mut RawFit, order: Order) {
    fit.define(1, order, mesg::RECORD, &RECORD);
    for index in 0..RECORDS {
        fit.message(1, &record(order, index));
    }
}

fn session(fit: &mut RawFit, order: Order) {
    let last = START + RECORDS - 1;
    fit.define(2, order, mesg::SESSION, &SESSION);
    let values = Payload::new(order).u32(last).u32(START).u8(2).u8(7);
    let values = values.u32((RECORDS - 1) * 1000).u32((RECORDS - 1) * 1000);
    fit.message(2, &values.u32(700 * (RECORDS - 1)).u16(7000));
    fit.define(3, order, mesg::ACTIVITY, &ACTIVITY);
    fit.message(3, &Payload::new(order).u32(last).u16(1).u32(last + 28_800));
}

fn filled(mut fit: RawFit, order: Order) -> RawFit {
    file_id(&mut fit, order, FILE_TYPE_ACTIVITY);
    records(&mut fit, order);
    session(&mut fit, order);
    fit
}

/// A whole, valid ride: the one that the others are bent from.
pub fn ride() -> Vec<u8> {
    filled(RawFit::new(), Order::Little).finish()
}

/// The same ride with the older header of 12 bytes.
pub fn ride_short_header() -> Vec<u8> {
    filled(RawFit::with_short_header(), Order::Little).finish()
}

/// The same ride with a header CRC of 0, "none", as one file in ten has it.
pub fn ride_without_header_crc() -> Vec<u8> {
    filled(RawFit::without_header_crc(), Order::Little).finish()
}

/// The same ride, big-endian throughout; valid.
pub fn big_endian() -> Vec<u8> {
    filled(RawFit::new(), Order::Big).finish()
}

/// `valid` cut in the middle of a message, two thirds through.
pub fn truncated(valid: &[u8]) -> Vec<u8> {
    valid.get(..valid.len() * 2 / 3).unwrap_or_default().to_vec()
}

/// A ride of `records` samples, cut at a message boundary right behind them: nothing but the header tells.
pub fn truncated_at_boundary(samples: u32) -> Vec<u8> {
    let mut fit = RawFit::new();
    file_id(&mut fit, Order::Little, FILE_TYPE_ACTIVITY);
    fit.define(1, Order::Little, mesg::RECORD, &RECORD);
    for index in 0..samples {
        fit.message(1, &record(Order::Little, index));
    }
    let mut file = fit.finish_announcing(fit.len() as u32 + 600);
    file.truncate(file.len() - 2);
    file
}

/// `valid` without the two bytes of its CRC.
pub fn missing_crc(valid: &[u8]) -> Vec<u8> {
    valid.get(..valid.len().saturating_sub(2)).unwrap_or_default().to_vec()
}

/// `valid` with one bit of its last byte, the CRC, turned.
pub fn bad_crc(valid: &[u8]) -> Vec<u8> {
    let mut file = valid.to_vec();
    if let Some(last) = file.last_mut() {
        *last ^= 1;
    }
    file
}

/// `valid` and then 512 zero bytes.
pub fn trailing_zeros(valid: &[u8]) -> Vec<u8> {
    [valid, &[0; 512]].concat()
}

/// `valid` and then a piece of a web page.
pub fn trailing_html(valid: &[u8]) -> Vec<u8> {
    [valid, b"<html><body>504</body></html>"].concat()
}

/// A ride whose header still says that there is no data, as after a lost battery.
pub fn data_size_zero() -> Vec<u8> {
    filled(RawFit::new(), Order::Little).finish_announcing(0)
}

/// 14 bytes with a header length of 255.
pub fn header_size_255() -> Vec<u8> {
    let mut file = RawFit::new().finish();
    file.truncate(14);
    if let Some(first) = file.first_mut() {
        *first = 255;
    }
    file
}

/// No bytes.
pub fn empty() -> Vec<u8> {
    Vec::new()
}

/// Records, but no session; valid.
pub fn no_session() -> Vec<u8> {
    let mut fit = RawFit::new();
    file_id(&mut fit, Order::Little, FILE_TYPE_ACTIVITY);
    records(&mut fit, Order::Little);
    fit.finish()
}

/// Definitions that nothing uses; valid, and says nothing.
pub fn only_definitions() -> Vec<u8> {
    let mut fit = RawFit::new();
    fit.define(0, Order::Little, mesg::FILE_ID, &FILE_ID);
    fit.define(1, Order::Little, mesg::RECORD, &RECORD);
    fit.finish()
}

/// A valid FIT file that is no activity. File types: 2 settings, 5 workout, 6 course.
pub fn not_an_activity(file_type: u8) -> Vec<u8> {
    let mut fit = RawFit::new();
    file_id(&mut fit, Order::Little, file_type);
    fit.finish()
}

/// A ride whose records carry a described developer field; valid.
pub fn developer_fields() -> Vec<u8> {
    let order = Order::Little;
    let mut fit = RawFit::new();
    file_id(&mut fit, order, FILE_TYPE_ACTIVITY);
    fit.define(4, order, 207, &[(3, 1, UINT8), (1, 16, BYTE)]);
    fit.message(4, &Payload::new(order).u8(0).raw(&[7; 16]));
    let description = [(0, 1, UINT8), (1, 1, UINT8), (2, 1, UINT8), (3, 8, STRING)];
    fit.define(5, order, 206, &description);
    let named = Payload::new(order).u8(0).u8(9).u8(UINT16);
    fit.message(5, &named.raw(b"doughnut"));
    fit.define_with_developer(1, order, mesg::RECORD, &RECORD, &[(9, 2, 0)]);
    for index in 0..RECORDS {
        fit.message(1, &record(order, index).u16(index as u16));
    }
    session(&mut fit, order);
    fit.finish()
}

/// A ride whose records give their time in five bits of the header; valid.
pub fn compressed_timestamps() -> Vec<u8> {
    let order = Order::Little;
    let mut fit = RawFit::new();
    file_id(&mut fit, order, FILE_TYPE_ACTIVITY);
    fit.define(1, order, mesg::RECORD, &RECORD);
    fit.message(1, &record(order, 0));
    fit.define(2, order, mesg::RECORD, &RECORD[1..]);
    for index in 1..RECORDS {
        let values = Payload::new(order).u32(626_349_397 + 90 * index);
        let values = values.u32(159_605_000).u32(700 * index).u16(7000).u8(130);
        fit.compressed(2, ((START + index) & 0x1F) as u8, &values);
    }
    session(&mut fit, order);
    fit.finish()
}

/// Two whole FIT files, one behind the other; valid.
pub fn chained(first: &[u8], second: &[u8]) -> Vec<u8> {
    [first, second].concat()
}

/// A ride whose `file_id` has a serial number of 32 bytes, as iGPSport writes it; valid.
pub fn igpsport_serial(serial: [u8; 8]) -> Vec<u8> {
    let order = Order::Little;
    let mut fit = RawFit::new();
    let fields = [(0, 1, ENUM), (1, 2, UINT16), (2, 2, UINT16), (3, 32, UINT32Z), (4, 4, UINT32)];
    fit.define(0, order, mesg::FILE_ID, &fields);
    let id = Payload::new(order).u8(FILE_TYPE_ACTIVITY).u16(115).u16(320);
    fit.message(0, &id.raw(&serial).raw(&[0; 24]).u32(START));
    records(&mut fit, order);
    session(&mut fit, order);
    fit.finish()
}

/// A ride whose enhanced speeds are a constant 0 beside right plain speeds; valid.
pub fn enhanced_speed_zero() -> Vec<u8> {
    let order = Order::Little;
    let mut fit = RawFit::new();
    file_id(&mut fit, order, FILE_TYPE_ACTIVITY);
    let fields = [RECORD.as_slice(), &[(73, 4, UINT32)]].concat();
    fit.define(1, order, mesg::RECORD, &fields);
    for index in 0..RECORDS {
        fit.message(1, &record(order, index).u32(0));
    }
    let last = START + RECORDS - 1;
    let fields = [SESSION.as_slice(), &[(15, 2, UINT16), (124, 4, UINT32), (125, 4, UINT32)]].concat();
    fit.define(2, order, mesg::SESSION, &fields);
    let values = Payload::new(order).u32(last).u32(START).u8(2).u8(7);
    let values = values.u32((RECORDS - 1) * 1000).u32((RECORDS - 1) * 1000);
    let values = values.u32(700 * (RECORDS - 1)).u16(7000).u16(9000);
    fit.message(2, &values.u32(0).u32(0));
    fit.finish()
}

/// A ride whose records carry fields of no bytes; valid.
pub fn zero_size_fields() -> Vec<u8> {
    let order = Order::Little;
    let mut fit = RawFit::new();
    file_id(&mut fit, order, FILE_TYPE_ACTIVITY);
    let fields = [RECORD.as_slice(), &[(4, 0, UINT8), (7, 0, UINT16)]].concat();
    fit.define(1, order, mesg::RECORD, &fields);
    for index in 0..RECORDS {
        fit.message(1, &record(order, index));
    }
    session(&mut fit, order);
    fit.finish()
}

/// Messages of no bytes at all, used; a decompression bomb in the making.
pub fn zero_size_messages(count: usize) -> Vec<u8> {
    let mut fit = RawFit::new();
    file_id(&mut fit, Order::Little, FILE_TYPE_ACTIVITY);
    fit.define(8, Order::Little, mesg::RECORD, &[(253, 0, UINT32)]);
    fit.bytes(&vec![8; count]);
    fit.finish()
}

/// A ride with a device name that is not UTF-8; valid.
pub fn non_utf8_strings() -> Vec<u8> {
    let order = Order::Little;
    let mut fit = RawFit::new();
    let fields = [FILE_ID.as_slice(), &[(8, 8, STRING)]].concat();
    fit.define(0, order, mesg::FILE_ID, &fields);
    let id = Payload::new(order).u8(FILE_TYPE_ACTIVITY).u16(115).u16(301);
    let id = id.u32(0x1234_5678).u32(START);
    fit.message(0, &id.raw(&[0xFF, 0xFE, 0xC3, 0x28, 0x1B, b'[', 0x80, 0]));
    records(&mut fit, order);
    session(&mut fit, order);
    fit.finish()
}

/// One data message more than the scanner's limit; about 4 MB.
pub fn too_many_messages() -> Vec<u8> {
    let mut fit = RawFit::new();
    file_id(&mut fit, Order::Little, FILE_TYPE_ACTIVITY);
    fit.define(8, Order::Little, mesg::RECORD, &[(3, 1, UINT8)]);
    // The file_id is a message too.
    fit.bytes(&[8, 130].repeat(MAX_MESSAGES as usize));
    fit.finish()
}
