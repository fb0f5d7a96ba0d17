//! Bounds on what an import reads.

/// How much is read, and how far. The defaults are far above what a rider has.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest file after inflating, in bytes.
    pub file_bytes: u64,
    /// Most entries of an archive, folders included.
    pub archive_entries: u64,
    /// Bytes that all members of an archive may inflate to together.
    pub archive_bytes: u64,
    /// How many bytes one packed byte may inflate to; FIT files reach about 10.
    pub ratio: u64,
    /// Inflated bytes up to which the ratio is of no interest.
    pub ratio_from_bytes: u64,
    /// How many folders deep a folder is read.
    pub depth: u32,
    /// Most files of one import.
    pub files: u64,
}

impl Limits {
    /// Most bytes that are read of a file, given the size of what it is inflated from, if it is.
    pub fn most(&self, packed: Option<u64>) -> u64 {
        let by_ratio = packed.map(|packed| packed.saturating_mul(self.ratio).max(self.ratio_from_bytes));
        by_ratio.unwrap_or(u64::MAX).min(self.file_bytes)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: fitbridge_fit::limits::MAX_FILE_BYTES as u64,
            archive_entries: 10_000,
            archive_bytes: 2 << 30,
            ratio: 100,
            ratio_from_bytes: 1 << 20,
            depth: 32,
            files: 100_000,
        }
    }
}
