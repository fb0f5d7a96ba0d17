//! The file host's ways to send no file.

use fitbridge_igpsport::{FileErrorClass, Location};

use crate::support::{Reply, Server, gzip};

/// A way to answer, and what is expected of it.
type Case = (fn() -> Reply, &'static str, FileErrorClass);

async fn fetch(reply: fn() -> Reply) -> (String, FileErrorClass, String) {
    let server = Server::start(move |_| reply()).await;
    let location = Location(format!("http://{}/guid", server.host));
    let error = server.files().fetch(&location).await.unwrap_err();
    (error.code().to_owned(), error.class(), error.to_string())
}

#[tokio::test]
async fn each_has_its_code_and_class() {
    use FileErrorClass::{Permanent, ResolveAgain, Transient};
    let cases: [Case; 12] = [
        (|| Reply(200, vec![], vec![]), "file_empty", Transient),
        (|| Reply(200, vec![], b"<!doctype html>".to_vec()), "file_html", Transient),
        (|| Reply(200, vec![], b"<Error><Code>X</Code></Error>".to_vec()), "file_xml_error", ResolveAgain),
        (|| Reply(200, vec![], b"{\"a\":1}".to_vec()), "file_json", Transient),
        (|| Reply(200, vec![], b"twelve bytes and more".to_vec()), "file_not_fit", Permanent),
        (|| Reply(200, vec![("content-encoding", "gzip".into())], b"junk".to_vec()), "file_host_error", Transient),
        (|| Reply(200, vec![], vec![1; 32 * 1024 * 1024 + 1]), "file_too_large", Permanent),
        (|| Reply(302, vec![("location", "https://10.0.0.1/x".into())], vec![]), "file_redirect_refused", Permanent),
        (|| Reply(302, vec![("location", "/again".into())], vec![]), "file_redirect_refused", Permanent),
        (|| Reply(403, vec![], b"<Error><Code>AccessDenied</Code></Error>".to_vec()), "file_gone", ResolveAgain),
        (|| Reply(404, vec![], vec![]), "file_gone", ResolveAgain),
        (|| Reply(503, vec![], b"<html>".to_vec()), "file_host_error", Transient),
    ];
    for (reply, code, class) in cases {
        let (got, got_class, text) = fetch(reply).await;
        assert_eq!((got.as_str(), got_class), (code, class), "{text}");
    }
    let denied = fetch(|| Reply(403, vec![], b"<Error><Code>AccessDenied</Code></Error>".to_vec())).await;
    assert!(denied.2.ends_with("(status 403, AccessDenied)"), "{}", denied.2);
}

#[tokio::test]
async fn refused_locations_are_never_asked() {
    let server = Server::start(|_| Reply(200, vec![], vec![])).await;
    let port = server.host.rsplit(':').next().unwrap().to_owned();
    for location in [
        format!("http://localhost:{port}/x"),
        format!("https://[::1]:{port}/x"),
        format!("http://me:pw@{}/x", server.host),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "ftp://example.org/x".to_owned(),
        "just text".to_owned(),
    ] {
        let error = server.files().fetch(&Location(location.clone())).await.unwrap_err();
        assert_eq!(error.code(), "file_location_refused", "{location}");
        assert!(!format!("{error:?}").contains("/x"), "{error:?}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn compressed_files_arrive_plain() {
    let server = Server::start(|_| {
        let packed = gzip(b"\x0e\x10\xd9\x07\x00\x00\x00\x00.FIT\x00\x00");
        Reply(200, vec![("content-encoding", "gzip".into())], packed)
    })
    .await;
    let location = Location(format!("http://{}/guid", server.host));
    let file = server.files().fetch(&location).await.unwrap();
    assert_eq!((&file.bytes[8..12], file.bytes.len()), (&b".FIT"[..], 14));
}
