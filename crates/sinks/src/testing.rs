//! Servers and rides for the tests of this crate.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use fitbridge_core::{
    domain::{About, ContentId},
    ports::{Attempt, SinkFile},
};
use jiff::Timestamp;
use reqwest::{Method, Url, header::HeaderMap};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An answer to give.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    delay: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned(), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Script = Arc<(Mutex<Vec<Received>>, Mutex<VecDeque<Reply>>)>;

/// A server that notes what it is asked and gives its replies in turn, the last one again and again.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Script,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script: Script = Arc::new((Mutex::default(), Mutex::new(replies.into_iter().collect())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, script, task }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}/", self.address).parse().unwrap()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.script.0.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let url: Url = format!("http://test{}", parts.uri).parse().unwrap();
    let received = Received {
        method: parts.method,
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.unwrap(),
    };
    script.0.lock().unwrap().push(received);
    let reply = {
        let mut replies = script.1.lock().unwrap();
        if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
    };
    let reply = reply.unwrap_or_else(|| Reply::new(500, "no reply is scripted"));
    tokio::time::sleep(reply.delay).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}

/// A server that takes a whole request, writes `says`, and cuts the connection.
pub(crate) async fn cutting_server(says: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            let mut chunk = [0; 4096];
            while !is_whole(&seen) {
                match stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => seen.extend_from_slice(&chunk[..read]),
                }
            }
            let _ = stream.write_all(says.as_bytes()).await;
        }
    });
    address
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|part| part == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    request.len() >= end + 4 + length.unwrap_or(0)
}

/// An address where nobody listens, and which nobody else is given as long as the socket lives.
pub(crate) fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

pub(crate) fn file(bytes: &[u8]) -> SinkFile {
    SinkFile { content: ContentId::of(bytes), bytes: Bytes::copy_from_slice(bytes), link: None }
}

pub(crate) fn about() -> About {
    About {
        name: Some("Zürich & zurück\r\nX-Evil: 1".to_owned()),
        external_id: "igpsport_31827705".to_owned(),
        source: "igpsport".to_owned(),
        start: Some("2025-06-01T17:30:05Z".parse().unwrap()),
        local_start: Some("2025-06-01T19:30:05".parse().unwrap()),
        elapsed_s: Some(3600.5),
        moving_s: None,
        distance_m: Some(25_000.25),
        sport: Some("cycling".to_owned()),
        device: Some("iGPSPORT BSC300".to_owned()),
    }
}

pub(crate) fn attempt(number: u32) -> Attempt {
    Attempt { id: "msg_0123456789abcdef0123".to_owned(), number, now: now() }
}

/// 1994-11-06 08:48:37 UTC, a minute before the date of the tests' `Retry-After`.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(784_111_717).unwrap()
}
