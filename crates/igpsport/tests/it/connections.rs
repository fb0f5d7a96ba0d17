//! Connections that the other side closed while nobody looked.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use fitbridge_igpsport::{ApiError, Client, Endpoints, Region};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::jwt;

/// A server that answers so many requests on each connection, and hangs up when the next one comes: to its client that
/// is a connection that was dead before. Counts the requests that came.
async fn server(answers: usize) -> (Client, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, answers, Arc::clone(&count)));
        }
    });
    (Client::new(Endpoints::with_api(Region::Global, base).unwrap()).unwrap(), came)
}

async fn serve(mut socket: TcpStream, answers: usize, came: Arc<AtomicUsize>) {
    for number in 0.. {
        let mut request = vec![0; 8192];
        let Ok(1..) = socket.read(&mut request).await else { return };
        came.fetch_add(1, Ordering::SeqCst);
        if number >= answers {
            return;
        }
        let body = format!(r#"{{"code":0,"data":{{"access_token":"{}"}}}}"#, jwt(1));
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_question_on_a_connection_that_was_closed_meanwhile_is_asked_again() {
    let (client, came) = server(1).await;
    for _ in 0..5 {
        client.reachable().await.unwrap();
    }
    assert!(came.load(Ordering::SeqCst) > 5, "the connection was kept, and was dead");
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_asked_twice_and_no_more() {
    let (client, came) = server(0).await;
    let failed = client.reachable().await.unwrap_err();
    assert!(matches!(failed, ApiError::Interrupted(_)), "{failed:?}");
    assert_eq!(came.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_login_uses_no_connection_from_before_and_is_not_repeated() {
    let (client, came) = server(1).await;
    for number in 1..4 {
        client.reachable().await.unwrap();
        let before = came.load(Ordering::SeqCst);
        client.login("me", &"secret".into()).await.unwrap_or_else(|error| panic!("login {number}: {error}"));
        assert_eq!(came.load(Ordering::SeqCst), before + 1);
    }
    let (client, came) = server(0).await;
    assert!(matches!(client.login("me", &"secret".into()).await, Err(ApiError::Interrupted(_))));
    assert_eq!(came.load(Ordering::SeqCst), 1, "nobody knows what became of it");
}
