//! A server that remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fitbridge_http::UrlGuard;
use fitbridge_igpsport::{Client, Endpoints, FileHost, Region, Token};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    /// `GET /path?query`
    pub(crate) fn line(&self) -> String {
        match &self.query {
            Some(query) => format!("{} {}?{query}", self.method, self.path),
            None => format!("{} {}", self.method, self.path),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An answer: status, headers, body.
pub(crate) struct Reply(pub(crate) u16, pub(crate) Vec<(&'static str, String)>, pub(crate) Vec<u8>);

/// Success with a JSON text as `data`.
pub(crate) fn data(json: &str) -> Reply {
    json_reply(200, &format!(r#"{{"code":0,"message":"success","data":{json}}}"#))
}

pub(crate) fn json_reply(status: u16, body: &str) -> Reply {
    Reply(status, vec![("content-type", "application/json".into())], body.into())
}

type Answers = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    answers: Box<Answers>,
    journal: Mutex<Vec<Seen>>,
}

pub(crate) struct Server {
    pub(crate) host: String,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) async fn start(answers: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared { answers: Box::new(answers), journal: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { host, shared }
    }

    pub(crate) fn client(&self, region: Region) -> Client {
        let base = format!("http://{}/", self.host).parse().unwrap();
        Client::new(Endpoints::with_api(region, base).unwrap()).unwrap()
    }

    pub(crate) fn files(&self) -> FileHost {
        FileHost::new(Arc::new(UrlGuard::new(std::slice::from_ref(&self.host)).unwrap())).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.journal.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: String::from_utf8(body.into()).unwrap(),
    };
    let Reply(status, headers, body) = (shared.answers)(&seen);
    shared.journal.lock().unwrap().push(seen);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

/// A token of a member, as text.
pub(crate) fn jwt(member: u64) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(
        r#"{{"iss":"http://authserver","client_id":"qiwu.mobile","memberid":{member},"nbf":1700000000,"exp":1700604800}}"#
    );
    format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims), part("signature"))
}

pub(crate) fn token(member: u64) -> Token {
    Token::parse(&jwt(member)).unwrap()
}

/// Gzip of up to 65,535 bytes, in one stored block.
pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).unwrap();
    let mut packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01".to_vec();
    packed.extend_from_slice(&length.to_le_bytes());
    packed.extend_from_slice(&(!length).to_le_bytes());
    packed.extend_from_slice(plain);
    packed.extend_from_slice(&crc32(plain).to_le_bytes());
    packed.extend_from_slice(&u32::from(length).to_le_bytes());
    packed
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
