//! Reading one file within bounds; what it is, its first bytes say.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::{
    Problem,
    limits::Limits,
    name::{Kind, shown},
};

const ZIP_MAGICS: [[u8; 4]; 3] = [*b"PK\x03\x04", *b"PK\x05\x06", *b"PK\x07\x08"];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// `AppleDouble`, the file a Mac leaves beside another on foreign disks.
const APPLE_DOUBLE_MAGIC: [u8; 4] = [0x00, 0x05, 0x16, 0x07];

/// What was in a file.
#[derive(Debug)]
pub(crate) enum Content {
    /// Bytes that may be a ride.
    Ride(Bytes),
    /// An archive, at its start.
    Zip(File),
    /// A Mac's notes about another file.
    AppleDouble,
}

/// Why bytes could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// More bytes than a ride has.
    #[error("it is larger than {} MiB, which no ride is", .0 >> 20)]
    TooLarge(u64),
    /// A file made to fill the memory.
    #[error("it inflates to more than {0} times its size, which no ride does")]
    Bomb(u64),
    /// The compressed bytes are broken.
    #[error("it is broken: {0}")]
    Broken(io::Error),
}

impl ReadError {
    pub(crate) fn problem(&self, name: String) -> Problem {
        let next_step = match self {
            Self::TooLarge(_) | Self::Bomb(_) => "check where it comes from; it was not read",
            Self::Broken(_) => "copy or download it again",
        };
        Problem::new(name, self.to_string(), next_step)
    }
}

/// Reads the file at `path`.
pub(crate) fn content(path: &Path, promised: Kind, limits: &Limits) -> Result<Content, Problem> {
    let failed = |error: io::Error| Problem::io(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let mut head = Vec::with_capacity(4);
    (&file).take(4).read_to_end(&mut head).map_err(failed)?;
    file.rewind().map_err(failed)?;
    if ZIP_MAGICS.iter().any(|magic| head == magic) {
        return Ok(Content::Zip(file));
    }
    if head == APPLE_DOUBLE_MAGIC {
        return Ok(Content::AppleDouble);
    }
    if promised == Kind::Zip {
        let reason = "it is not a ZIP archive, whatever its name says";
        return Err(Problem::new(shown(path), reason, "copy or download it again"));
    }
    let packed = file.metadata().map_err(failed)?.len();
    let read = if head.starts_with(&GZIP_MAGIC) {
        bounded(MultiGzDecoder::new(file), Some(packed), limits).map_err(|error| error.problem(shown(path)))
    } else {
        bounded(file, None, limits).map_err(|error| match error {
            ReadError::Broken(error) => failed(error),
            error => error.problem(shown(path)),
        })
    };
    read.map(Content::Ride)
}

/// Inflates a member that is itself a gzip file; other bytes stay as they are.
pub(crate) fn unwrapped(bytes: Bytes, limits: &Limits) -> Result<Bytes, ReadError> {
    if bytes.starts_with(&GZIP_MAGIC) {
        bounded(MultiGzDecoder::new(&*bytes), Some(bytes.len() as u64), limits)
    } else {
        Ok(bytes)
    }
}

/// Reads to the end, but never more than a ride can have, nor absurdly more than the `packed` bytes it comes from.
pub(crate) fn bounded(mut from: impl Read, packed: Option<u64>, limits: &Limits) -> Result<Bytes, ReadError> {
    let most = limits.most(packed);
    let mut bytes = Vec::new();
    from.by_ref().take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(ReadError::Broken)?;
    if bytes.len() as u64 <= most {
        return Ok(bytes.into());
    }
    Err(if most == limits.file_bytes { ReadError::TooLarge(most) } else { ReadError::Bomb(limits.ratio) })
}
