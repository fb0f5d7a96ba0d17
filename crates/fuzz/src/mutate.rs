//! What is done to an input to make another one.

use crate::random::Random;

/// Longest input that is made, in bytes.
const LONGEST: usize = 64 * 1024;
/// Numbers at which counts and lengths go wrong.
const EDGES: [u32; 10] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// Another input from `base`: a few edits, now and then a piece of `other` or a word of the dictionary.
pub(crate) fn mutated(base: &[u8], other: &[u8], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for _ in 0..=random.below(4) {
        edit(&mut bytes, other, words, random);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn edit(bytes: &mut Vec<u8>, other: &[u8], words: &[&[u8]], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(10) {
        0 => flip(bytes, at, random),
        1 => put(bytes, at, &[random.next().to_le_bytes()[0]]),
        2 => bytes.truncate(at),
        3 => {
            let edge = random.pick(&EDGES).copied().unwrap_or(0);
            let wide = if random.below(2) == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
            let width = [1, 2, 4][random.below(3)];
            put(bytes, at, &wide[..width]);
        }
        4 => {
            let end = (at + 1 + random.below(16)).min(bytes.len());
            bytes.drain(at.min(end)..end);
        }
        5 => {
            let end = (at + 1 + random.below(64)).min(bytes.len());
            let piece = bytes.get(at..end).unwrap_or_default().to_vec();
            insert(bytes, at, &piece);
        }
        6 => {
            let from = random.below(other.len() + 1);
            let to = (from + random.below(128)).min(other.len());
            insert(bytes, at, &other[from..to]);
        }
        7 => {
            let word = random.pick(words).copied().unwrap_or_default();
            insert(bytes, at, word);
        }
        8 => {
            let word = random.pick(words).copied().unwrap_or_default();
            put(bytes, at, word);
        }
        // Two heads and two tails.
        _ => {
            bytes.truncate(at);
            let from = random.below(other.len() + 1);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// Writes over what is there, as far as there is room.
fn put(bytes: &mut [u8], at: usize, piece: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(piece) {
        *byte = *new;
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if bytes.len() + piece.len() <= LONGEST {
        let at = at.min(bytes.len());
        bytes.splice(at..at, piece.iter().copied());
    }
}
