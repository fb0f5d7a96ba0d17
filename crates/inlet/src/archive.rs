//! ZIP archives, member by member.

use std::io::{BufReader, Read, Seek, SeekFrom};

use zip::{ZipArchive, result::ZipError};

use crate::{
    Candidate, Item, Problem, Skipped,
    limits::Limits,
    name::{Kind, is_mac_leftover, shown_member},
    read::{ReadError, bounded, unwrapped},
};

/// What ends an archive: a record of 22 bytes and at most 64 KiB of comment.
const END_LEN: u64 = 22;
const END_MAGIC: &[u8] = b"PK\x05\x06";
/// The 64-bit form: a record, and before the end of the archive a locator of it.
const END_64_LEN: u64 = 56;
const END_64_MAGIC: &[u8] = b"PK\x06\x06";
const LOCATOR_64_LEN: usize = 20;
const LOCATOR_64_MAGIC: &[u8] = b"PK\x06\x07";
const COMMENT_MAX: u64 = 0xffff;
/// Smallest entry of the list of members; a list for N members is at least N times as long.
const ENTRY_LEN: u64 = 46;
const DAMAGED: &str = "copy or download it again; what could be read was imported";

/// An open ZIP archive: an iterator over the members that may be rides, the problems among them, and at the end
/// the count of the others. Members are read when they are asked for, one at a time.
#[derive(Debug)]
pub struct Archive<R> {
    name: String,
    limits: Limits,
    zip: ZipArchive<BufReader<R>>,
    next: usize,
    inflated: u64,
    skipped: u64,
}

impl<R: Read + Seek> Iterator for Archive<R> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
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
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the list of members. `name` is for display only.
    ///
    /// # Errors
    /// It is no archive, or a broken one, or its list of members is longer than [`Limits::archive_entries`] allows.
    pub fn open(name: String, mut file: R, limits: Limits) -> Result<Self, Problem> {
        let too_many = |name: String| {
            let reason = format!("its list of entries is too long; at most {} are read", limits.archive_entries);
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
                return Some(problem(format!("{}: entry {}", self.name, index + 1), error.to_string(), DAMAGED));
            }
        };
        match kind {
            Kind::Other => {
                self.skipped += 1;
                None
            }
            Kind::Zip => {
                let reason = "an archive inside an archive is not opened";
                Some(problem(name, reason, "unpack the outer one and import the inner one by itself"))
            }
            Kind::Fit | Kind::FitGz if encrypted => {
                Some(problem(name, "it is locked with a password", "unpack the archive yourself and import its files"))
            }
            Kind::Fit | Kind::FitGz => Some(self.ride(index, name)),
        }
    }

    fn ride(&mut self, index: usize, name: String) -> Item {
        let left = self.limits.archive_bytes.saturating_sub(self.inflated);
        let limits = Limits { file_bytes: self.limits.file_bytes.min(left), ..self.limits };
        let member = match self.zip.by_index(index) {
            Ok(member) => member,
            Err(ZipError::CompressionMethodNotSupported(method)) => {
                let reason = format!("it is packed with method {method}, which is not known here");
                return problem(name, reason, "unpack the archive yourself and import its files");
            }
            Err(error) => return problem(name, format!("it is broken: {error}"), DAMAGED),
        };
        let packed = member.compressed_size();
        match bounded(member, Some(packed), &limits).and_then(|bytes| unwrapped(bytes, &limits)) {
            Ok(bytes) => {
                self.inflated += bytes.len() as u64;
                Item::File(Candidate { name, bytes })
            }
            Err(ReadError::TooLarge(_)) if left < self.limits.file_bytes => {
                self.next = self.zip.len();
                let reason = format!("its members inflate to more than {} MiB", self.limits.archive_bytes >> 20);
                problem(self.name.clone(), reason, "unpack it and import its folders one by one")
            }
            Err(error) => {
                // Bytes that were inflated in vain are work as well.
                self.inflated += limits.most(Some(packed));
                Item::Problem(error.problem(name))
            }
        }
    }
}

fn problem(name: String, reason: impl Into<String>, next_step: &'static str) -> Item {
    Item::Problem(Problem::new(name, reason, next_step))
}

/// Length in bytes of the list of members, as the end of the archive says; `None` where there is no telling, which
/// the reader of the archive will tell better.
fn list_bytes<R: Read + Seek>(file: &mut R) -> Option<u64> {
    let len = file.seek(SeekFrom::End(0)).ok()?;
    let tail = len.min(END_LEN + COMMENT_MAX);
    file.seek(SeekFrom::Start(len - tail)).ok()?;
    let mut end = Vec::new();
    file.by_ref().take(tail).read_to_end(&mut end).ok()?;
    file.rewind().ok()?;
    let at = end.windows(END_MAGIC.len()).rposition(|window| window == END_MAGIC)?;
    let bytes = u32::from_le_bytes(*end.get(at + 12..)?.first_chunk()?);
    if bytes != u32::MAX {
        return Some(bytes.into());
    }
    // The 64-bit form stands elsewhere. Where it cannot be found, the list may be as long as the file.
    Some(list_bytes_64(file, end.get(..at)?).unwrap_or(len))
}

/// As [`list_bytes`], from the 64-bit record that the locator at the end of `before` points to.
fn list_bytes_64<R: Read + Seek>(file: &mut R, before: &[u8]) -> Option<u64> {
    let locator = before.get(before.len().checked_sub(LOCATOR_64_LEN)?..)?;
    let at = u64::from_le_bytes(*locator.strip_prefix(LOCATOR_64_MAGIC)?.get(4..)?.first_chunk()?);
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut record = Vec::new();
    file.by_ref().take(END_64_LEN).read_to_end(&mut record).ok()?;
    file.rewind().ok()?;
    Some(u64::from_le_bytes(*record.strip_prefix(END_64_MAGIC)?.get(36..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn list(parts: &[&[u8]]) -> Option<u64> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&parts.concat()).expect("written");
        list_bytes(&mut file)
    }

    fn end(list: u32) -> Vec<u8> {
        [END_MAGIC, &[0; 8], &list.to_le_bytes(), &[0; 4], &[0; 2]].concat()
    }

    #[test]
    fn the_length_of_the_list_is_known_before_it_is_read() {
        assert_eq!(list(&[b"members", &end(4711)]), Some(4711));
        assert_eq!(list(&[b"no archive"]), None);
        assert_eq!(list(&[&end(4711)[..15]]), None);
    }

    #[test]
    fn the_64_bit_form_is_found_through_its_locator() {
        let record = [END_64_MAGIC, &[0; 36], &5_000_000_000u64.to_le_bytes(), &[0; 8]].concat();
        let locator = |at: u64| [LOCATOR_64_MAGIC, &[0; 4], &at.to_le_bytes(), &[0; 4]].concat();
        assert_eq!(record.len() as u64, END_64_LEN);
        assert_eq!(list(&[b"members", &record, &locator(7), &end(u32::MAX)]), Some(5_000_000_000));
        // A locator that leads astray: as long as the file, to be on the safe side.
        assert_eq!(list(&[b"members", &record, &locator(1 << 40), &end(u32::MAX)]), Some(7 + 56 + 20 + 22));
        assert_eq!(list(&[&end(u32::MAX)]), Some(22));
    }
}
