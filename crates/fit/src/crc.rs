//! CRC-16/ARC (polynomial 0xA001 reflected, initial value 0), sixteen bytes per step.

const STEP: usize = 16;
static TABLES: [[u16; 256]; STEP] = tables();

const fn tables() -> [[u16; 256]; STEP] {
    let mut tables = [[0u16; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xA001 * (crc & 1));
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < STEP {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Carries `crc` on over `bytes`. Start with 0.
///
/// ```
/// assert_eq!(fitbridge_fit::crc16(0, b"123456789"), 0xBB3D);
/// ```
pub fn crc16(crc: u16, bytes: &[u8]) -> u16 {
    let mut crc = crc;
    let (blocks, rest) = bytes.as_chunks::<STEP>();
    for block in blocks {
        let [low, high] = crc.to_le_bytes();
        // Independent look-ups: the processor runs them side by side, unlike a byte-wise loop.
        crc = TABLES[15][usize::from(block[0] ^ low)]
            ^ TABLES[14][usize::from(block[1] ^ high)]
            ^ TABLES[13][usize::from(block[2])]
            ^ TABLES[12][usize::from(block[3])]
            ^ TABLES[11][usize::from(block[4])]
            ^ TABLES[10][usize::from(block[5])]
            ^ TABLES[9][usize::from(block[6])]
            ^ TABLES[8][usize::from(block[7])]
            ^ TABLES[7][usize::from(block[8])]
            ^ TABLES[6][usize::from(block[9])]
            ^ TABLES[5][usize::from(block[10])]
            ^ TABLES[4][usize::from(block[11])]
            ^ TABLES[3][usize::from(block[12])]
            ^ TABLES[2][usize::from(block[13])]
            ^ TABLES[1][usize::from(block[14])]
            ^ TABLES[0][usize::from(block[15])];
    }
    for &byte in rest {
        crc = (crc >> 8) ^ TABLES[0][usize::from((crc as u8) ^ byte)];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit_by_bit(bytes: &[u8]) -> u16 {
        bytes
            .iter()
            .fold(0, |crc, &byte| (0..8).fold(crc ^ u16::from(byte), |crc, _| (crc >> 1) ^ (0xA001 * (crc & 1))))
    }

    proptest! {
        #[test]
        fn equals_the_definition(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(crc16(0, &bytes), bit_by_bit(&bytes));
            prop_assert_eq!(crc16(crc16(0, head), tail), bit_by_bit(&bytes));
        }
    }
}
