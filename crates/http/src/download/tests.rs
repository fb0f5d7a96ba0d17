//! Downloads over real sockets, from a server that answers with given bytes.

use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::client::{GuardedOptions, guarded_client, guarded_with};
use crate::guard::UrlGuard;
use crate::resolve::Lookup;

/// What the server does with one connection.
type Answer = fn(&str, SocketAddr) -> Vec<u8>;

/// Headers of an answer that promises more than comes.
const KEEP_OPEN: &str = "Content-Length: 900\r\nX-Keep-Open: yes\r\n";

struct Server {
    at: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Answers each connection with the bytes that `answer` gives for the requested path, then closes;
/// no bytes at all stand for a server that stalls.
async fn serve(answer: Answer) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap().to_owned();
                seen.lock().unwrap().push(head);
                let bytes = answer(&path, at);
                if bytes.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = socket.write_all(&bytes).await;
                if bytes.windows(KEEP_OPEN.len()).any(|part| part == KEEP_OPEN.as_bytes()) {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    Server { at, requests }
}

fn trusting(at: &[SocketAddr]) -> GuardedClient {
    let trusted: Vec<String> = at.iter().map(ToString::to_string).collect();
    let guard = UrlGuard::new(&trusted).unwrap();
    guarded_client(Arc::new(guard), &GuardedOptions::default()).unwrap()
}

async fn get_with(server: &Server, path: &str, limits: &DownloadLimits) -> Result<Download, DownloadError> {
    let url = format!("http://{}{path}", server.at).parse().unwrap();
    download(&trusting(&[server.at]), &url, limits).await
}

async fn get(answer: Answer) -> Result<Download, DownloadError> {
    let limits = DownloadLimits { max_bytes: 1000, ..DownloadLimits::default() };
    get_with(&serve(answer).await, "/start", &limits).await
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn gzipped(plain: &[u8]) -> Vec<u8> {
    let body = gzip(plain);
    let headers = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", body.len());
    ok(&headers, &body)
}

#[tokio::test]
async fn a_file_arrives_whole_and_nothing_but_plain_headers_is_sent() {
    let server =
        serve(|_, _| ok("Content-Length: 4\r\nContent-Type: x/y\r\nETag: \"e\"\r\nSet-Cookie: a=b\r\n", b"data")).await;
    let limits = DownloadLimits::default();
    for _ in 0..2 {
        let file = get_with(&server, "/f?sig=1", &limits).await.unwrap();
        assert_eq!(&file.bytes[..], b"data");
        assert_eq!(file.content_type.as_deref(), Some("x/y"));
        assert_eq!(file.etag.as_deref(), Some("\"e\""));
        assert!(!file.was_gzip);
    }
    for request in server.requests.lock().unwrap().iter() {
        let request = request.to_ascii_lowercase();
        assert!(request.starts_with("get /f?sig=1 http/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("user-agent: {}", crate::USER_AGENT)));
        assert!(request.contains("accept-encoding: identity"));
        for name in ["authorization", "cookie", "referer"] {
            assert!(!request.contains(name), "{request}");
        }
    }
}

#[tokio::test]
async fn without_a_length_the_end_of_the_connection_is_the_end() {
    let file = get(|_, _| ok("Connection: close\r\n", b"data")).await.unwrap();
    assert_eq!(&file.bytes[..], b"data");
}

#[tokio::test]
async fn too_many_bytes_are_refused_announced_or_not() {
    let announced = get(|_, _| ok("Content-Length: 1001\r\n", b"")).await;
    assert_eq!(announced.unwrap_err(), DownloadError::TooLarge { limit: 1000 });
    let streamed = get(|_, _| ok("Connection: close\r\n", &[7; 1001])).await;
    assert_eq!(streamed.unwrap_err(), DownloadError::TooLarge { limit: 1000 });
    assert!(get(|_, _| ok("Content-Length: 1000\r\n", &[7; 1000])).await.is_ok());
}

#[tokio::test]
async fn a_cut_connection_is_truncated() {
    let plain = get(|_, _| ok("Content-Length: 10\r\n", b"data")).await;
    assert_eq!(
        plain.unwrap_err(),
        DownloadError::Truncated { received: 4, announced: Some(10), head: Bytes::from_static(b"data") }
    );
    let chunked = get(|_, _| ok("Transfer-Encoding: chunked\r\n", b"4\r\ndata\r\n")).await;
    assert!(matches!(chunked.unwrap_err(), DownloadError::Truncated { received: 4, announced: None, .. }));
}

#[tokio::test]
async fn gzip_is_undone_within_the_bound() {
    let file = get(|_, _| gzipped(b"data")).await.unwrap();
    assert_eq!((&file.bytes[..], file.was_gzip), (&b"data"[..], true));
    let bomb = get(|_, _| gzipped(&[0; 100_000])).await;
    assert_eq!(bomb.unwrap_err(), DownloadError::TooLarge { limit: 1000 });
    let junk = get(|_, _| ok("Content-Encoding: gzip\r\nContent-Length: 4\r\n", b"data")).await;
    assert!(matches!(junk.unwrap_err(), DownloadError::Decode(_)));
    let other = get(|_, _| ok("Content-Encoding: br\r\nContent-Length: 4\r\n", b"data")).await;
    assert!(matches!(other.unwrap_err(), DownloadError::Decode(_)));
}

#[tokio::test]
async fn a_refusal_keeps_what_tells_its_cause() {
    let error =
        get(|_, _| b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nConnection: close\r\n\r\n<Error><Code>X</Code>".to_vec())
            .await
            .unwrap_err();
    assert_eq!(
        error,
        DownloadError::Status {
            status: 503,
            retry_after: Some(Duration::from_secs(7)),
            kind: BodyKind::Xml,
            excerpt: Bytes::from_static(b"<Error><Code>X</Code>"),
        }
    );
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn redirects_are_followed_three_times_at_most() {
    let three = get(|path, _| match path {
        "/start" => redirect("two"),
        "/two" => redirect("/three?x"),
        "/three?x" => redirect("/file"),
        _ => ok("Content-Length: 4\r\n", b"data"),
    });
    assert_eq!(three.await.unwrap().redirects, 3);
    let endless = get(|_, _| redirect("/start")).await;
    assert_eq!(endless.unwrap_err(), DownloadError::TooManyRedirects { limit: 3 });
}

#[tokio::test]
async fn redirects_to_private_places_are_refused() {
    let targets: [Answer; 5] = [
        |_, _| redirect("https://10.0.0.1/x"),
        |_, _| redirect("http://example.org/x"),
        |_, _| redirect("https://169.254.169.254/latest/meta-data/"),
        |_, at| redirect(&format!("http://127.0.0.1:{}/x", at.port() ^ 1)),
        |_, _| redirect("https://u:p@example.org/"),
    ];
    for target in targets {
        let error = get(target).await.unwrap_err();
        assert!(matches!(error, DownloadError::RedirectRefused(RedirectProblem::Refused(_))), "{error:?}");
    }
    let nowhere = get(|_, _| b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    assert_eq!(nowhere.unwrap_err(), DownloadError::RedirectRefused(RedirectProblem::NoLocation));
}

#[tokio::test]
async fn a_silent_host_runs_out_of_time() {
    let short = Duration::from_millis(100);
    for limits in [
        DownloadLimits { total_time: short, ..DownloadLimits::default() },
        DownloadLimits { idle_time: short, ..DownloadLimits::default() },
    ] {
        let silent = get_with(&serve(|_, _| Vec::new()).await, "/", &limits).await;
        assert_eq!(silent.unwrap_err(), DownloadError::Timeout);
        // `KEEP_OPEN` makes the server send what it has and then say nothing more.
        let stalled = serve(|_, _| ok(KEEP_OPEN, b"data")).await;
        assert_eq!(get_with(&stalled, "/", &limits).await.unwrap_err(), DownloadError::Timeout);
    }
    // The head has to come in time, whatever else the machine does.
    let limits = DownloadLimits { idle_time: Duration::from_secs(2), ..DownloadLimits::default() };
    let page = serve(|_, _| format!("HTTP/1.1 404 No\r\n{KEEP_OPEN}\r\n<html>").into_bytes()).await;
    let refusal = get_with(&page, "/", &limits).await.unwrap_err();
    assert!(matches!(refusal, DownloadError::Status { status: 404, kind: BodyKind::Html, .. }), "{refusal:?}");
}

#[tokio::test]
async fn nobody_there_and_not_admitted_are_told_apart() {
    // Bound, so that nobody else is given the port; and not listening.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = nobody.local_addr().unwrap();
    let url = format!("http://{free}/").parse().unwrap();
    let limits = DownloadLimits::default();
    let nobody = download(&trusting(&[free]), &url, &limits).await;
    assert!(matches!(nobody.unwrap_err(), DownloadError::Connect(_)));
    let refused = download(&trusting(&[]), &url, &limits).await;
    assert!(matches!(refused.unwrap_err(), DownloadError::RefusedUrl(_)));
}

/// A hostile name server: every name is loopback. Asking twice fails the test.
struct LeadsHome(AtomicUsize, u16);

impl Lookup for Arc<LeadsHome> {
    fn lookup(&self, _: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>> {
        let asked = self.0.fetch_add(1, Ordering::SeqCst);
        let address = SocketAddr::from(([127, 0, 0, 1], self.1));
        Box::pin(async move {
            assert_eq!(asked, 0, "one request asks for the address once");
            Ok(vec![address])
        })
    }
}

#[tokio::test]
async fn a_name_that_leads_home_is_never_connected_to() {
    let server = serve(|_, _| ok("Content-Length: 4\r\n", b"data")).await;
    let lookup = Arc::new(LeadsHome(AtomicUsize::new(0), server.at.port()));
    let client = guarded_with(Arc::new(UrlGuard::default()), &GuardedOptions::default(), Arc::clone(&lookup)).unwrap();
    let url = format!("https://rebind.example.org:{}/", server.at.port());
    let limits = DownloadLimits::default();
    let error = download(&client, &url.parse().unwrap(), &limits).await;
    assert_eq!(error.unwrap_err(), DownloadError::NotPublic);
    assert_eq!(lookup.0.load(Ordering::SeqCst), 1);
    assert!(server.requests.lock().unwrap().is_empty());
}
