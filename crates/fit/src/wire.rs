//! The frame of a FIT file: header, definitions, and the walk over messages. No meaning is given to fields here.

use crate::code::FitCode;
use crate::crc::crc16;
use crate::limits::{MAX_DEFINITIONS, MAX_MESSAGE_BYTES, MAX_MESSAGES};

const MAGIC: &[u8; 4] = b".FIT";
const SHORT_HEADER: usize = 12;
const LONG_HEADER: usize = 14;
/// Bytes walked before the CRC catches up: they are still in the first-level cache then.
const CRC_BLOCK: usize = 4096;

/// The header of one segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// 12 or 14.
    pub(crate) len: usize,
    /// Bytes of data that follow, without the CRC.
    pub(crate) data_size: usize,
    /// False when the header carries a CRC of its own that is wrong. A stored 0 means "none".
    pub(crate) crc_ok: bool,
}

/// Reads the header at the start of `bytes`.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, FitCode> {
    let len = match bytes.first().copied().map(usize::from) {
        None => return Err(FitCode::Empty),
        Some(len) => len,
    };
    let size_ok = len == SHORT_HEADER || len == LONG_HEADER;
    let Some((head, rest)) = bytes.split_first_chunk::<SHORT_HEADER>() else {
        let seen = bytes.get(8..).unwrap_or_default();
        return Err(if size_ok && MAGIC.starts_with(seen) { FitCode::Truncated } else { FitCode::NotFit });
    };
    if &head[8..12] != MAGIC {
        return Err(FitCode::NotFit);
    }
    if !size_ok {
        return Err(FitCode::BadHeader);
    }
    let data_size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let crc_ok = if len == LONG_HEADER {
        let Some((stored, _)) = rest.split_first_chunk::<2>() else {
            return Err(FitCode::Truncated);
        };
        let stored = u16::from_le_bytes(*stored);
        stored == 0 || stored == crc16(0, head)
    } else {
        true
    };
    Ok(Header { len, data_size: usize::try_from(data_size).map_err(|_| FitCode::TooLarge)?, crc_ok })
}

/// One definition message, borrowed from the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition<'a> {
    /// Global message number.
    pub(crate) num: u16,
    /// Byte order of the data messages.
    pub(crate) big_endian: bool,
    /// Field number, size in bytes, base type; in file order.
    pub(crate) fields: &'a [[u8; 3]],
    /// Bytes of a data message, without its header byte, developer fields included.
    pub(crate) size: u32,
}

/// Reads the definition whose header byte is `head` and whose body starts `body`; also gives the body's length.
/// `Ok(None)` means that the bytes end too early.
fn definition(head: u8, body: &[u8]) -> Result<Option<(Definition<'_>, usize)>, FitCode> {
    let Some((&[_reserved, order, num_a, num_b, count], rest)) = body.split_first_chunk::<5>() else {
        return Ok(None);
    };
    let big_endian = match order {
        0 => false,
        1 => true,
        _ => return Err(FitCode::BadDefinition),
    };
    let num = if big_endian { u16::from_be_bytes([num_a, num_b]) } else { u16::from_le_bytes([num_a, num_b]) };
    let Some((fields, rest)) = triples(rest, count) else {
        return Ok(None);
    };
    let mut size = total(fields);
    let mut len = 5 + 3 * fields.len();
    if head & 0x20 != 0 {
        let Some((&count, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let Some((developer, _)) = triples(rest, count) else {
            return Ok(None);
        };
        size += total(developer);
        len += 1 + 3 * developer.len();
    }
    if size > MAX_MESSAGE_BYTES {
        return Err(FitCode::MessageTooLarge);
    }
    let found = Definition { num, big_endian, fields, size };
    Ok(Some((found, len)))
}

/// The first `count` field definitions in `bytes`, and what follows them.
fn triples(bytes: &[u8], count: u8) -> Option<(&[[u8; 3]], &[u8])> {
    let (fields, rest) = bytes.split_at_checked(3 * usize::from(count))?;
    Some((fields.as_chunks::<3>().0, rest))
}

fn total(fields: &[[u8; 3]]) -> u32 {
    fields.iter().map(|field| u32::from(field[1])).sum()
}

/// Messages met so far in a file.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Data messages.
    pub(crate) messages: u32,
    /// Definition messages.
    pub(crate) definitions: u32,
}

/// A CRC that trails the walk by at most a block.
#[derive(Debug)]
pub(crate) struct RunningCrc {
    value: u16,
    done: usize,
}

impl RunningCrc {
    /// Starts before the byte at `from`.
    pub(crate) fn new(from: usize) -> Self {
        Self { value: 0, done: from }
    }

    #[inline]
    fn catch_up(&mut self, bytes: &[u8], to: usize) {
        if let Some(block) = bytes.get(self.done..to) {
            self.value = crc16(self.value, block);
            self.done = to;
        }
    }

    /// The CRC of everything up to `to`.
    pub(crate) fn up_to(mut self, bytes: &[u8], to: usize) -> u16 {
        self.catch_up(bytes, to);
        self.value
    }
}

/// Receives the messages of a segment in file order. `local` is always below 16.
pub(crate) trait Visit<'a> {
    /// A definition for a local message number.
    fn define(&mut self, local: usize, definition: Definition<'a>);
    /// A data message of an earlier definition. `offset` is the five bits of a compressed timestamp header.
    fn data(&mut self, local: usize, offset: Option<u8>, payload: &'a [u8]);
}

/// Where and why a walk stopped early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Byte offset of the message in the file.
    pub(crate) at: usize,
    /// What is wrong with it.
    pub(crate) code: FitCode,
}

const UNDEFINED: u32 = u32::MAX;

/// Walks the messages in `bytes[start..end]`, one segment's data.
///
/// # Errors
/// Where a message is broken or a limit is passed; everything before it has been visited.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    start: usize,
    end: usize,
    counts: &mut Counts,
    mut crc: Option<&mut RunningCrc>,
    visit: &mut impl Visit<'a>,
) -> Result<(), Stop> {
    let data = bytes.get(..end).unwrap_or(bytes);
    let mut sizes = [UNDEFINED; 16];
    let mut pos = start;
    while let Some(&head) = data.get(pos) {
        let stop = |code| Stop { at: pos, code };
        let body = data.get(pos + 1..).unwrap_or_default();
        if head & 0xC0 == 0x40 {
            let Some((found, len)) = definition(head, body).map_err(stop)? else {
                return Err(stop(FitCode::MessageOverrun));
            };
            counts.definitions += 1;
            if counts.definitions > MAX_DEFINITIONS {
                return Err(stop(FitCode::TooManyDefinitions));
            }
            let local = usize::from(head & 0x0F);
            sizes[local] = found.size;
            visit.define(local, found);
            pos += 1 + len;
        } else {
            let (local, offset) = if head & 0x80 == 0 {
                (usize::from(head & 0x0F), None)
            } else {
                (usize::from(head >> 5 & 0x03), Some(head & 0x1F))
            };
            let size = sizes[local];
            if size == UNDEFINED {
                return Err(stop(FitCode::UndefinedMessage));
            }
            // With a compressed header an empty message still says when; real recorders write those.
            if size == 0 && offset.is_none() {
                return Err(stop(FitCode::ZeroSizeMessage));
            }
            let Some(payload) = body.get(..size as usize) else {
                return Err(stop(FitCode::MessageOverrun));
            };
            counts.messages += 1;
            if counts.messages > MAX_MESSAGES {
                return Err(stop(FitCode::TooManyMessages));
            }
            visit.data(local, offset, payload);
            pos += 1 + payload.len();
        }
        if let Some(crc) = &mut crc
            && pos - crc.done >= CRC_BLOCK
        {
            crc.catch_up(bytes, pos);
        }
    }
    Ok(())
}

/// Reads the values of a data message by offset; every reader turns the format's "invalid" value into `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    /// The bytes after the header byte.
    pub(crate) payload: &'a [u8],
    /// Byte order of the definition.
    pub(crate) big_endian: bool,
}

impl Values<'_> {
    #[inline]
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.payload.get(at..)?.first_chunk::<N>().copied()
    }

    #[inline]
    pub(crate) fn u8(&self, at: usize) -> Option<u8> {
        self.payload.get(at).copied().filter(|&v| v != u8::MAX)
    }

    #[inline]
    pub(crate) fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes(at)?;
        let value = if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        (value != u16::MAX).then_some(value)
    }

    #[inline]
    pub(crate) fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes(at)?;
        let value = if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        (value != u32::MAX).then_some(value)
    }

    #[inline]
    pub(crate) fn i32(&self, at: usize) -> Option<i32> {
        let bytes = self.bytes(at)?;
        let value = if self.big_endian { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) };
        (value != i32::MAX).then_some(value)
    }
}

/// The fields of a definition with their offsets in the payload: number, size, offset.
pub(crate) fn placed(fields: &[[u8; 3]]) -> impl Iterator<Item = (u8, u8, usize)> {
    let mut next = 0usize;
    fields.iter().map(move |&[num, size, _base]| {
        let at = next;
        next += usize::from(size);
        (num, size, at)
    })
}

/// Resolves the times of a segment's messages, compressed headers included.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct TimeBase(Option<u32>);

impl TimeBase {
    /// The time of a message in FIT seconds, from its own field or else from its header's five bits.
    #[inline]
    pub(crate) fn resolve(&mut self, own: Option<u32>, offset: Option<u8>) -> Option<u32> {
        if own.is_some() {
            self.0 = own;
            return own;
        }
        let offset = u32::from(offset?);
        let base = self.0?;
        let rolled = if offset < base & 0x1F { 32 } else { 0 };
        let time = (base & !0x1F).checked_add(offset + rolled)?;
        if time == u32::MAX {
            return None;
        }
        self.0 = Some(time);
        Some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_times_roll_over_and_never_overflow() {
        let mut base = TimeBase::default();
        assert_eq!(base.resolve(None, Some(3)), None);
        assert_eq!(base.resolve(Some(0x3F0), None), Some(0x3F0));
        assert_eq!(base.resolve(None, Some(0x1F)), Some(0x3FF));
        assert_eq!(base.resolve(None, Some(0x00)), Some(0x400));
        assert_eq!(base.resolve(None, None), None);
        let mut late = TimeBase::default();
        assert_eq!(late.resolve(Some(u32::MAX - 1), None), Some(u32::MAX - 1));
        assert_eq!(late.resolve(None, Some(2)), None);
        assert_eq!(late.resolve(None, Some(31)), None);
    }

    #[test]
    fn headers_are_told_apart() {
        assert_eq!(header(b"").map(|h| h.len), Err(FitCode::Empty));
        assert_eq!(header(b"<html>").map(|h| h.len), Err(FitCode::NotFit));
        assert_eq!(header(&[14, 32]).map(|h| h.len), Err(FitCode::Truncated));
        let mut bytes = *b"\x0e\x20\x54\x08\x01\x00\x00\x00.FIT\x00\x00";
        assert!(header(&bytes).is_ok_and(|h| h.crc_ok && h.data_size == 1));
        bytes[12] = 1;
        assert!(header(&bytes).is_ok_and(|h| !h.crc_ok));
        bytes[0] = 255;
        assert_eq!(header(&bytes).map(|h| h.len), Err(FitCode::BadHeader));
        assert_eq!(header(&bytes[..12]).map(|h| h.len), Err(FitCode::BadHeader));
    }
}
