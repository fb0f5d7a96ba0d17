//! DynamoDB in this process, behind a wire on which the requests are counted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What stands before the operation's name in a request's `x-amz-target`.
const TARGET: &[u8] = b"DynamoDB_20120810.";
/// The longest name of an operation is shorter.
const NAME: usize = 40;

/// An emulator with nothing in it. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Where it answers.
    pub(crate) endpoint: String,
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Table {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let emulator = listener.local_addr().expect("an address");
        let database = dynoxide::Database::memory().expect("an empty database");
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        let wire = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", wire.local_addr().expect("an address"));
        let counts = Arc::<Mutex<_>>::default();
        let counting = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Ok((client, _)) = wire.accept().await {
                let counting = Arc::clone(&counting);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(emulator).await {
                        // Whoever hangs up ends the connection; there is nobody to tell.
                        drop(pass_on(client, server, &counting).await);
                    }
                });
            }
        });
        Self { endpoint, counts }
    }

    /// The requests by operation since the last call.
    pub(crate) fn take_counts(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.counts.lock().expect("no test panicked with it"))
    }
}

async fn pass_on(
    mut client: TcpStream,
    mut server: TcpStream,
    counts: &Mutex<BTreeMap<String, usize>>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let requests = async {
        let (mut piece, mut seen) = (vec![0; 64 * 1024], Vec::new());
        loop {
            let read = from_client.read(&mut piece).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            seen.extend_from_slice(&piece[..read]);
            count(&mut seen, counts);
            to_server.write_all(&piece[..read]).await?;
        }
    };
    let answers = async {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(requests, answers).map(drop)
}

/// Counts the operations that are whole in what was seen, and keeps what may be the beginning of another.
fn count(seen: &mut Vec<u8>, counts: &Mutex<BTreeMap<String, usize>>) {
    while let Some(at) = seen.windows(TARGET.len()).position(|window| window == TARGET) {
        let name: Vec<u8> = seen[at + TARGET.len()..].iter().copied().take_while(u8::is_ascii_alphanumeric).collect();
        if at + TARGET.len() + name.len() == seen.len() {
            return;
        }
        *counts
            .lock()
            .expect("no test panicked with it")
            .entry(String::from_utf8_lossy(&name).into_owned())
            .or_default() += 1;
        seen.drain(..at + TARGET.len() + name.len());
    }
    seen.drain(..seen.len().saturating_sub(TARGET.len() + NAME));
}
