//! What is sent to the emulator of everything but the table.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Everything that was sent to the emulator of the other services.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<Mutex<Vec<Vec<u8>>>>);

impl Sent {
    /// Stands before the emulator; says where.
    pub(crate) async fn tap(&self, emulator: &str) -> String {
        let emulator = emulator.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let sent = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (sent, emulator) = (sent.clone(), emulator.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(&emulator).await {
                        // Whoever hangs up ends the connection; there is nobody to tell.
                        drop(sent.pass_on(client, server).await);
                    }
                });
            }
        });
        endpoint
    }

    async fn pass_on(&self, mut client: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = {
            let mut all = lock();
            all.push(Vec::new());
            all.len() - 1
        };
        let requests = async {
            let mut piece = vec![0; 64 * 1024];
            loop {
                let read = from_client.read(&mut piece).await?;
                if read == 0 {
                    return to_server.shutdown().await;
                }
                lock()[number].extend_from_slice(&piece[..read]);
                to_server.write_all(&piece[..read]).await?;
            }
        };
        let answers = async {
            tokio::io::copy(&mut from_server, &mut to_client).await?;
            to_client.shutdown().await
        };
        tokio::try_join!(requests, answers).map(drop)
    }

    /// How often a text was sent.
    pub(crate) fn count(&self, text: &str) -> f64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |bytes: &Vec<u8>| bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
        f64::from(u32::try_from(all.iter().map(count).sum::<usize>()).expect("a small number"))
    }

    /// What was sent on each connection, as text.
    pub(crate) fn connections(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}
