//! A server that answers what it is told to, and remembers what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};

use super::emulator::config;
use crate::ledger::{DynamoLedger, Patience};

/// What it answers.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Done(Value),
    /// An error of DynamoDB: status, code, and more fields of its body.
    Error(u16, &'static str, Value),
    /// The condition failed, and what is there is the item of the request before.
    Stored,
    /// Something that is no answer of DynamoDB.
    Noise,
    /// Never.
    Silence,
}

impl Reply {
    pub(super) fn error(status: u16, code: &'static str) -> Self {
        Self::Error(status, code, json!({}))
    }
}

#[derive(Debug, Default)]
struct Script {
    replies: VecDeque<Reply>,
    asked: Vec<(String, Value)>,
}

#[derive(Debug, Clone)]
pub(super) struct Fake {
    endpoint: String,
    script: Arc<Mutex<Script>>,
}

impl Fake {
    /// One that gives these replies, then answers `{}`.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Script { replies: replies.into_iter().collect(), asked: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { endpoint, script }
    }

    /// A ledger over table `t` with 2 buckets that tries at most 4 times, and waits for no answer for long where one is
    /// to stay away.
    pub(super) fn ledger(&self) -> DynamoLedger {
        let ms = Duration::from_millis;
        let is_silent = |reply: &Reply| matches!(reply, Reply::Silence);
        let each = if self.script.lock().expect("the script").replies.iter().any(is_silent) { 1_500 } else { 5_000 };
        let patience = Patience { tries: 4, each: ms(each), total: ms(60_000), pause: ms(1) };
        let client = Client::from_conf(config(&self.endpoint).build());
        DynamoLedger::new(&client, "t", 2).with_patience(patience)
    }

    /// What was asked: operation and body, in order.
    pub(super) fn asked(&self) -> Vec<(String, Value)> {
        self.script.lock().expect("the script").asked.clone()
    }

    /// The operations that were asked for.
    pub(super) fn operations(&self) -> Vec<String> {
        self.asked().into_iter().map(|(operation, _)| operation).collect()
    }

    /// The only body that was asked.
    pub(super) fn only(&self, operation: &str) -> Value {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "one request: {asked:?}");
        let (name, body) = asked.remove(0);
        assert_eq!(name, operation);
        body
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or("?");
    let operation = target.rsplit('.').next().unwrap_or(target).to_owned();
    let (reply, before) = {
        let mut script = script.lock().expect("the script");
        let before = script.asked.last().map(|(_, body)| body["Item"].clone());
        script.asked.push((operation, serde_json::from_slice(&body).expect("JSON")));
        (script.replies.pop_front(), before)
    };
    let reply = match reply {
        Some(Reply::Stored) => {
            Some(Reply::Error(400, "ConditionalCheckFailedException", json!({"Item": before.unwrap_or_default()})))
        }
        reply => reply,
    };
    match reply {
        None => (StatusCode::OK, "{}".into()),
        Some(Reply::Done(body)) => (StatusCode::OK, body.to_string()),
        Some(Reply::Error(status, code, mut body)) => {
            body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{code}").into();
            (StatusCode::from_u16(status).expect("a status"), body.to_string())
        }
        Some(Reply::Noise) => (StatusCode::OK, "<html>".into()),
        Some(Reply::Silence | Reply::Stored) => std::future::pending().await,
    }
}
