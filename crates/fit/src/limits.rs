//! Bounds on untrusted FIT files, each well above the largest value seen in a corpus of 307 real files.

/// Largest file looked at, in bytes (largest seen: 3.07 MB).
pub const MAX_FILE_BYTES: usize = 32 * 1024 * 1024;
/// Most data messages in a file (most seen: 100,002).
pub const MAX_MESSAGES: u32 = 2_000_000;
/// Most definition messages in a file (most seen: 14,217).
pub const MAX_DEFINITIONS: u32 = 200_000;
/// Most chained segments in a file (most seen: 7).
pub const MAX_SEGMENTS: usize = 16;
/// Largest data message, in bytes without its header byte (largest seen: 431; the format's own bound is 130,050).
pub const MAX_MESSAGE_BYTES: u32 = 16 * 1024;
/// Sessions that are summed up (most seen: 16); further ones are only counted.
pub const MAX_SESSIONS: u32 = 256;
/// Bytes of a serial number that are kept (one real device writes 32).
pub const MAX_SERIAL_BYTES: usize = 64;
/// Records from which a broken file counts as salvageable even without a session.
pub const SALVAGE_RECORDS: u32 = 60;
/// Elapsed seconds above which a ride is flagged: ten days.
pub const MAX_ELAPSED_S: f64 = 10.0 * 86_400.0;
