//! The file host as the sync engine sees it.

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::domain::FileLocation;
use fitbridge_core::ports::{FileError as PortError, Files};
use fitbridge_core::{Code, Failure};

use crate::detail::Location;
use crate::file_host::{FileError, FileErrorClass, FileHost};

#[async_trait]
impl Files for FileHost {
    async fn open(&self, location: &FileLocation) -> Result<Bytes, PortError> {
        let file = self.fetch(&Location(location.0.clone())).await?;
        Ok(file.bytes)
    }
}

impl From<FileError> for PortError {
    fn from(error: FileError) -> Self {
        let failure = Failure::new(code_of(&error), detail_of(&error));
        match error.class() {
            FileErrorClass::ResolveAgain => Self::Gone(failure),
            FileErrorClass::Permanent => Self::Never(failure),
            FileErrorClass::Transient => Self::Again {
                failure,
                retry_after: match error {
                    FileError::HostError { retry_after, .. } => retry_after,
                    _ => None,
                },
            },
        }
    }
}

fn code_of(error: &FileError) -> Code {
    match error {
        FileError::Empty => Code::FileEmpty,
        FileError::Html => Code::FileHtml,
        FileError::XmlError { .. } => Code::FileXmlError,
        FileError::Json => Code::FileJson,
        FileError::NotFit => Code::FileNotFit,
        FileError::Truncated { .. } => Code::FileTruncated,
        FileError::WrongLength { .. } => Code::FileWrongLength,
        FileError::TooLarge { .. } => Code::FileTooLarge,
        FileError::RedirectRefused(_) => Code::FileRedirectRefused,
        FileError::LocationRefused(_) => Code::FileLocationRefused,
        FileError::Timeout => Code::FileTimeout,
        FileError::Unreachable(_) => Code::FileUnreachable,
        FileError::HostError { .. } | FileError::Compression(_) => Code::FileHostError,
        FileError::Gone { .. } => Code::FileGone,
    }
}

/// What the code's own sentence does not say.
fn detail_of(error: &FileError) -> String {
    match error {
        FileError::Empty
        | FileError::Html
        | FileError::Json
        | FileError::NotFit
        | FileError::TooLarge { .. }
        | FileError::Timeout => String::new(),
        FileError::XmlError { code } => code.clone().unwrap_or_default(),
        FileError::Truncated { received } => format!("after {received} bytes"),
        FileError::WrongLength { received } => format!("{received} bytes came"),
        FileError::RedirectRefused(why)
        | FileError::LocationRefused(why)
        | FileError::Unreachable(why)
        | FileError::Compression(why) => why.clone(),
        FileError::HostError { status, .. } => format!("status {status}"),
        FileError::Gone { status, code } => match code {
            Some(code) => format!("status {status}, {code}"),
            None => format!("status {status}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_catalogues() {
        let text = || "why".to_owned();
        for error in [
            FileError::Empty,
            FileError::Html,
            FileError::XmlError { code: Some(text()) },
            FileError::Json,
            FileError::NotFit,
            FileError::Truncated { received: 1 },
            FileError::WrongLength { received: 1 },
            FileError::TooLarge { limit: 1 },
            FileError::RedirectRefused(text()),
            FileError::LocationRefused(text()),
            FileError::Timeout,
            FileError::Unreachable(text()),
            FileError::Compression(text()),
            FileError::HostError { status: 500, retry_after: None },
            FileError::Gone { status: 404, code: Some(text()) },
        ] {
            assert_eq!(code_of(&error).as_str(), error.code());
        }
    }

    #[test]
    fn a_pause_asked_for_is_kept() {
        let retry_after = Some(std::time::Duration::from_secs(5));
        let error = FileError::HostError { status: 503, retry_after };
        let PortError::Again { retry_after: kept, failure } = PortError::from(error) else {
            panic!("a host's error is transient");
        };
        assert_eq!((kept, failure.detail.as_str()), (retry_after, "status 503"));
    }
}
