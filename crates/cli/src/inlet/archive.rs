//! ZIP archives, member by member.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

use bytes::Bytes;
use zip::{ZipArchive, result::ZipError};

use super::{
    Candidate, Item, Problem, Skipped,
    limits::Limits,
    name::{Kind, is_mac_leftover, shown_member},
    read::{bounded, unwrapped},
};

/// What ends an archive: a record of 22 bytes and at most 64 KiB of comment.
const END_LEN: u64 = 22;
const END_MAGIC: &[u8] = b"PK\x05\x06";
const COMMENT_MAX: u64 = 0xffff;
/// Smallest entry of the list of members; a list for N members is at least N times as long.
const ENTRY_LEN: u64 = 46;
const DAMAGED: &str = "copy or download it again; what could be read was imported";

/// An open archive; gives its members one by one.
#[derive(Debug)]
pub(super) struct Archive {
    name: String,
    limits: Limits,
    zip: ZipArchive<BufReader<File>>,
    next: usize,
    inflated: u64,
    skipped: u64,
}

impl Archive {
    /// Reads the list of members.
    pub(super) fn open(name: String, mut file: File, limits: Limits) -> Result<Self, Problem> {
        let too_many = |name: String| {
            let reason = format!("the archive has more than {} entries", limits.archive_entries);
            Problem::new(name, reason, "unpack it and import its folders one by one")
        };
        // The list is read into memory as a whole, so how long it is must be known before.
        let list = list_bytes(&mut file).unwrap_or(0);
        if list > limits.archive_entries.saturating_mul(ENTRY_LEN * 8) {
            return Err(too_many(name));
        }
        let zip = match ZipArchive::new(BufReader::new(file)) {
            Ok(zip) => zip,
            Err(error) => {
                let reason = format!("the ZIP archive is incomplete or broken: {error}");
                return Err(Problem::new(name, reason, "copy or download it again"));
            }
        };
        if zip.len() as u64 > limits.archive_entries {
            return Err(too_many(name));
        }
        Ok(Self { name, limits, zip, next: 0, inflated: 0, skipped: 0 })
    }

    /// The next member that matters; at the end the count of the others, then `None`.
    pub(super) fn next(&mut self) -> Option<Item> {
        while self.next < self.zip.len() {
            let index = self.next;
            self.next += 1;
            if let Some(item) = self.member(index) {
                return Some(item);
            }
        }
        match std::mem::take(&mut self.skipped) {
            0 => None,
            files => Some(Item::Skipped(Skipped { name: self.name.clone(), files })),
        }
    }

    fn member(&mut self, index: usize) -> Option<Item> {
        let (name, kind, encrypted) = match self.zip.by_index_data(index) {
            Ok(entry) => {
                // The name is bytes in some encoding; a wrong guess only shows wrong letters.
                let raw = entry.name().map_or_else(
                    |_| String::from_utf8_lossy(entry.name_raw()).into_owned(),
                    std::borrow::Cow::into_owned,
                );
                if entry.is_dir() {
                    return None;
                }
                let leftover = is_mac_leftover(&raw) || entry.is_symlink();
                let kind = if leftover { Kind::Other } else { Kind::of_name(&raw) };
                (format!("{}: {}", self.name, shown_member(&raw)), kind, entry.encrypted())
            }
            Err(error) => {
                return Some(self.problem(format!("{}: entry {}", self.name, index + 1), error.to_string(), DAMAGED));
            }
        };
        match kind {
            Kind::Other => {
                self.skipped += 1;
                None
            }
            Kind::Zip => {
                let reason = "an archive inside an archive is not opened";
                Some(self.problem(name, reason, "unpack the outer one and import the inner one by itself"))
            }
            Kind::Fit | Kind::FitGz if encrypted => {
                Some(self.problem(name, "it is locked with a password", "unpack the archive yourself and import its files"))
            }
            Kind::Fit | Kind::FitGz => Some(self.ride(index, name)),
        }
    }

    fn ride(&mut self, index: usize, name: String) -> Item {
        let left = self.limits.archive_bytes.saturating_sub(self.inflated);
        match self.inflate(index, left) {
            Ok(Ok(bytes)) => {
                self.inflated += bytes.len() as u64;
                if self.inflated > self.limits.archive_bytes {
                    self.next = self.zip.len();
                    let reason = format!("its members inflate to more than {} MiB", self.limits.archive_bytes >> 20);
                    return self.problem(self.name.clone(), reason, "unpack it and import its folders one by one");
                }
                Item::File(Candidate { name, bytes })
            }
            Ok(Err(problem)) => Item::Problem(Problem { name, ..problem }),
            Err(ZipError::CompressionMethodNotSupported(method)) => {
                let reason = format!("it is packed with method {method}, which is not known here");
                self.problem(name, reason, "unpack the archive yourself and import its files")
            }
            Err(error) => self.problem(name, format!("it is broken: {error}"), DAMAGED),
        }
    }

    /// The bytes of a member; a refusal of ours is the inner error, without a name.
    fn inflate(&mut self, index: usize, left: u64) -> Result<Result<Bytes, Problem>, ZipError> {
        let member = self.zip.by_index(index)?;
        let packed = member.compressed_size();
        // A member that would break the archive's bound is read one byte beyond it, no further.
        let limits = Limits { file_bytes: self.limits.file_bytes.min(left.saturating_add(1)), ..self.limits };
        let bytes = bounded(member, Some(packed), &limits).and_then(|bytes| unwrapped(bytes, &self.limits));
        Ok(bytes.map_err(|error| error.problem(String::new())))
    }

    fn problem(&self, name: String, reason: impl Into<String>, next_step: &'static str) -> Item {
        Item::Problem(Problem::new(name, reason, next_step))
    }
}

/// Length in bytes of the list of members, as the end of the archive says; `None` where there is no telling, which
/// the reader of the archive will tell better.
fn list_bytes(file: &mut File) -> Option<u64> {
    let len = file.seek(SeekFrom::End(0)).ok()?;
    let tail = len.min(END_LEN + COMMENT_MAX);
    file.seek(SeekFrom::Start(len - tail)).ok()?;
    let mut end = Vec::new();
    file.take(tail).read_to_end(&mut end).ok()?;
    file.rewind().ok()?;
    let at = end.windows(END_MAGIC.len()).rposition(|window| window == END_MAGIC)?;
    let field = end.get(at + 12..at + 16)?.first_chunk::<4>()?;
    match u32::from_le_bytes(*field) {
        // In the 64-bit form the length stands elsewhere; it cannot be longer than the file.
        u32::MAX => Some(len),
        bytes => Some(u64::from(bytes).min(len)),
    }
}
