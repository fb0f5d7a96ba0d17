//! Connections that can be cut on purpose, and answers that can be spoiled on the way out.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::fault::Fault;
use crate::reply::{Reply, gzip};

/// Time for bytes already written to leave before the connection is closed under them.
const FLUSH: Duration = Duration::from_millis(5);
/// Size of the pieces of an endless body.
const PIECE: usize = 64 * 1024;

/// The handle by which a request handler cuts the connection it came on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conn(Arc<AtomicBool>);

impl Conn {
    /// From now on nothing is written, and the peer gets a reset.
    pub(crate) fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Connected<IncomingStream<'_, WireListener>> for Conn {
    fn connect_info(stream: IncomingStream<'_, WireListener>) -> Self {
        stream.io().conn.clone()
    }
}

/// A TCP listener whose connections can be cut.
#[derive(Debug)]
pub(crate) struct WireListener(pub(crate) TcpListener);

impl Listener for WireListener {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, addr)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY refused");
                    }
                    let conn = Conn::default();
                    return (Wire { stream, conn }, addr);
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed, trying again");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    conn: Conn,
}

impl Wire {
    fn check(&self) -> io::Result<()> {
        if self.conn.is_cut() {
            // The close that follows becomes a reset instead of an orderly end.
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Turns an answer into what goes over the wire, spoiled by `fault` if that one works on the way out.
pub(crate) fn play(reply: Reply, body: Bytes, fault: Option<&Fault>, conn: &Conn) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = reply.status;
    for (name, value) in reply.headers {
        response.headers_mut().append(name, value);
    }
    let declared = HeaderValue::from(body.len());
    match fault {
        Some(Fault::DropBeforeCommit | Fault::DropAfterCommit) => conn.cut(),
        Some(Fault::StatusAfterCommit { code }) => {
            *response.status_mut() = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response.headers_mut().remove(CONTENT_TYPE);
        }
        Some(Fault::TruncateBody { keep }) => {
            response.headers_mut().insert(CONTENT_LENGTH, declared);
            *response.body_mut() = broken_off(body.slice(..body.len().min(*keep)));
        }
        Some(Fault::WrongLength { missing }) => {
            let kept = body.len().saturating_sub(*missing);
            *response.body_mut() = Body::from(body.slice(..kept));
        }
        Some(Fault::Stall) => {
            response.headers_mut().insert(CONTENT_LENGTH, declared);
            *response.body_mut() = stalled(body.slice(..body.len() / 2));
        }
        Some(Fault::SlowBody { ms, chunk }) => {
            response.headers_mut().insert(CONTENT_LENGTH, declared);
            *response.body_mut() = dripping(body, (*chunk).max(1), Duration::from_millis(*ms));
        }
        Some(Fault::OverCap { bytes }) => *response.body_mut() = endless(*bytes),
        Some(Fault::Gzip) => {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            *response.body_mut() = Body::from(gzip(&body));
        }
        _ => *response.body_mut() = Body::from(body),
    }
    response
}

fn broken_off(kept: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(kept), |kept| async move {
        match kept {
            Some(kept) if !kept.is_empty() => Some((Ok(kept), None)),
            _ => {
                tokio::time::sleep(FLUSH).await;
                Some((Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)), None))
            }
        }
    }))
}

fn stalled(half: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) => Some((Ok::<_, io::Error>(half), None)),
            None => std::future::pending().await,
        }
    }))
}

fn dripping(body: Bytes, chunk: usize, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(body, move |mut body| async move {
        if body.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = body.split_to(body.len().min(chunk));
        Some((Ok::<_, io::Error>(piece), body))
    }))
}

fn endless(total: u64) -> Body {
    // Starts like a FIT file, so that only the size can be the reason to stop reading.
    let mut start = vec![0_u8; PIECE];
    start[0] = 14;
    start[8..12].copy_from_slice(b".FIT");
    let start = Bytes::from(start);
    let zeros = Bytes::from(vec![0_u8; PIECE]);
    Body::from_stream(stream::unfold((total, Some(start)), move |(left, start)| {
        let zeros = zeros.clone();
        async move {
            if left == 0 {
                return None;
            }
            let piece = start.unwrap_or(zeros);
            let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let left = left - u64::try_from(size).unwrap_or(left);
            Some((Ok::<_, io::Error>(piece.slice(..size)), (left, None)))
        }
    }))
}
