//! The stream between TLS and Pingora, and what it watches there.
//!
//! * **A head has a deadline.** Stock Pingora bounds each read of a request head but not the whole; here the clock of a
//!   head starts with its first byte and does not restart. A connection with no request in flight has a longer one. On
//!   HTTP/2 only the wait for the first request is watched: from then on `h2_idle_timeout` does it.
//! * **Pingora's own refusals are rewritten.** A request that does not parse never reaches the gate; Pingora answers a
//!   bare 400. Those are the only response bytes written on HTTP/1 while no request is in flight, so they are known by
//!   that, and the answer goes out in our shape, with our headers, counted and logged.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::Deadlines;
use super::connection::Connection;

/// Makes the answer to a request that does not parse: a whole HTTP/1.1 response.
pub(super) type MalformedAnswer = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

/// A TLS stream under watch.
pub(super) struct Guard {
    inner: Stream,
    connection: Arc<Connection>,
    deadlines: Deadlines,
    is_h2: bool,
    /// The number of requests begun when `waiting` was armed.
    armed_at: Option<u64>,
    waiting: Pin<Box<Sleep>>,
    in_head: bool,
    malformed: MalformedAnswer,
    answer: Answer,
}

/// The rewritten answer on its way out.
enum Answer {
    None,
    Writing { bytes: Vec<u8>, written: usize },
}

impl Guard {
    /// Puts `inner`, whose handshake made `connection`, under watch.
    pub(super) fn new(
        inner: Stream,
        connection: Arc<Connection>,
        deadlines: Deadlines,
        malformed: MalformedAnswer,
    ) -> Self {
        let is_h2 = matches!(inner.selected_alpn_proto(), Some(ALPN::H2));
        Self {
            inner,
            connection,
            deadlines,
            is_h2,
            armed_at: None,
            waiting: Box::pin(tokio::time::sleep(deadlines.idle)),
            in_head: false,
            malformed,
            answer: Answer::None,
        }
    }

    fn is_watching(&self) -> bool {
        if self.is_h2 { self.connection.begun() == 0 } else { !self.connection.is_busy() }
    }

    /// Starts the wait for the next head, if it is not the one that runs already.
    fn arm_for_next_head(&mut self) {
        let begun = self.connection.begun();
        if self.armed_at != Some(begun) {
            self.armed_at = Some(begun);
            self.in_head = false;
            let limit = if self.is_h2 { self.deadlines.head } else { self.deadlines.idle };
            self.waiting = Box::pin(tokio::time::sleep(limit));
        }
    }

    /// The first byte of a head starts the head's own, shorter deadline.
    fn saw_bytes_of_a_head(&mut self) {
        if !self.in_head && !self.is_h2 {
            self.in_head = true;
            self.waiting = Box::pin(tokio::time::sleep(self.deadlines.head));
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Answer::Writing { bytes, written } = &mut self.answer {
            let rest = bytes.get(*written..).unwrap_or_default();
            if rest.is_empty() {
                self.answer = Answer::None;
                break;
            }
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => *written += n,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_watching() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        self.arm_for_next_head();
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buf) {
            read?;
            if buf.filled().len() > before {
                self.saw_bytes_of_a_head();
            }
            if self.in_head && self.waiting.is_elapsed() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            return Poll::Ready(Ok(()));
        }
        ready!(self.waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(cx))?;
        if !self.is_h2 && !self.connection.is_busy() && buf.starts_with(b"HTTP/1.") {
            self.answer = Answer::Writing { bytes: (self.malformed)(), written: 0 };
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Guard {
    async fn shutdown(&mut self) {
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "the last bytes did not go out");
        }
        Shutdown::shutdown(self.inner.as_mut()).await;
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl UniqueID for Guard {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Guard {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Guard {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl GetProxyDigest for Guard {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for Guard {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl Peek for Guard {}
