//! Bytes on their way to an HTTP/1 client, gathered so that head and body leave in one write.
//!
//! Pingora writes an answer's head and each piece of its body on their own, and relies on the buffer of its own
//! listeners, which a stream of ours does not have. Gathered here, above TLS, a small answer is one TLS record, one
//! system call and one segment.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Bytes that are gathered before they go out: one TLS record.
const GATHERED_BYTES_MAX: usize = 16 * 1024;
/// What a connection that waits for its next request keeps allocated.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// Bytes that have not gone out yet.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

impl Outgoing {
    /// Takes the whole of `bytes`, and lets what was gathered go out first where it would become too much.
    pub(super) fn poll_take(
        &mut self,
        bytes: &[u8],
        to: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut to = to;
        if self.bytes.len() + bytes.len() > GATHERED_BYTES_MAX {
            ready!(self.poll_out(to.as_mut(), cx))?;
        }
        if bytes.len() > GATHERED_BYTES_MAX {
            return to.poll_write(cx, bytes);
        }
        self.put(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Adds bytes whatever is there already.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes everything that was gathered.
    pub(super) fn poll_out(
        &mut self,
        to: Pin<&mut (impl AsyncWrite + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut to = to;
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(to.as_mut().poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.bytes.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Gives memory back that an idle connection should not hold.
    pub(super) fn rest(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Remembers each write.
    #[derive(Default)]
    struct Writes(Vec<usize>);

    impl AsyncWrite for Writes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(buf.len());
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn writes_of(sizes: &[usize]) -> Vec<usize> {
        let (mut outgoing, mut writes) = (Outgoing::default(), Writes::default());
        for size in sizes {
            let piece = vec![b'x'; *size];
            poll_fn(|cx| outgoing.poll_take(&piece, Pin::new(&mut writes), cx)).await.unwrap();
        }
        poll_fn(|cx| outgoing.poll_out(Pin::new(&mut writes), cx)).await.unwrap();
        assert!(outgoing.bytes.is_empty());
        outgoing.rest();
        assert!(outgoing.bytes.capacity() <= KEPT_BYTES_MAX);
        writes.0
    }

    #[tokio::test]
    async fn a_small_answer_is_one_write_and_a_large_one_is_not_held_up() {
        const MAX: usize = GATHERED_BYTES_MAX;
        for (pieces, writes) in [
            (&[1000, 40][..], &[1040][..]),
            (&[1000, MAX - 1000], &[MAX]),
            (&[1000, MAX - 999], &[1000, MAX - 999]),
            (&[1000, MAX + 1, 5], &[1000, MAX + 1, 5]),
            (&[], &[]),
        ] {
            assert_eq!(writes_of(pieces).await, writes, "{pieces:?}");
        }
    }
}
