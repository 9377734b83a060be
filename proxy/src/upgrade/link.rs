//! One end of the stream between a process and its successor: JSON messages behind their length, and the sockets beside
//! a single byte before the first of them.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most sockets that are passed: the system's own bound is 253.
pub(super) const SOCKETS_MAX: usize = 128;
/// The longest message: a million rate counters are below it.
const MESSAGE_BYTES_MAX: u32 = 1 << 30;
/// The byte that the sockets travel with.
const MARK: u8 = b'P';

/// One end.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
}

impl Link {
    /// Makes both ends; the second is for the successor's standard input.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self { stream: ours }, theirs.into()))
    }

    /// Takes standard input for the other end. Fails later, at the first message, where it is something else.
    pub(super) fn inherited() -> io::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self { stream: UnixStream::from(stdin) })
    }

    /// Bounds every wait from now on.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))
    }

    /// Passes sockets.
    pub(super) fn pass(&self, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let room = rustix::cmsg_space!(ScmRights(SOCKETS_MAX));
        let mut space = vec![MaybeUninit::uninit(); room];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("too many sockets"));
        }
        sendmsg(&self.stream, &[IoSlice::new(&[MARK])], &mut ancillary, SendFlags::empty())?;
        Ok(())
    }

    /// Takes the sockets that were passed.
    pub(super) fn take(&self) -> io::Result<Vec<OwnedFd>> {
        let room = rustix::cmsg_space!(ScmRights(SOCKETS_MAX));
        let mut space = vec![MaybeUninit::uninit(); room];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut mark = [0];
        let received = recvmsg(
            &self.stream,
            &mut [IoSliceMut::new(&mut mark)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if received.bytes != 1 || mark != [MARK] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut sockets = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                sockets.extend(passed);
            }
        }
        Ok(sockets)
    }

    /// Sends one message.
    pub(super) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.send_bytes(&serde_json::to_vec(message)?)
    }

    /// Sends bytes as they are.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MESSAGE_BYTES_MAX);
        let length = length.ok_or(io::ErrorKind::FileTooLarge)?;
        self.stream.write_all(&length.to_be_bytes())?;
        self.stream.write_all(bytes)
    }

    /// Receives one message.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        Ok(serde_json::from_slice(&self.receive_bytes()?)?)
    }

    /// Receives what [`Self::send_bytes`] sent.
    pub(super) fn receive_bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MESSAGE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        let read = (&self.stream).take(u64::from(length)).read_to_end(&mut bytes)?;
        if read < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_socket_that_was_passed_takes_connections() {
        let (ours, theirs) = Link::pair().unwrap();
        let theirs = Link { stream: UnixStream::from(theirs) };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        ours.pass(&[listener.as_fd()]).unwrap();
        let mut passed = theirs.take().unwrap();
        assert_eq!(passed.len(), 1);
        drop(listener);
        let listener = TcpListener::from(passed.remove(0));
        let client = TcpStream::connect(address).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }

    #[test]
    fn messages_arrive_whole_and_in_order_and_a_lost_end_is_an_error() {
        let (mut ours, theirs) = Link::pair().unwrap();
        let mut theirs = Link { stream: UnixStream::from(theirs) };
        ours.pass(&[]).unwrap();
        ours.send(&vec![1, 2, 3]).unwrap();
        ours.send(&"two").unwrap();
        assert!(theirs.take().unwrap().is_empty());
        assert_eq!(theirs.receive::<Vec<u8>>().unwrap(), [1, 2, 3]);
        assert_eq!(theirs.receive::<String>().unwrap(), "two");
        drop(ours);
        assert!(theirs.receive::<String>().is_err());
    }
}
