//! DynamoDB in this process, behind a wire on which requests are counted, and refused where a test says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Error, ErrorKind},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::rights::{of_table, signer};

/// What stands before the operation's name in a request's `x-amz-target`.
const TARGET: &str = "dynamodb_20120810.";

/// An error that requests get in place of an answer, as no emulator gives it.
#[derive(Debug, Clone)]
struct Refusal {
    /// The error's name.
    error: &'static str,
    /// Which operations; all where none is named.
    operations: &'static [&'static str],
    /// How many more.
    times: usize,
}

#[derive(Debug, Default)]
struct Wire {
    counts: BTreeMap<String, usize>,
    refusals: Vec<Refusal>,
    refused: usize,
    conflicts: usize,
    /// Who asked for what: the name that signed, and the action that it needs.
    asked: BTreeSet<(String, String)>,
}

/// An emulator with nothing in it. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Where it answers.
    pub(crate) endpoint: String,
    wire: Arc<Mutex<Wire>>,
}

impl Table {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let emulator = listener.local_addr().expect("an address");
        let database = dynoxide::Database::memory().expect("an empty database");
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let table = Self { endpoint, wire: Arc::default() };
        let serving = table.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let table = serving.clone();
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(emulator).await {
                        // Whoever hangs up ends the connection; there is nobody to tell.
                        drop(table.pass_on(client, server).await);
                    }
                });
            }
        });
        table
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().expect("no test panicked with it")
    }

    /// The requests by operation since the last call.
    pub(crate) fn take_counts(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut self.wire().counts)
    }

    /// Answers the next requests with this error of DynamoDB's; only these operations, where any are named.
    pub(crate) fn refuse(&self, error: &'static str, operations: &'static [&'static str], times: usize) {
        self.wire().refusals.push(Refusal { error, operations, times });
    }

    /// Refuses nothing any longer; how many requests were refused since the last call.
    pub(crate) fn take_refused(&self) -> usize {
        let mut wire = self.wire();
        wire.refusals.clear();
        std::mem::take(&mut wire.refused)
    }

    /// The actions that were needed for what this one asked.
    pub(crate) fn asked_by(&self, signer: &str) -> BTreeSet<String> {
        let wire = self.wire();
        wire.asked.iter().filter(|(name, _)| name == signer).map(|(_, action)| action.clone()).collect()
    }

    /// How many writers found that somebody else had been faster, since the last call.
    pub(crate) fn take_conflicts(&self) -> usize {
        std::mem::take(&mut self.wire().conflicts)
    }

    fn note(&self, operation: &str, request: &str) {
        let signer = signer(request).unwrap_or_default().to_owned();
        let actions = of_table(operation, request).into_iter().map(|action| (signer.clone(), action));
        self.wire().asked.extend(actions);
    }

    async fn pass_on(&self, mut client: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        while let Some(request) = whole(&mut client, &mut asked).await? {
            let operation = operation(&request);
            self.note(&operation, &String::from_utf8_lossy(&request));
            let refused = self.wire().refusal_of(&operation);
            match refused {
                Some(error) => client.write_all(refusal(error).as_bytes()).await?,
                None => {
                    server.write_all(&request).await?;
                    let answer = whole(&mut server, &mut answered).await?.ok_or(ErrorKind::UnexpectedEof)?;
                    let is_conflict = String::from_utf8_lossy(&answer).contains("ConditionalCheckFailed");
                    self.wire().conflicts += usize::from(is_conflict);
                    client.write_all(&answer).await?;
                }
            }
        }
        Ok(())
    }
}

impl Wire {
    /// Counts a request; with what it is refused, if it is.
    fn refusal_of(&mut self, operation: &str) -> Option<&'static str> {
        *self.counts.entry(operation.to_owned()).or_default() += 1;
        let meant = |its: &&mut Refusal| its.operations.is_empty() || its.operations.contains(&operation);
        let refusal = self.refusals.iter_mut().filter(|its| its.times > 0).find(meant)?;
        refusal.times -= 1;
        self.refused += 1;
        Some(refusal.error)
    }
}

/// The next request or answer of a connection, head and body; `None` where it ends.
async fn whole(socket: &mut TcpStream, seen: &mut Vec<u8>) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = seen.windows(4).position(|part| part == b"\r\n\r\n") {
            let length = header(&seen[..end], "content-length").and_then(|text| text.parse::<usize>().ok());
            let length = end + 4 + length.ok_or_else(|| Error::other("a message without a length"))?;
            if seen.len() >= length {
                return Ok(Some(seen.drain(..length).collect()));
            }
        }
        let mut piece = [0; 16 * 1024];
        match socket.read(&mut piece).await? {
            0 => return Ok(None),
            read => seen.extend_from_slice(&piece[..read]),
        }
    }
}

/// A header of a head, by its name in lower case.
fn header(head: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head).into_owned();
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// The operation that a request asks for.
fn operation(request: &[u8]) -> String {
    let target = header(request, "x-amz-target").unwrap_or_default();
    if target.to_ascii_lowercase().starts_with(TARGET) { target[TARGET.len()..].to_owned() } else { target }
}

/// An error of DynamoDB's as it is sent.
fn refusal(error: &str) -> String {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{error}","message":"refused by the test"}}"#);
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
