//! What the scanner says about a file: a verdict, and a stable code for whatever is wrong with it.

use serde::{Serialize, Serializer};
use std::fmt;

/// What is wrong with a FIT file. Each has a stable word, one sentence and, where there is one, a next step.
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

    /// The stable word for logs, JSON and records. Never changes once released.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "fit_empty",
            Self::TooLarge => "fit_too_large",
            Self::NotFit => "fit_not_fit",
            Self::BadHeader => "fit_bad_header",
            Self::BadHeaderCrc => "fit_bad_header_crc",
            Self::DataSizeZero => "fit_data_size_zero",
            Self::Truncated => "fit_truncated",
            Self::MissingCrc => "fit_missing_crc",
            Self::BadCrc => "fit_bad_crc",
            Self::TrailingBytes => "fit_trailing_bytes",
            Self::MessageOverrun => "fit_message_overrun",
            Self::UndefinedMessage => "fit_undefined_message",
            Self::BadDefinition => "fit_bad_definition",
            Self::MessageTooLarge => "fit_message_too_large",
            Self::ZeroSizeMessage => "fit_zero_size_message",
            Self::TooManyMessages => "fit_too_many_messages",
            Self::TooManyDefinitions => "fit_too_many_definitions",
            Self::TooManySegments => "fit_too_many_segments",
        }
    }

    /// One sentence a rider can read.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Empty => "The file is empty.",
            Self::TooLarge => "The file is larger than 32 MiB, which no ride is.",
            Self::NotFit => "This is not a FIT file: the .FIT signature is missing.",
            Self::BadHeader => "The FIT header has an impossible length.",
            Self::BadHeaderCrc => "The checksum of the FIT header is wrong.",
            Self::DataSizeZero => "The FIT header says that the file holds no data, as when a recorder lost power.",
            Self::Truncated => "The file ends too early; its last part is missing.",
            Self::MissingCrc => "The file lacks the checksum at its end.",
            Self::BadCrc => "The checksum of the file is wrong; some bytes were changed.",
            Self::TrailingBytes => "Bytes that are not FIT follow the end of the file.",
            Self::MessageOverrun => "The last message of the file is not complete.",
            Self::UndefinedMessage => "The file uses a message that it never defined.",
            Self::BadDefinition => "A message definition in the file makes no sense.",
            Self::MessageTooLarge => "A message definition in the file is absurdly large.",
            Self::ZeroSizeMessage => "The file holds messages without any content.",
            Self::TooManyMessages => "The file holds more messages than any ride has.",
            Self::TooManyDefinitions => "The file holds more message definitions than any ride has.",
            Self::TooManySegments => "The file chains more FIT files than any ride has.",
        }
    }

    /// What the rider can do about it, where there is something.
    pub const fn next_step(self) -> Option<&'static str> {
        match self {
            Self::Empty
            | Self::DataSizeZero
            | Self::Truncated
            | Self::MissingCrc
            | Self::BadCrc
            | Self::BadHeaderCrc
            | Self::MessageOverrun
            | Self::UndefinedMessage
            | Self::BadDefinition => {
                Some("Fetch the ride again; if it stays so, copy the file from the device over USB and import it.")
            }
            Self::NotFit | Self::BadHeader => {
                Some("Check that this is the original .fit file and not a web page or an archive.")
            }
            Self::TrailingBytes => Some("Fetch the ride again; the download may have been mixed with another answer."),
            Self::TooLarge
            | Self::MessageTooLarge
            | Self::ZeroSizeMessage
            | Self::TooManyMessages
            | Self::TooManyDefinitions
            | Self::TooManySegments => None,
        }
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
    fn codes_are_distinct_words_with_a_sentence() {
        let words: HashSet<_> = FitCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), FitCode::ALL.len());
        for code in FitCode::ALL {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
            assert!(code.as_str().starts_with("fit_"), "{code}");
            assert!(code.sentence().ends_with('.'), "{code}");
            if let Some(step) = code.next_step() {
                assert!(step.ends_with('.'), "{code}");
            }
        }
    }
}
