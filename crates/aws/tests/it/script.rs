//! A server that gives prepared answers and remembers what it was asked, for what no emulator shows.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::IntoResponse,
};
use fitbridge_aws::context::Clients;
use serde_json::{Value, json};

use fitbridge_aws::testkit::moto::config;

/// What was asked: the operation, and the request's body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) operation: String,
    pub(crate) body: Value,
}

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<(u16, Value)>,
    asked: Vec<Asked>,
    heads: Vec<(String, HeaderMap)>,
}

/// The server.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    endpoint: String,
    script: Arc<Mutex<Script>>,
}

/// An answer that worked.
pub(crate) fn done(body: Value) -> (u16, Value) {
    (200, body)
}

/// An error as the JSON protocols of AWS write it.
pub(crate) fn error(status: u16, code: &str, message: &str) -> (u16, Value) {
    (status, json!({ "__type": code, "message": message }))
}

impl Scripted {
    /// Gives these answers in turn, then errors of the server.
    pub(crate) async fn start(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let script = Script { answers: answers.into_iter().collect(), ..Script::default() };
        let script = Arc::new(Mutex::new(script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { endpoint, script }
    }

    /// Where it answers.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Method and path of every request with its headers, in order.
    pub(crate) fn heads(&self) -> Vec<(String, HeaderMap)> {
        self.script.lock().unwrap().heads.clone()
    }

    /// Clients that ask it, and do not try again.
    pub(crate) fn clients(&self) -> Clients {
        let once = aws_config::retry::RetryConfig::disabled();
        Clients::new(config(&self.endpoint).into_builder().retry_config(once).build())
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }

    /// The operations that it was asked for, in order.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.operation).collect()
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut script = script.lock().unwrap();
    script.asked.push(Asked { operation, body });
    script.heads.push((format!("{method} {}", uri.path()), headers));
    let (status, body) = script.answers.pop_front().unwrap_or_else(|| error(500, "InternalFailure", "nothing left"));
    let status = StatusCode::from_u16(status).unwrap();
    // A text is sent as it is, for services that do not speak JSON.
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.1"), (header::ETAG, "\"etag-1\"")], body)
}
