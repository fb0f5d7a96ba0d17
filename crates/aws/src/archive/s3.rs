//! The archive over an object store.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use fitbridge_core::{
    domain::{ContentId, UserId},
    ports::{Archive, ArchiveError, Put, archive_path},
};
use futures::TryStreamExt as _;
use object_store::{
    BackoffConfig, Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig, UpdateVersion,
    aws::{AmazonS3Builder, Checksum},
    path,
    signer::{Method, Signer},
};
use secrecy::SecretString;
use url::Url;

use super::{credentials::SdkCredentials, http::Clients};

/// Longest life of a link; a limit of signatures of version 4.
const MAX_LINK_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why there is no link to a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// This store cannot make links.
    #[error("this archive cannot make links")]
    Unsupported,
    /// Links live from a second to a week.
    #[error("a link lives from a second to seven days")]
    Life,
    /// Signing failed, usually for want of credentials; try later.
    #[error("the link could not be signed: {0}")]
    Unavailable(String),
}

/// The archive in a bucket of S3. How files are encrypted is the bucket's setting. A bucket policy may
/// demand a condition of every write: a new file is put with `If-None-Match: *`, and a damaged one is
/// replaced with `If-Match`.
#[derive(Clone)]
pub struct S3Archive {
    store: Arc<dyn ObjectStore>,
    signer: Option<Arc<dyn Signer>>,
}

impl S3Archive {
    /// The archive in `bucket`, asked with the region and the credentials of `config`; at `endpoint` where
    /// one is given, as the bucket's folder there (emulators and most lookalikes want it so).
    pub fn new(config: &SdkConfig, bucket: &str, endpoint: Option<&str>) -> Result<Self, ArchiveError> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_credentials(Arc::new(SdkCredentials::new(config)))
            .with_checksum_algorithm(Checksum::SHA256)
            .with_disable_tagging(true)
            .with_retry(retry())
            .with_http_connector(Clients);
        if let Some(region) = config.region() {
            builder = builder.with_region(region.as_ref());
        }
        builder = match endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://")),
            None => builder.with_virtual_hosted_style_request(true),
        };
        let store = Arc::new(builder.build().map_err(|error| unavailable(&error))?);
        Ok(Self { store: Arc::<object_store::aws::AmazonS3>::clone(&store), signer: Some(store) })
    }

    /// The archive in any store; it makes no links.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, signer: None }
    }

    /// A link by which anybody can read a file for so long, a second to seven days. It ends earlier with
    /// the credentials that signed it: in a function, after some hours at most. Whether the file is there
    /// is not asked.
    pub async fn signed_url(&self, user: &UserId, content: ContentId, life: Duration) -> Result<Url, LinkError> {
        let signer = self.signer.as_ref().ok_or(LinkError::Unsupported)?;
        if life < Duration::from_secs(1) || life > MAX_LINK_LIFE {
            return Err(LinkError::Life);
        }
        let link = signer.signed_url(Method::GET, &location(user, content), life).await;
        link.map_err(|error| LinkError::Unavailable(error.to_string()))
    }

    async fn read(&self, location: &path::Path, content: ContentId) -> Result<Bytes, Bad> {
        let failed = |error: Error| match error {
            Error::NotFound { .. } => Bad::Missing,
            error => Bad::Failed(unavailable(&error)),
        };
        let got = self.store.get(location).await.map_err(failed)?;
        let meta = got.meta.clone();
        let bytes = got.bytes().await.map_err(failed)?;
        if ContentId::of(&bytes) == content { Ok(bytes) } else { Err(Bad::Damaged(Box::new(meta))) }
    }

    /// Puts the file in place of nothing, or of exactly the damaged copy that was seen.
    async fn write(&self, location: &path::Path, bytes: Bytes, mode: PutMode) -> Result<bool, ArchiveError> {
        match self.store.put_opts(location, bytes.into(), PutOptions::from(mode)).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

impl fmt::Debug for S3Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Archive").field("store", &format_args!("{}", self.store)).finish_non_exhaustive()
    }
}

/// What is wrong with what is stored.
enum Bad {
    Missing,
    Damaged(Box<ObjectMeta>),
    Failed(ArchiveError),
}

impl Bad {
    fn of(self, content: ContentId) -> ArchiveError {
        match self {
            Self::Missing => ArchiveError::Missing(content),
            Self::Damaged(_) => ArchiveError::Damaged(content),
            Self::Failed(error) => error,
        }
    }
}

/// Each part is encoded, so that a user named `..` stays inside.
fn location(user: &UserId, content: ContentId) -> path::Path {
    path::Path::from_iter(archive_path(user, content))
}

/// Where a user's files lie.
pub(super) fn folder(user: &UserId) -> path::Path {
    let [root, owner, ..] = archive_path(user, ContentId::of(b""));
    path::Path::from_iter([root, owner])
}

/// Shorter than a function's time: what does not work now works at the record's next attempt.
fn retry() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 };
    RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(20) }
}

fn unavailable(error: &Error) -> ArchiveError {
    ArchiveError::Unavailable(error.to_string())
}

#[async_trait]
impl Archive for S3Archive {
    async fn put(&self, user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError> {
        const TRIES: usize = 3;
        if ContentId::of(&bytes) != content {
            return Err(ArchiveError::Damaged(content));
        }
        let location = location(user, content);
        let mut mode = PutMode::Create;
        for _ in 0..TRIES {
            if self.write(&location, bytes.clone(), mode).await? {
                return Ok(Put::Created);
            }
            // Whether it is the same file is seen in its bytes; this happens with repeated work only.
            mode = match self.read(&location, content).await {
                Ok(_) => return Ok(Put::AlreadyThere),
                Err(Bad::Missing) => PutMode::Create,
                Err(Bad::Damaged(meta)) => {
                    tracing::warn!(content = %content, "replacing a damaged file of the archive");
                    PutMode::Update(UpdateVersion { e_tag: meta.e_tag, version: meta.version })
                }
                Err(Bad::Failed(error)) => return Err(error),
            };
        }
        Err(ArchiveError::Unavailable("others keep writing the same file".into()))
    }

    async fn open(&self, user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError> {
        self.read(&location(user, content), content).await.map_err(|bad| bad.of(content))
    }

    async fn delete(&self, user: &UserId, content: ContentId) -> Result<(), ArchiveError> {
        match self.store.delete(&location(user, content)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// In a versioned bucket what is deleted stays as an old version until the bucket's rule ends it; at the end of
    /// an account see [`super::OperatorArchive`].
    async fn forget_user(&self, user: &UserId) -> Result<u64, ArchiveError> {
        let found: Vec<_> =
            self.store.list(Some(&folder(user))).try_collect().await.map_err(|error| unavailable(&error))?;
        let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
        for object in found {
            match self.store.delete(&object.location).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Ok(count)
    }

    fn makes_links(&self) -> bool {
        self.signer.is_some()
    }

    async fn link(&self, user: &UserId, content: ContentId, life: Duration) -> Result<SecretString, ArchiveError> {
        let url = self.signed_url(user, content, life).await;
        url.map(|url| String::from(url).into()).map_err(|error| ArchiveError::Unavailable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use fitbridge_core::testkit::conformance;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_archive_conforms_over_a_store_in_memory() {
        let store = Arc::new(InMemory::new());
        let archive = S3Archive::over(Arc::<InMemory>::clone(&store));
        let damage = |user: &UserId, content| {
            let location = location(user, content);
            let put = store.put(&location, Bytes::from_static(b"bit rot").into());
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put)).unwrap();
        };
        conformance::archive::suite(&archive, &damage).await;
    }

    #[tokio::test]
    async fn a_store_in_memory_has_no_links() {
        let archive = S3Archive::over(Arc::new(InMemory::new()));
        let user = UserId::new("rider").unwrap();
        let link = archive.signed_url(&user, ContentId::of(b""), Duration::from_secs(60)).await;
        assert_eq!(link, Err(LinkError::Unsupported));
    }

    #[test]
    fn files_lie_where_the_folder_archive_has_them() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let place = |user: &str| location(&UserId::new(user).unwrap(), ContentId::of(b"")).to_string();
        assert_eq!(place("me.2-x_y"), format!("fit/me.2-x_y/e3/{empty}.fit"));
        assert_eq!(place(".."), format!("fit/%2E%2E/e3/{empty}.fit"));
    }
}
