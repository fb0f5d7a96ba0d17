//! Writes any bytes in the frame of a FIT file: what an encoder library would refuse to.

use crate::crc::crc16;

/// Byte order of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// The bytes of one data message.
#[derive(Debug, Clone)]
pub struct Payload {
    order: Order,
    bytes: Vec<u8>,
}

impl Payload {
    /// No bytes yet; numbers that are added get this byte order.
    pub fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    /// Adds one byte.
    #[must_use]
    pub fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    /// Adds two bytes.
    #[must_use]
    pub fn u16(self, value: u16) -> Self {
        match self.order {
            Order::Little => self.raw(&value.to_le_bytes()),
            Order::Big => self.raw(&value.to_be_bytes()),
        }
    }

    /// Adds four bytes.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        match self.order {
            Order::Little => self.raw(&value.to_le_bytes()),
            Order::Big => self.raw(&value.to_be_bytes()),
        }
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

/// A field of a definition: number, size in bytes, base type; for a developer field the third is the developer's
/// index.
pub type RawField = (u8, u8, u8);

/// One segment in the making. Nothing is checked.
#[derive(Debug, Clone, Default)]
pub struct RawFit {
    data: Vec<u8>,
    short_header: bool,
    no_header_crc: bool,
}

impl RawFit {
    /// No messages yet, a header of 14 bytes with its own CRC.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the older header of 12 bytes.
    pub fn with_short_header() -> Self {
        Self { short_header: true, ..Self::default() }
    }

    /// With a header of 14 bytes whose CRC is 0, "none".
    pub fn without_header_crc() -> Self {
        Self { no_header_crc: true, ..Self::default() }
    }

    /// Adds a definition for local number `local` (0 to 15).
    pub fn define(&mut self, local: u8, order: Order, num: u16, fields: &[RawField]) -> &mut Self {
        self.definition(local, order, num, fields, None)
    }

    /// Adds a definition with developer fields.
    pub fn define_with_developer(
        &mut self,
        local: u8,
        order: Order,
        num: u16,
        fields: &[RawField],
        developer: &[RawField],
    ) -> &mut Self {
        self.definition(local, order, num, fields, Some(developer))
    }

    fn definition(
        &mut self,
        local: u8,
        order: Order,
        num: u16,
        fields: &[RawField],
        developer: Option<&[RawField]>,
    ) -> &mut Self {
        let flag = if developer.is_some() { 0x20 } else { 0 };
        self.data.push(0x40 | flag | (local & 0x0F));
        self.data.push(0);
        match order {
            Order::Little => {
                self.data.push(0);
                self.data.extend_from_slice(&num.to_le_bytes());
            }
            Order::Big => {
                self.data.push(1);
                self.data.extend_from_slice(&num.to_be_bytes());
            }
        }
        for fields in std::iter::once(fields).chain(developer) {
            self.data.push(fields.len() as u8);
            for &(num, size, kind) in fields {
                self.data.extend_from_slice(&[num, size, kind]);
            }
        }
        self
    }

    /// Adds a data message.
    pub fn message(&mut self, local: u8, payload: &Payload) -> &mut Self {
        self.data.push(local & 0x0F);
        self.data.extend_from_slice(&payload.bytes);
        self
    }

    /// Adds a data message with a compressed timestamp header; `local` is 0 to 3, `offset` 0 to 31 seconds.
    pub fn compressed(&mut self, local: u8, offset: u8, payload: &Payload) -> &mut Self {
        self.data.push(0x80 | (local & 0x03) << 5 | (offset & 0x1F));
        self.data.extend_from_slice(&payload.bytes);
        self
    }

    /// Adds bytes to the data as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.data.extend_from_slice(bytes);
        self
    }

    /// Bytes of data so far; a message boundary.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no data yet.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The file, with right sizes and checksums.
    pub fn finish(&self) -> Vec<u8> {
        self.finish_announcing(self.data.len() as u32)
    }

    /// The file, with a header that announces `data_size` bytes whatever there are; checksums are right.
    pub fn finish_announcing(&self, data_size: u32) -> Vec<u8> {
        let mut file = vec![if self.short_header { 12 } else { 14 }, 0x20];
        file.extend_from_slice(&2132u16.to_le_bytes());
        file.extend_from_slice(&data_size.to_le_bytes());
        file.extend_from_slice(b".FIT");
        if !self.short_header {
            let crc = if self.no_header_crc { 0 } else { crc16(0, &file) };
            file.extend_from_slice(&crc.to_le_bytes());
        }
        file.extend_from_slice(&self.data);
        let crc = crc16(0, &file);
        file.extend_from_slice(&crc.to_le_bytes());
        file
    }
}
