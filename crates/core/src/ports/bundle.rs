//! Where an export is written.

/// A container of named entries, written one after the other: a ZIP file, a folder. What it holds is of use only
/// after its last entry, the manifest, has ended.
pub trait Bundle: Send {
    /// Begins an entry; the one before has ended.
    ///
    /// # Errors
    /// Why it cannot be written. Nothing more is written then.
    fn begin(&mut self, name: &str) -> Result<(), BundleError>;

    /// Adds to the entry that was begun.
    ///
    /// # Errors
    /// Why it cannot be written.
    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError>;
}

/// Why an export cannot be written: no room, no right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the export cannot be written: {0}")]
pub struct BundleError(pub String);
