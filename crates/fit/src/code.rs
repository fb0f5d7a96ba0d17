//! What the scanner says about a file: a verdict, and a stable code for whatever is wrong with it.

use fitbridge_core::Code;
use serde::{Serialize, Serializer};
use std::fmt;

/// What is wrong with a FIT file. Each has its entry in the catalogue of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FitCode {
    /// The file has no bytes.
    Empty,
    /// The file is larger than [`crate::limits::MAX_FILE_BYTES`].
    TooLarge,
    /// The `.FIT` signature is missing.
    NotFit,
    /// The header length is neither 12 nor 14.
    BadHeader,
    /// The header carries a CRC, and it is wrong.
    BadHeaderCrc,
    /// The header announces zero bytes of data: the recorder never closed the file.
    DataSizeZero,
    /// The file ends before the data that its header announces.
    Truncated,
    /// The data is whole, but the two bytes of CRC after it are not there.
    MissingCrc,
    /// The CRC does not match the bytes.
    BadCrc,
    /// Bytes follow the last segment.
    TrailingBytes,
    /// A message reaches past the end of its segment.
    MessageOverrun,
    /// A data message uses a local number that nothing has defined.
    UndefinedMessage,
    /// A definition message has an unknown byte order.
    BadDefinition,
    /// A definition describes messages above [`crate::limits::MAX_MESSAGE_BYTES`].
    MessageTooLarge,
    /// A message that says nothing, not even when, is used.
    ZeroSizeMessage,
    /// More data messages than [`crate::limits::MAX_MESSAGES`].
    TooManyMessages,
    /// More definitions than [`crate::limits::MAX_DEFINITIONS`].
    TooManyDefinitions,
    /// More chained segments than [`crate::limits::MAX_SEGMENTS`].
    TooManySegments,
}

impl FitCode {
    /// Every code, for tables and documentation.
    pub const ALL: [Self; 18] = [
        Self::Empty,
        Self::TooLarge,
        Self::NotFit,
        Self::BadHeader,
        Self::BadHeaderCrc,
        Self::DataSizeZero,
        Self::Truncated,
        Self::MissingCrc,
        Self::BadCrc,
        Self::TrailingBytes,
        Self::MessageOverrun,
        Self::UndefinedMessage,
        Self::BadDefinition,
        Self::MessageTooLarge,
        Self::ZeroSizeMessage,
        Self::TooManyMessages,
        Self::TooManyDefinitions,
        Self::TooManySegments,
    ];

    /// The entry in the one catalogue of failures: its word, its sentence, and what to do next.
    pub const fn entry(self) -> Code {
        match self {
            Self::Empty => Code::FitEmpty,
            Self::TooLarge => Code::FitTooLarge,
            Self::NotFit => Code::FitNotFit,
            Self::BadHeader => Code::FitBadHeader,
            Self::BadHeaderCrc => Code::FitBadHeaderCrc,
            Self::DataSizeZero => Code::FitDataSizeZero,
            Self::Truncated => Code::FitTruncated,
            Self::MissingCrc => Code::FitMissingCrc,
            Self::BadCrc => Code::FitBadCrc,
            Self::TrailingBytes => Code::FitTrailingBytes,
            Self::MessageOverrun => Code::FitMessageOverrun,
            Self::UndefinedMessage => Code::FitUndefinedMessage,
            Self::BadDefinition => Code::FitBadDefinition,
            Self::MessageTooLarge => Code::FitMessageTooLarge,
            Self::ZeroSizeMessage => Code::FitZeroSizeMessage,
            Self::TooManyMessages => Code::FitTooManyMessages,
            Self::TooManyDefinitions => Code::FitTooManyDefinitions,
            Self::TooManySegments => Code::FitTooManySegments,
        }
    }

    /// The stable word for logs, JSON and records. Never changes once released.
    pub fn as_str(self) -> &'static str {
        self.entry().as_str()
    }

    /// Whether the code stands for a limit or for bytes that are no FIT at all, where nothing is worth saving.
    pub(crate) const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Empty
                | Self::TooLarge
                | Self::NotFit
                | Self::BadHeader
                | Self::MessageTooLarge
                | Self::ZeroSizeMessage
                | Self::TooManyMessages
                | Self::TooManyDefinitions
                | Self::TooManySegments
        )
    }
}

impl fmt::Display for FitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FitCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What may be done with a file. The bytes are kept and sent unchanged in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Structure and every checksum are right.
    Valid,
    /// Broken, but at least one session or 60 records could be read.
    Salvageable(FitCode),
    /// Broken, and nothing worth keeping could be read.
    Rejected(FitCode),
}

impl Verdict {
    /// `valid`, `salvageable` or `rejected`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Salvageable(_) => "salvageable",
            Self::Rejected(_) => "rejected",
        }
    }

    /// What is wrong; `None` when valid.
    pub const fn code(self) -> Option<FitCode> {
        match self {
            Self::Valid => None,
            Self::Salvageable(code) | Self::Rejected(code) => Some(code),
        }
    }

    /// Whether structure and checksums are right.
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_words() {
        let words: HashSet<_> = FitCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), FitCode::ALL.len());
        for code in FitCode::ALL {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
            assert!(code.as_str().starts_with("fit_"), "{code}");
        }
    }
}
