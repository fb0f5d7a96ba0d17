//! The archive over the S3 of the emulator.

use std::time::Duration;

use bytes::Bytes;
use fitbridge_aws::{
    archive::{LinkError, OperatorArchive, S3Archive},
    testkit::moto,
};
use fitbridge_core::{
    domain::{ContentId, UserId},
    ports::{Archive, ArchiveError, Put, archive_path},
    testkit::conformance,
};
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, path::Path};

/// A bucket of the emulator, seen with a client of its own.
async fn bucket(endpoint: &str, name: &str) -> impl ObjectStore {
    let create = format!("PUT /{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let answer = raw(endpoint, create.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_region("us-east-1")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_http_connector(moto::connector())
        .with_access_key_id("testing")
        .with_secret_access_key("testing")
        .build()
        .unwrap()
}

/// Sends a request as it stands and reads the whole answer.
async fn raw(endpoint: &str, request: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(endpoint.trim_start_matches("http://")).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Holds an archive to what every one has to do, with a store through which its files are damaged.
async fn conforms(archive: &dyn Archive, store: &dyn ObjectStore) {
    let damage = |user: &UserId, content| {
        let location = Path::from_iter(archive_path(user, content));
        let put = store.put(&location, Bytes::from_static(b"bit rot").into());
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put)).unwrap();
    };
    conformance::archive::suite(archive, &damage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_s3_archive_conforms() {
    let Some(endpoint) = moto::endpoint() else { return };
    let store = bucket(endpoint, "conforms").await;
    let archive = S3Archive::new(&moto::config(endpoint), "conforms", Some(endpoint)).unwrap();
    conforms(&archive, &store).await;
}

#[tokio::test]
async fn a_link_reads_one_file_without_credentials() {
    let Some(endpoint) = moto::endpoint() else { return };
    let _bucket = bucket(endpoint, "linked").await;
    let archive = S3Archive::new(&moto::config(endpoint), "linked", Some(endpoint)).unwrap();
    let (user, bytes) = (UserId::new("rider").unwrap(), Bytes::from_static(b"the whole ride"));
    let content = ContentId::of(&bytes);
    assert_eq!(archive.put(&user, content, bytes).await, Ok(Put::Created));
    let link = archive.signed_url(&user, content, Duration::from_secs(600)).await.unwrap();
    let signed: Vec<_> = link.query_pairs().map(|(name, _)| name.into_owned()).collect();
    for name in ["X-Amz-Expires", "X-Amz-Signature", "X-Amz-SignedHeaders"] {
        assert!(signed.iter().any(|have| have == name), "{name} in {signed:?}");
    }
    assert!(link.query_pairs().any(|(name, value)| name == "X-Amz-Expires" && value == "600"));
    let get = format!(
        "GET {}?{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        link.path(),
        link.query().unwrap()
    );
    let answer = raw(endpoint, get.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("the whole ride"), "{answer}");
    for life in [Duration::ZERO, Duration::from_secs(8 * 24 * 3600)] {
        assert_eq!(archive.signed_url(&user, content, life).await, Err(LinkError::Life));
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_told() {
    let Some(endpoint) = moto::endpoint() else { return };
    let archive = S3Archive::new(&moto::config(endpoint), "nowhere", Some(endpoint)).unwrap();
    let (user, bytes) = (UserId::new("rider").unwrap(), Bytes::from_static(b"x"));
    let put = archive.put(&user, ContentId::of(&bytes), bytes).await;
    assert!(matches!(put, Err(ArchiveError::Unavailable(_))), "{put:?}");
}

/// A bucket that keeps versions.
async fn versioned(endpoint: &str, name: &str) -> impl ObjectStore {
    let store = bucket(endpoint, name).await;
    let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let put = format!(
        "PUT /{name}?versioning HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(endpoint, put.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    store
}

/// How many versions and marks of deletions there are under a prefix.
async fn versions(endpoint: &str, bucket: &str, prefix: &str) -> usize {
    let path = format!("/{bucket}?versions&max-keys=1000&prefix={prefix}");
    let get = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    raw(endpoint, get.as_bytes()).await.matches("<VersionId>").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_archive_conforms() {
    let Some(endpoint) = moto::endpoint() else { return };
    let store = versioned(endpoint, "operated").await;
    let archive = OperatorArchive::new(&moto::config(endpoint), "operated", Some(endpoint)).unwrap();
    conforms(&archive, &store).await;
}

#[tokio::test]
async fn who_is_forgotten_has_no_version_left_however_many_there_were() {
    let Some(endpoint) = moto::endpoint() else { return };
    let store = versioned(endpoint, "versions").await;
    let archive = OperatorArchive::new(&moto::config(endpoint), "versions", Some(endpoint)).unwrap();
    // Names that are encoded, and names that begin with each other. The emulator lists a hundred at a time.
    for (name, files, folder) in [("..", 60_u8, "fit/%252E%252E/"), ("leaver", 3, "fit/leaver/")] {
        let (user, other) = (UserId::new(name).unwrap(), UserId::new(format!("{name}2")).unwrap());
        for number in 0..files {
            let bytes = Bytes::from(vec![number]);
            let content = ContentId::of(&bytes);
            for one in [&user, &other] {
                assert_eq!(archive.put(one, content, bytes.clone()).await, Ok(Put::Created));
            }
            let location = Path::from_iter(archive_path(&user, content));
            store.put(&location, Bytes::from_static(b"bit rot").into()).await.unwrap();
            // Every third is deleted already.
            if number % 3 == 0 {
                archive.delete(&user, content).await.unwrap();
            }
        }
        let (files, gone) = (usize::from(files), usize::from(files) / 3);
        assert_eq!(versions(endpoint, "versions", folder).await, 2 * files + gone, "{name}");
        assert_eq!(archive.forget_user(&user).await, Ok(u64::try_from(files - gone).unwrap()), "{name}");
        assert_eq!(versions(endpoint, "versions", folder).await, 0, "{name}");
        assert_eq!(archive.forget_user(&user).await, Ok(0), "{name}");
        assert_eq!(versions(endpoint, "versions", &format!("fit/{name}2/")).await, files, "the other's of {name}");
    }
}

#[tokio::test]
async fn what_the_bucket_refuses_is_told_in_its_words() {
    let Some(endpoint) = moto::endpoint() else { return };
    let archive = OperatorArchive::new(&moto::config(endpoint), "no-bucket", Some(endpoint)).unwrap();
    let error = archive.forget_user(&UserId::new("rider").unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}
