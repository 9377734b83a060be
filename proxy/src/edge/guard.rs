//! The stream between a client and Pingora, above TLS where there is TLS, and what it watches there.
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
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use super::Deadlines;
use super::connection::Connection;
use super::outgoing::Outgoing;
use super::wait::Wait;

/// Makes the answer to a request that does not parse: a whole HTTP/1.1 response.
pub(super) type MalformedAnswer = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

/// A client's stream under watch.
pub(super) struct Guard {
    inner: Stream,
    connection: Arc<Connection>,
    digest: Arc<ProxyDigest>,
    deadlines: Deadlines,
    is_h2: bool,
    /// The number of requests begun when `deadline` was chosen.
    armed_at: Option<u64>,
    deadline: Instant,
    in_head: bool,
    wait: Wait,
    malformed: MalformedAnswer,
    /// Always empty on HTTP/2, whose codec gathers by itself.
    outgoing: Outgoing,
}

impl Guard {
    /// Puts `inner` under watch, over which `connection` is served.
    ///
    /// # Errors
    ///
    /// Pingora makes no digest.
    pub(super) fn new(
        inner: Stream,
        connection: Arc<Connection>,
        deadlines: Deadlines,
        malformed: MalformedAnswer,
    ) -> pingora::Result<Self> {
        let is_h2 = matches!(inner.selected_alpn_proto(), Some(ALPN::H2));
        let deadline = Instant::now() + deadlines.idle;
        Ok(Self {
            inner,
            digest: connection.digest()?,
            connection,
            deadlines,
            is_h2,
            armed_at: None,
            deadline,
            in_head: false,
            wait: Wait::until(deadline),
            malformed,
            outgoing: Outgoing::default(),
        })
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
            self.outgoing.rest();
            self.allow(if self.is_h2 { self.deadlines.head } else { self.deadlines.idle });
        }
    }

    /// The first byte of a head starts the head's own, shorter deadline; each later read is held against it.
    fn saw_bytes_of_a_head(&mut self) -> io::Result<()> {
        if self.in_head {
            return if Instant::now() < self.deadline { Ok(()) } else { Err(late()) };
        }
        if !self.is_h2 {
            self.in_head = true;
            self.allow(self.deadlines.head);
        }
        Ok(())
    }

    fn allow(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    /// Whether these bytes are Pingora's own refusal of a head: the only response that begins with no request in flight.
    fn is_pingoras_refusal(&self, bytes: &[u8]) -> bool {
        !self.connection.is_busy() && bytes.starts_with(b"HTTP/1.")
    }
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
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
            let has_more = buf.filled().len() > before;
            return Poll::Ready(if has_more { self.saw_bytes_of_a_head() } else { Ok(()) });
        }
        let this = &mut *self;
        ready!(this.wait.poll_passed(this.deadline, cx));
        Poll::Ready(Err(late()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.is_h2 {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        if this.is_pingoras_refusal(buf) {
            this.outgoing.put(&(this.malformed)());
            return Poll::Ready(Ok(buf.len()));
        }
        this.outgoing.poll_take(buf, Pin::new(&mut this.inner), cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.outgoing.poll_out(Pin::new(&mut this.inner), cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.outgoing.poll_out(Pin::new(&mut this.inner), cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
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

impl Drop for Guard {
    /// Pingora drops a stream behind some of its last words without flushing it, as its own streams flush when dropped.
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Err(error)) = Pin::new(self).poll_flush(&mut cx) {
            tracing::debug!(%error, "the last bytes did not go out");
        }
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
        Some(Arc::clone(&self.digest))
    }
}

impl GetSocketDigest for Guard {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl Peek for Guard {}
