//! The file host: where the FIT files lie, apart from the API and without a token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fitbridge_http::{
    BodyKind, BuildError, DownloadError, DownloadLimits, GuardedClient, GuardedOptions, TransportError, UrlGuard,
    download, guarded_client, sniff,
};
use reqwest::Method;
use reqwest::header::HeaderMap;
use tracing::instrument;
use url::Url;

use crate::detail::Location;

/// A file as it came. Whether it is a good FIT file is not decided here.
#[derive(Debug, Clone)]
pub struct FitFile {
    /// The bytes, unchanged.
    pub bytes: Bytes,
    /// `Content-Type` as sent.
    pub content_type: Option<String>,
    /// `ETag` as sent.
    pub etag: Option<String>,
    /// `Last-Modified` as sent.
    pub last_modified: Option<String>,
}

/// What a caller should do about a file that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileErrorClass {
    /// Ask the API again where the file lies.
    ResolveAgain,
    /// Fetch it again later.
    Transient,
    /// It will not come from there.
    Permanent,
}

/// A file that did not come. Carries no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Success, with zero bytes.
    #[error("the file host sent zero bytes")]
    Empty,
    /// A web page in place of the file.
    #[error("the file host sent a web page")]
    Html,
    /// An XML document in place of the file.
    #[error("the file host sent an error document{}", in_brackets(code.as_deref()))]
    XmlError {
        /// Its `<Code>`, for example `NoSuchKey`.
        code: Option<String>,
    },
    /// JSON in place of the file.
    #[error("the file host sent JSON")]
    Json,
    /// Something that is no FIT file.
    #[error("what the file host sent is no FIT file")]
    NotFit,
    /// The connection ended early.
    #[error("the file was cut off after {received} bytes")]
    Truncated {
        /// Bytes received.
        received: u64,
    },
    /// Another length than announced came.
    #[error("the file host announced another length than it sent ({received} bytes)")]
    WrongLength {
        /// Bytes received.
        received: u64,
    },
    /// More than a file may have.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// A redirect to a place where we do not go, or too many of them.
    #[error("a redirect is refused: {0}")]
    RedirectRefused(String),
    /// The address itself is none where we go.
    #[error("the location is refused: {0}")]
    LocationRefused(String),
    /// Not complete in time.
    #[error("the file host was too slow")]
    Timeout,
    /// No connection.
    #[error("the file host cannot be reached: {0}")]
    Unreachable(String),
    /// The host is out of order.
    #[error("the file host answered {status}")]
    HostError {
        /// HTTP status.
        status: u16,
        /// The pause it asks for.
        retry_after: Option<Duration>,
    },
    /// The host compressed the file in a way that cannot be undone.
    #[error("the file's compression cannot be undone: {0}")]
    Compression(String),
    /// It is not there, or no longer to be had under this address.
    #[error("the file is gone from its place (status {status}{})", after_comma(code.as_deref()))]
    Gone {
        /// HTTP status.
        status: u16,
        /// The `<Code>` of the error document, where there was one.
        code: Option<String>,
    },
}

impl FileError {
    /// A stable name for logs and machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "file_empty",
            Self::Html => "file_html",
            Self::XmlError { .. } => "file_xml_error",
            Self::Json => "file_json",
            Self::NotFit => "file_not_fit",
            Self::Truncated { .. } => "file_truncated",
            Self::WrongLength { .. } => "file_wrong_length",
            Self::TooLarge { .. } => "file_too_large",
            Self::RedirectRefused(_) => "file_redirect_refused",
            Self::LocationRefused(_) => "file_location_refused",
            Self::Timeout => "file_timeout",
            Self::Unreachable(_) => "file_unreachable",
            Self::HostError { .. } | Self::Compression(_) => "file_host_error",
            Self::Gone { .. } => "file_gone",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> FileErrorClass {
        match self {
            Self::Gone { .. } | Self::XmlError { .. } => FileErrorClass::ResolveAgain,
            Self::Empty
            | Self::Html
            | Self::Json
            | Self::Truncated { .. }
            | Self::WrongLength { .. }
            | Self::Timeout
            | Self::Unreachable(_)
            | Self::Compression(_)
            | Self::HostError { .. } => FileErrorClass::Transient,
            Self::NotFit | Self::TooLarge { .. } | Self::RedirectRefused(_) | Self::LocationRefused(_) => {
                FileErrorClass::Permanent
            }
        }
    }
}

fn in_brackets(code: Option<&str>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

fn after_comma(code: Option<&str>) -> String {
    code.map(|code| format!(", {code}")).unwrap_or_default()
}

/// Fetches files. No token ever goes there: this type has none to send.
#[derive(Debug, Clone)]
pub struct FileHost {
    client: GuardedClient,
    limits: DownloadLimits,
}

impl FileHost {
    /// A file host behind a guard, with at most 32 MiB, 60 seconds and 3 redirects for each file.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(guard: Arc<UrlGuard>) -> Result<Self, BuildError> {
        let client = guarded_client(guard, &GuardedOptions::default())?;
        Ok(Self::over(client, DownloadLimits::default()))
    }

    /// A file host with limits of one's own.
    #[must_use]
    pub fn over(client: GuardedClient, limits: DownloadLimits) -> Self {
        Self { client, limits }
    }

    /// Asks for a file's headers only.
    pub(crate) async fn headers(&self, location: &Location) -> Result<(u16, HeaderMap), FileError> {
        let url = self.locate(location)?;
        let request =
            self.client.request(Method::HEAD, &url).map_err(|error| FileError::LocationRefused(error.to_string()))?;
        let response =
            request.send().await.map_err(|error| FileError::Unreachable(TransportError::from(error).to_string()))?;
        Ok((response.status().as_u16(), response.headers().clone()))
    }

    fn locate(&self, location: &Location) -> Result<Url, FileError> {
        self.client.guard().parse(&location.0).map_err(|error| FileError::LocationRefused(error.to_string()))
    }

    /// Downloads a file. What is obviously no FIT file is refused; whether a FIT file is sound is the
    /// scanner's question, also where it is only a few bytes long.
    ///
    /// # Errors
    /// One [`FileError`] for each way in which no file came.
    #[instrument(level = "debug", skip_all)]
    pub async fn fetch(&self, location: &Location) -> Result<FitFile, FileError> {
        let url = self.locate(location)?;
        let file = download(&self.client, &url, &self.limits).await.map_err(from_download)?;
        look_at(&file.bytes)?;
        Ok(FitFile {
            bytes: file.bytes,
            content_type: file.content_type,
            etag: file.etag,
            last_modified: file.last_modified,
        })
    }
}

/// Refuses what is obviously something else than a FIT file.
fn look_at(bytes: &[u8]) -> Result<(), FileError> {
    if bytes.get(8..12) == Some(b".FIT") {
        return Ok(());
    }
    match sniff(bytes) {
        _ if bytes.is_empty() => Err(FileError::Empty),
        BodyKind::Html => Err(FileError::Html),
        BodyKind::Xml => Err(FileError::XmlError { code: xml_code(bytes) }),
        BodyKind::Json => Err(FileError::Json),
        BodyKind::Empty | BodyKind::Other if bytes.len() >= 12 => Err(FileError::NotFit),
        BodyKind::Empty | BodyKind::Other => Ok(()),
    }
}

fn from_download(error: DownloadError) -> FileError {
    match error {
        DownloadError::RefusedUrl(why) => FileError::LocationRefused(why.to_string()),
        DownloadError::NotPublic => FileError::LocationRefused("its name leads to no public address".into()),
        DownloadError::RedirectRefused(why) => FileError::RedirectRefused(why.to_string()),
        DownloadError::TooManyRedirects { limit } => FileError::RedirectRefused(format!("more than {limit} of them")),
        DownloadError::TooLarge { limit } => FileError::TooLarge { limit },
        // Where the whole of a FIT file came and the host had announced more, the announcement was
        // wrong rather than the file cut.
        DownloadError::Truncated { received, head, .. }
            if own_length(&head).is_some_and(|length| received >= length) =>
        {
            FileError::WrongLength { received }
        }
        DownloadError::Truncated { received, .. } => FileError::Truncated { received },
        DownloadError::WrongLength { received, .. } => FileError::WrongLength { received },
        DownloadError::Timeout => FileError::Timeout,
        DownloadError::Connect(why) => FileError::Unreachable(why),
        DownloadError::Decode(why) => FileError::Compression(why),
        DownloadError::Status { status: status @ (403 | 404 | 410), excerpt, .. } => {
            FileError::Gone { status, code: xml_code(&excerpt) }
        }
        DownloadError::Status { status, retry_after, .. } => FileError::HostError { status, retry_after },
    }
}

/// Length of a FIT file by its own header: header, data, checksum.
fn own_length(head: &[u8]) -> Option<u64> {
    if head.get(8..12)? != b".FIT" {
        return None;
    }
    let data = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    Some(u64::from(head[0]) + u64::from(data) + 2)
}

/// The `<Code>` of an object store's error document, when it looks like a word.
fn xml_code(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body.get(..2048).unwrap_or(body));
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let code = code.trim();
    let is_word = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_header_or_a_short_rest_passes() {
        assert_eq!(look_at(b"\x0e\x10\xd9\x07\x00\x00\x00\x00.FIT\x00\x00"), Ok(()));
        assert_eq!(look_at(b"\x0c\x10<!\x00\x00\x00\x00.FIT"), Ok(()));
        assert_eq!(look_at(b"\x0e\x10\xd9"), Ok(()));
    }

    #[test]
    fn what_is_no_file_is_told() {
        let code = |bytes: &[u8]| look_at(bytes).unwrap_err().code();
        assert_eq!(code(b""), "file_empty");
        assert_eq!(code(b"<html>"), "file_html");
        assert_eq!(code(b"{\"code\":401}"), "file_json");
        assert_eq!(code(b"not a FIT file at all"), "file_not_fit");
        assert_eq!(code(&[b' '; 40]), "file_not_fit");
        assert_eq!(
            look_at(b"<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code></Error>"),
            Err(FileError::XmlError { code: Some("NoSuchKey".into()) })
        );
    }

    #[test]
    fn a_code_is_a_word_or_nothing() {
        assert_eq!(xml_code(b"<Code>Access Denied\x1b</Code>"), None);
        assert_eq!(xml_code(b"<Code></Code>"), None);
        assert_eq!(xml_code(b"<Code>AccessDenied"), None);
        assert_eq!(xml_code(b"\xff<Code> AccessDenied </Code>").as_deref(), Some("AccessDenied"));
    }

    #[test]
    fn a_whole_file_under_a_wrong_announcement_is_not_truncated() {
        let mut head = vec![14, 0x10, 0, 0, 5, 0, 0, 0];
        head.extend_from_slice(b".FIT\0\0");
        let cut =
            |received| DownloadError::Truncated { received, announced: Some(1000), head: Bytes::from(head.clone()) };
        assert_eq!(from_download(cut(21)), FileError::WrongLength { received: 21 });
        assert_eq!(from_download(cut(20)), FileError::Truncated { received: 20 });
    }
}
