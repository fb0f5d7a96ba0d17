//! The archive at the end of an account: in a bucket with versions a deletion only hides a file.
//!
//! Two calls of S3 that the object store has not, `ListObjectVersions` and `DeleteObject` with a version, signed by
//! the SDK's own signer. Only an operator's program makes them; the functions have neither the right nor the code.
//!
//! Facts: the S3 API reference, `ListObjectVersions`, `DeleteObject` and "Error responses", and "Signature
//! Calculations for the Authorization Header", read November 2026.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::config::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use bytes::Bytes;
use fitbridge_core::{
    domain::{ContentId, UserId},
    ports::{Archive, ArchiveError, Put},
};
use fitbridge_http::{ApiOptions, BodyError, TransportError, read_bounded, store_client};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::CredentialProvider as _;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{S3Archive, credentials::SdkCredentials, s3::folder};
use crate::failure::told;

/// Versions that are deleted at a time.
const AT_A_TIME: usize = 16;
/// How often a call is made that failed for a reason that passes.
const TRIES: u32 = 4;
/// Before the second try; doubled before each further one.
const WAIT: Duration = Duration::from_millis(200);
/// Largest answer, bytes: a thousand versions with the longest names are a third of it.
const MAX_ANSWER: u64 = 8 * 1024 * 1024;

/// The archive as an operator has it: as [`S3Archive`], but what is forgotten of a user is gone with all its versions.
#[derive(Debug, Clone)]
pub struct OperatorArchive {
    archive: S3Archive,
    client: reqwest::Client,
    bucket: Url,
    region: String,
    config: SdkConfig,
    credentials: Arc<SdkCredentials>,
}

/// What a bucket lists of its versions. It goes by the name, the newest version of a name first.
#[derive(Debug, Deserialize)]
struct Listing {
    #[serde(rename = "Version", default)]
    versions: Vec<Version>,
    #[serde(rename = "DeleteMarker", default)]
    markers: Vec<Version>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    key: String,
    version_id: String,
    is_latest: bool,
}

/// What a bucket says of a request that it refuses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: String,
    message: Option<String>,
}

/// Why a call came to nothing.
enum Failed {
    /// The next one may do.
    Passing(String),
    /// There is no such thing.
    Missing(String),
    /// It stays so.
    Lasting(String),
}

fn lasting(error: impl std::fmt::Display) -> Failed {
    Failed::Lasting(error.to_string())
}

fn broken(error: &TransportError) -> Failed {
    Failed::Passing(error.to_string())
}

impl OperatorArchive {
    /// The archive in `bucket`, as [`S3Archive::new`] has it.
    pub fn new(config: &SdkConfig, bucket: &str, endpoint: Option<&str>) -> Result<Self, ArchiveError> {
        let wrong = |error: &dyn std::fmt::Display| ArchiveError::Unavailable(error.to_string());
        let region = config.region().map_or_else(|| "us-east-1".to_owned(), ToString::to_string);
        let url = match endpoint {
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None => format!("https://{bucket}.s3.{region}.amazonaws.com"),
        };
        Ok(Self {
            archive: S3Archive::new(config, bucket, endpoint)?,
            client: store_client(&ApiOptions::default()).map_err(|error| wrong(&error))?,
            bucket: Url::parse(&url).map_err(|error| wrong(&error))?,
            region,
            config: config.clone(),
            credentials: SdkCredentials::new(config).into(),
        })
    }

    fn url_of_list(&self, prefix: &str) -> Url {
        let mut url = self.bucket.clone();
        url.query_pairs_mut().append_key_only("versions").append_pair("prefix", prefix);
        url
    }

    fn url_of_version(&self, version: &Version) -> Url {
        let mut url = self.bucket.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(version.key.split('/'));
        }
        url.query_pairs_mut().append_pair("versionId", &version.version_id);
        url
    }

    /// The first versions under a prefix; none when there is nothing left.
    async fn list(&self, prefix: &str) -> Result<Listing, ArchiveError> {
        let said = self.call(&Method::GET, &self.url_of_list(prefix)).await.map_err(|failed| match failed {
            Failed::Passing(why) | Failed::Missing(why) | Failed::Lasting(why) => ArchiveError::Unavailable(why),
        })?;
        let listing = std::str::from_utf8(&said).ok().and_then(|text| quick_xml::de::from_str(text).ok());
        listing.ok_or_else(|| ArchiveError::Unavailable("what the bucket lists is not understood".to_owned()))
    }

    async fn delete_version(&self, version: &Version) -> Result<(), ArchiveError> {
        match self.call(&Method::DELETE, &self.url_of_version(version)).await {
            Ok(_) | Err(Failed::Missing(_)) => Ok(()),
            Err(Failed::Passing(why) | Failed::Lasting(why)) => Err(ArchiveError::Unavailable(why)),
        }
    }

    /// Makes a call, a few times where it fails for a reason that passes. Both calls can be repeated.
    async fn call(&self, method: &Method, url: &Url) -> Result<Bytes, Failed> {
        let mut wait = WAIT;
        for _ in 1..TRIES {
            match self.call_once(method, url).await {
                Err(Failed::Passing(_)) => tokio::time::sleep(wait).await,
                answer => return answer,
            }
            wait *= 2;
        }
        self.call_once(method, url).await
    }

    async fn call_once(&self, method: &Method, url: &Url) -> Result<Bytes, Failed> {
        let mut request = self.client.request(method.clone(), url.clone());
        let now = self.config.time_source().unwrap_or_default().now();
        for (name, value) in self.signature(method, url, now).await? {
            request = request.header(name, value);
        }
        let answer = request.send().await.map_err(|error| broken(&error.into()))?;
        let status = answer.status();
        let body = read_bounded(answer, MAX_ANSWER).await.map_err(|error| match error {
            BodyError::Transport(error) => broken(&error),
            error @ BodyError::TooLarge { .. } => lasting(error),
        })?;
        if status.is_success() {
            return Ok(body);
        }
        let refusal = std::str::from_utf8(&body).ok().and_then(|text| quick_xml::de::from_str::<Refusal>(text).ok());
        let why = refusal.map_or_else(
            || format!("the bucket answers {status}"),
            |refusal| told(&refusal.code, refusal.message.as_deref()),
        );
        Err(match status {
            StatusCode::NOT_FOUND => Failed::Missing(why),
            StatusCode::TOO_MANY_REQUESTS => Failed::Passing(why),
            status if status.is_server_error() => Failed::Passing(why),
            _ => Failed::Lasting(why),
        })
    }

    /// The headers that sign a call, as Signature Version 4 has them for S3: the path is encoded once and taken as
    /// it stands, and the digest of the body is a header.
    async fn signature(&self, method: &Method, url: &Url, now: SystemTime) -> Result<Vec<(String, String)>, Failed> {
        let given = self.credentials.get_credential().await.map_err(lasting)?;
        let token = given.token.clone();
        let identity = Credentials::new(&given.key_id, &given.secret_key, token, None, "archive").into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .map_err(lasting)?
            .into();
        let body = SignableBody::Bytes(&[]);
        let request = SignableRequest::new(method.as_str(), url.as_str(), std::iter::empty(), body);
        let signed = sign(request.map_err(lasting)?, &parameters).map_err(lasting)?;
        let (instructions, _) = signed.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

#[async_trait]
impl Archive for OperatorArchive {
    async fn put(&self, user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError> {
        self.archive.put(user, content, bytes).await
    }

    async fn open(&self, user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError> {
        self.archive.open(user, content).await
    }

    async fn delete(&self, user: &UserId, content: ContentId) -> Result<(), ArchiveError> {
        self.archive.delete(user, content).await
    }

    /// Lists and deletes until the list is empty, so that `Ok` means that nothing can be restored. A file counts
    /// that was there; what is only an old version or the mark of a deletion does not.
    async fn forget_user(&self, user: &UserId) -> Result<u64, ArchiveError> {
        let prefix = format!("{}/", folder(user));
        let (mut count, mut names, mut last) = (0, HashSet::new(), HashSet::new());
        loop {
            let listing = self.list(&prefix).await?;
            // A name whose newest version was deleted a page ago has another one that calls itself the newest.
            let is_there = |version: &&Version| version.is_latest && !names.contains(&version.key);
            count += u64::try_from(listing.versions.iter().filter(is_there).count()).unwrap_or(u64::MAX);
            let page: Vec<_> = listing.versions.into_iter().chain(listing.markers).collect();
            if page.is_empty() {
                return Ok(count);
            }
            for version in &page {
                let id = (version.key.clone(), version.version_id.clone());
                if !version.key.starts_with(&prefix) || last.contains(&id) {
                    let why = "the bucket lists what it was not asked for, or keeps what was deleted";
                    return Err(ArchiveError::Unavailable(why.to_owned()));
                }
            }
            names.extend(page.iter().map(|version| version.key.clone()));
            last = page.iter().map(|version| (version.key.clone(), version.version_id.clone())).collect();
            let deletions = stream::iter(page).map(async |version| self.delete_version(&version).await);
            deletions.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
        }
    }

    fn makes_links(&self) -> bool {
        self.archive.makes_links()
    }

    async fn link(&self, user: &UserId, content: ContentId, life: Duration) -> Result<SecretString, ArchiveError> {
        self.archive.link(user, content, life).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aws_config::Region;
    use aws_sdk_sqs::config::SharedCredentialsProvider;
    use axum::{
        Router,
        http::{StatusCode, Uri},
    };

    use super::*;

    fn config() -> SdkConfig {
        let credentials = Credentials::new("id", "secret", Some("token".to_owned()), None, "test");
        SdkConfig::builder()
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    fn user() -> UserId {
        UserId::new("rider").unwrap()
    }

    /// The signatures are those of botocore's `S3SigV4Auth` for the same requests; a bucket refuses any other.
    #[tokio::test]
    async fn calls_are_signed_as_s3_wants_them() {
        let archive = OperatorArchive::new(&config(), "bucket", None).unwrap();
        // 2026-01-02T03:04:05Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        let version =
            Version { key: "fit/%2E%2E/ab/x.fit".to_owned(), version_id: "a.b_c-d+/=".to_owned(), is_latest: true };
        let calls = [
            (
                Method::GET,
                archive.url_of_list("fit/%2E%2E/"),
                "eddd1f8610f4b95bfb4ee85e930b92091069f16f53ca416022a019ea2019c3bd",
            ),
            (
                Method::DELETE,
                archive.url_of_version(&version),
                "9ae2f8b313ea18010ef35b3df9b6680aafcbc69b094c53dce43d8b23fdbf38c4",
            ),
        ];
        for (method, url, expected) in calls {
            let Ok(headers) = archive.signature(&method, &url, now).await else { panic!("{url}") };
            let signed = &headers.iter().find(|(name, _)| name == "authorization").unwrap().1;
            assert!(signed.ends_with(&format!("Signature={expected}")), "{method} {url}: {signed}");
            assert!(headers.iter().any(|(name, value)| name == "x-amz-security-token" && value == "token"));
        }
    }

    /// A bucket with these answers to lists, one after the other, and this one to deletions. What was asked of it.
    async fn bucket(
        lists: &'static [(u16, &'static str)],
        deletion: (u16, &'static str),
    ) -> (OperatorArchive, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        let answer = move |method: axum::http::Method, uri: Uri| {
            let mut seen = seen.lock().unwrap();
            seen.push(format!("{method} {uri}"));
            let lists_so_far = seen.iter().filter(|call| call.starts_with("GET")).count();
            let (status, body) = if method == axum::http::Method::GET { lists[lists_so_far - 1] } else { deletion };
            std::future::ready((StatusCode::from_u16(status).unwrap(), body))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        (OperatorArchive::new(&config(), "bucket", Some(&endpoint)).unwrap(), asked)
    }

    const EMPTY: &str = "<ListVersionsResult/>";
    // Versions and marks in turns, as they come.
    const TWO: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>\
        <DeleteMarker><Key>fit/rider/a.fit</Key><VersionId>2</VersionId><IsLatest>true</IsLatest></DeleteMarker>\
        <Version><Key>fit/rider/a.fit</Key><VersionId>1</VersionId><IsLatest>false</IsLatest><Size>3</Size></Version>\
        <DeleteMarker><Key>fit/rider/b.fit</Key><VersionId>x</VersionId><IsLatest>false</IsLatest></DeleteMarker>\
        <Version><Key>fit/rider/b.fit</Key><VersionId>null</VersionId><IsLatest>true</IsLatest></Version>\
        </ListVersionsResult>";

    #[tokio::test]
    async fn what_fails_for_now_is_asked_again() {
        let lists = &[(503, "<Error><Code>SlowDown</Code></Error>"), (200, TWO), (500, ""), (200, EMPTY)];
        let (archive, asked) = bucket(lists, (404, "<Error><Code>NoSuchVersion</Code></Error>")).await;
        assert_eq!(archive.forget_user(&user()).await, Ok(1), "one was there, and one was deleted before");
        let mut deleted: Vec<_> = asked.lock().unwrap().iter().filter(|call| call.starts_with("D")).cloned().collect();
        deleted.sort();
        let version = |version: &str| format!("DELETE /bucket/fit/rider/{version}");
        let all = ["a.fit?versionId=1", "a.fit?versionId=2", "b.fit?versionId=null", "b.fit?versionId=x"];
        assert_eq!(deleted, all.map(version));
    }

    #[tokio::test]
    async fn what_is_refused_is_told_and_not_asked_again() {
        const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>no right to it</Message></Error>";
        let cases: [(&[_], _); 2] = [(&[(403, DENIED)], (204, "")), (&[(200, TWO)], (403, DENIED))];
        for (lists, deletion) in cases {
            let (archive, _) = bucket(lists, deletion).await;
            let error = archive.forget_user(&user()).await.unwrap_err();
            assert!(error.to_string().contains("AccessDenied: no right to it"), "{error}");
        }
    }

    #[tokio::test]
    async fn nothing_else_is_deleted_and_nothing_for_ever() {
        const OTHER: &str = "<ListVersionsResult><Version><Key>fit/other/a.fit</Key><VersionId>1</VersionId>\
            <IsLatest>true</IsLatest></Version></ListVersionsResult>";
        let (archive, asked) = bucket(&[(200, OTHER)], (204, "")).await;
        archive.forget_user(&user()).await.unwrap_err();
        assert_eq!(asked.lock().unwrap().len(), 1, "what is not the rider's is left alone");
        let (archive, _) = bucket(&[(200, TWO), (200, TWO)], (204, "")).await;
        archive.forget_user(&user()).await.unwrap_err();
    }
}
