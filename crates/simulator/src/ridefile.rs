//! The FIT bytes of a ride: made on first use, then shared.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;

use crate::synth;

/// A ride's file could not be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FileError {
    /// A file on this machine could not be read.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The generator refused.
    #[error("cannot encode a synthetic ride: {0}")]
    Encode(String),
    /// The base64 text of a file is not base64.
    #[error("the file's base64 text is malformed")]
    Base64,
    /// No malformed file has that name.
    #[error("no malformed file is called {0:?}")]
    UnknownMalformed(String),
}

/// What list and detail say of a ride.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) distance_m: f64,
    pub(crate) moving_s: u32,
    pub(crate) elapsed_s: u32,
    pub(crate) ascent_m: u32,
}

impl Facts {
    /// Metres per second while moving.
    pub(crate) fn average_speed(&self) -> f64 {
        if self.moving_s == 0 { 0.0 } else { (self.distance_m / f64::from(self.moving_s) * 1000.0).round() / 1000.0 }
    }

    /// The detail's integer metres.
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and no ride is that long")]
    pub(crate) fn whole_metres(&self) -> i64 {
        self.distance_m as i64
    }
}

#[derive(Debug)]
pub(crate) enum Source {
    Synthetic(synth::Kind, u64, Timestamp),
    Malformed(String, u64, Timestamp),
    Path(PathBuf),
}

/// One file at the file host. Several rides may share it.
#[derive(Debug)]
pub(crate) struct RideFile {
    source: Option<Source>,
    made: OnceLock<Result<Bytes, FileError>>,
}

impl RideFile {
    pub(crate) fn of(bytes: Bytes) -> Arc<Self> {
        Arc::new(Self { source: None, made: OnceLock::from(Ok(bytes)) })
    }

    pub(crate) fn lazy(source: Source) -> Arc<Self> {
        Arc::new(Self { source: Some(source), made: OnceLock::new() })
    }

    /// The bytes, if they have been made.
    pub(crate) fn ready(&self) -> Option<Bytes> {
        self.made.get().and_then(|made| made.clone().ok())
    }

    /// The bytes, made now if need be (which may take milliseconds).
    ///
    /// # Errors
    /// When the file cannot be read or encoded; the same error every time.
    pub(crate) fn bytes(&self) -> Result<Bytes, FileError> {
        self.made
            .get_or_init(|| match &self.source {
                None => Ok(Bytes::new()),
                Some(Source::Synthetic(kind, seed, start)) => synth::encode(*kind, *seed, *start).map(Bytes::from),
                Some(Source::Malformed(name, seed, start)) => synth::malformed(name, *seed, *start).map(Bytes::from),
                Some(Source::Path(path)) => std::fs::read(path)
                    .map(Bytes::from)
                    .map_err(|error| FileError::Read { path: path.clone(), reason: error.to_string() }),
            })
            .clone()
    }
}
