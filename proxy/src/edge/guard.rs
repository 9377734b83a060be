//! The stream between a client and Pingora, above TLS where there is TLS, and what it watches there.
//!
//! * **An HTTP/1 request is read once, strictly**, by [`Framing`], before Pingora sees a byte of it; what is refused there
//!   is answered here, and read on within bounds, so that the answer is not lost to a reset.
//! * **A head has a deadline.** Stock Pingora bounds each read of a request head but not the whole; here the clock of a
//!   head starts with its first byte and does not restart. A connection with no request in flight has a longer one. On
//!   HTTP/2 the wait for the first request and every header block are watched; `h2_idle_timeout` does the rest.
//! * **A reader has a rate.** While the client takes too little of what is written, the connection's time runs out.
//! * **Pingora's own refusals are rewritten.** A request that Pingora does not take never reaches the gate; it answers a
//!   bare 400. Those are the only response bytes written on HTTP/1 while no request is in flight, so they are known by
//!   that, and the answer goes out in our shape, with our headers, counted and logged. What the HTTP/2 codec refuses by
//!   itself is known by its RST_STREAM and GOAWAY frames.
//! * **Floods of HTTP/2 control frames end the connection**, and begin a flood ban.

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
use super::framing::{Fault, Framing, HeadLimits, Malformed};
use super::h2_watch::{Flooded, H2Watch};
use super::outgoing::Outgoing;
use super::stall::Stall;
use super::wait::Wait;
use crate::reason::Reason;

/// What Pingora does not take, though our own reading did.
const UNPARSED: Malformed =
    Malformed { reason: Reason::MalformedRequest, detail: "the head does not parse" };
/// Bytes that are read and thrown away behind a refused head, so that the client gets to read the answer.
const LINGER_BYTES_MAX: usize = 256 * 1024;
/// The time that this may take.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// Why a connection that stood is cut; the `cause` label of `edge_connections_cut_total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// No request for too long.
    Idle,
    /// A head that took too long.
    Head,
    /// An answer that is read too slowly.
    SlowReader,
    /// A flood of HTTP/2 control frames.
    Flood,
}

impl Cut {
    /// The label.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::SlowReader => "slow_reader",
            Self::Flood => "h2_flood",
        }
    }
}

/// Whom the guard tells what it sees.
pub(super) trait Reports: Send + Sync {
    /// A head that begins with `start` is refused; makes the whole HTTP/1.1 answer to it.
    fn malformed(&self, why: Malformed, start: &[u8]) -> Vec<u8>;

    /// The HTTP/2 codec reset `stream`, or with 0 ends the connection, for this error code.
    fn gave_up(&self, stream: u32, code: u32);

    /// The connection is cut.
    fn cut(&self, why: Cut);
}

/// The start of a head that is kept for the log.
const START_BYTES_MAX: usize = 256;

/// A client's stream under watch.
pub(super) struct Guard {
    inner: Stream,
    connection: Arc<Connection>,
    digest: Arc<ProxyDigest>,
    deadlines: Deadlines,
    reports: Box<dyn Reports>,
    /// The reading of HTTP/1; none on HTTP/2, which has frames.
    framing: Option<Framing>,
    /// Bytes that may still come behind a refused head.
    lingering: Option<usize>,
    wait: Wait,
    /// The number of requests begun when `deadline` was chosen.
    armed_at: Option<u64>,
    deadline: Instant,
    in_head: bool,
    start: Vec<u8>,
    stall: Stall,
    cut: Option<Cut>,
    /// What is watched on HTTP/2 only.
    h2: Option<Box<H2Watch>>,
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
        head: HeadLimits,
        reports: Box<dyn Reports>,
    ) -> pingora::Result<Self> {
        let is_h2 = matches!(inner.selected_alpn_proto(), Some(ALPN::H2));
        let deadline = Instant::now() + deadlines.idle;
        Ok(Self {
            inner,
            digest: connection.digest()?,
            connection,
            deadlines,
            reports,
            wait: Wait::until(deadline),
            framing: (!is_h2).then(|| Framing::new(head)),
            lingering: None,
            armed_at: None,
            deadline,
            in_head: false,
            start: Vec::new(),
            stall: Stall::default(),
            cut: None,
            h2: is_h2.then(|| Box::new(H2Watch::new(Instant::now()))),
            outgoing: Outgoing::default(),
        })
    }

    /// Starts the wait for the next head, if it is not the one that runs already.
    fn arm_for_next_head(&mut self) {
        let begun = self.connection.begun();
        if self.armed_at != Some(begun) {
            self.armed_at = Some(begun);
            self.in_head = false;
            self.outgoing.rest();
            self.deadline = Instant::now() + self.deadlines.idle;
        }
    }

    /// The first byte of a head starts the head's own, shorter deadline; each later read is held against it.
    fn saw_bytes_of_a_head(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.in_head {
            return if Instant::now() < self.deadline { Ok(()) } else { Err(self.cut(Cut::Head)) };
        }
        self.in_head = true;
        self.start.clear();
        self.start.extend_from_slice(bytes.get(..START_BYTES_MAX).unwrap_or(bytes));
        self.deadline = Instant::now() + self.deadlines.head;
        Ok(())
    }

    fn poll_read_h1(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.is_busy() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        self.arm_for_next_head();
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buf) {
            read?;
            let bytes = buf.filled().get(before..).unwrap_or_default();
            let is_end = bytes.is_empty();
            return Poll::Ready(if is_end { Ok(()) } else { self.saw_bytes_of_a_head(bytes) });
        }
        ready!(self.wait.poll_passed(self.deadline, cx));
        Poll::Ready(Err(self.cut(if self.in_head { Cut::Head } else { Cut::Idle })))
    }

    fn poll_read_h2(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(watch) = &mut self.h2 else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buf) {
            read?;
            let bytes = buf.filled().get(before..).unwrap_or_default();
            return Poll::Ready(match watch.saw(bytes, Instant::now()) {
                Ok(()) => Ok(()),
                Err(Flooded) => Err(self.cut(Cut::Flood)),
            });
        }
        let Some(since) = watch.awaits_head_since(self.connection.begun()) else {
            return Poll::Pending;
        };
        ready!(self.wait.poll_passed(since + self.deadlines.head, cx));
        Poll::Ready(Err(self.cut(Cut::Head)))
    }

    /// Whether these bytes are Pingora's own refusal of a head: the only response that begins with no request in flight.
    fn is_pingoras_refusal(&self, bytes: &[u8]) -> bool {
        !self.connection.is_busy() && bytes.starts_with(b"HTTP/1.")
    }

    fn poll_write_some(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(watch) = &mut self.h2 else {
            if self.is_pingoras_refusal(buf) {
                let answer = self.reports.malformed(UNPARSED, &self.start);
                self.outgoing.put(&answer);
                return Poll::Ready(Ok(buf.len()));
            }
            if buf.starts_with(b"HTTP/1.1 101 ")
                && let Some(framing) = &mut self.framing
            {
                framing.switch_protocol();
            }
            return self.outgoing.poll_take(buf, Pin::new(&mut self.inner), cx);
        };
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        let reports = &self.reports;
        let bytes = buf.get(..written).unwrap_or(buf);
        match watch.wrote(bytes, Instant::now, |stream, code| reports.gave_up(stream, code)) {
            Ok(()) => Poll::Ready(Ok(written)),
            Err(Flooded) => Poll::Ready(Err(self.cut(Cut::Flood))),
        }
    }

    /// Passes on the outcome of a write, unless the client has been taking too little for too long.
    fn hold_to_rate<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            return outcome;
        }
        let due = self.stall.due(Instant::now, self.deadlines.grace, self.deadlines.min_rate);
        ready!(self.wait.poll_passed(due, cx));
        Poll::Ready(Err(self.cut(Cut::SlowReader)))
    }

    /// Cuts the connection, once; Pingora may try to write its last words after that.
    fn cut(&mut self, why: Cut) -> io::Error {
        if self.cut.replace(why).is_none() {
            self.reports.cut(why);
        }
        io::ErrorKind::TimedOut.into()
    }
}

impl Guard {
    /// Reads from the client within the deadline of the moment.
    fn poll_watched(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.h2.is_some() { self.poll_read_h2(cx, buf) } else { self.poll_read_h1(cx, buf) }
    }

    /// Reads what [`Framing`] lets through. `framing` is this guard's own, taken out for the time of the call.
    fn poll_framed(
        &mut self,
        framing: &mut Framing,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<io::Result<()>, Fault>> {
        loop {
            let is_over =
                !self.connection.is_busy() && self.connection.begun() >= framing.requests();
            let may_begin = is_over || !framing.is_between_requests();
            if may_begin && framing.hand_on(buf)? {
                return Poll::Ready(Ok(Ok(())));
            }
            if !may_begin && framing.is_holding() {
                // The next request waits for its turn. Whoever reads then polls anew.
                return Poll::Pending;
            }
            let before = buf.filled().len();
            if let Err(error) = ready!(self.poll_watched(cx, buf)) {
                return Poll::Ready(Ok(Err(error)));
            }
            let is_end = buf.filled().len() == before;
            framing.inspect(buf, before, may_begin)?;
            if is_end || buf.filled().len() > before {
                return Poll::Ready(Ok(Ok(())));
            }
        }
    }

    /// Sends the answer to a refused head, then reads on and drops it, then says that the client has gone.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.outgoing.poll_out(Pin::new(&mut self.inner), cx))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        let mut scratch = [0; 4096];
        while let Some(left) = self.lingering.filter(|left| *left > 0) {
            let mut dropped = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut dropped) {
                Poll::Ready(Ok(())) if !dropped.filled().is_empty() => {
                    self.lingering = Some(left.saturating_sub(dropped.filled().len()));
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(self.wait.poll_passed(self.deadline, cx));
                    break;
                }
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
        if self.lingering.is_some() {
            return self.poll_linger(cx);
        }
        let Some(mut framing) = self.framing.take() else { return self.poll_watched(cx, buf) };
        let before = buf.filled().len();
        let read = self.poll_framed(&mut framing, cx, buf);
        self.framing = Some(framing);
        match ready!(read) {
            Ok(read) => Poll::Ready(read),
            Err(Fault::Body(why)) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)))
            }
            Err(Fault::Head(why)) => {
                // Where the client has gone already, the read is over at once: with the refused head in it, Pingora would
                // take the head for a request.
                buf.set_filled(before);
                let answer = self.reports.malformed(why, &self.start);
                self.outgoing.put(&answer);
                self.lingering = Some(LINGER_BYTES_MAX);
                self.deadline = Instant::now() + LINGER_TIME_MAX;
                self.poll_linger(cx)
            }
        }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.poll_write_some(cx, buf);
        if let Poll::Ready(Ok(written)) = &outcome {
            self.stall.wrote(*written);
        }
        self.hold_to_rate(outcome, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut outcome = this.outgoing.poll_out(Pin::new(&mut this.inner), cx);
        if let Poll::Ready(Ok(())) = outcome {
            outcome = Pin::new(&mut this.inner).poll_flush(cx);
        }
        if outcome.is_ready() {
            this.stall.flowed();
        }
        this.hold_to_rate(outcome, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut outcome = this.outgoing.poll_out(Pin::new(&mut this.inner), cx);
        if let Poll::Ready(Ok(())) = outcome {
            outcome = Pin::new(&mut this.inner).poll_shutdown(cx);
        }
        this.hold_to_rate(outcome, cx)
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
    /// Pingora drops a stream behind some of its last words without flushing it, as its own streams flush when dropped,
    /// and drops one that waits for a request without a word: the client is told then that nothing is missing.
    fn drop(&mut self) {
        let is_idle = self.armed_at == Some(self.connection.begun()) && !self.in_head;
        let mut cx = Context::from_waker(Waker::noop());
        let this = Pin::new(self);
        let last = if is_idle { this.poll_shutdown(&mut cx) } else { this.poll_flush(&mut cx) };
        if let Poll::Ready(Err(error)) = last {
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
