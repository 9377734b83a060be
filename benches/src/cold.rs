//! Cold requests: a new connection, a TLS 1.3 handshake, one small POST, and the end. wrk cannot do these.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::tls;
use crate::wrk::Run;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// With the certificate and a key exchange.
    Full,
    /// With a ticket of the connection before.
    Resumed,
}

/// The longest time that one read or write may take.
const STEP_MAX: Duration = Duration::from_secs(10);

/// Sends `request` on connection after connection, `clients` at a time, for `span`; each answer must be a 200.
///
/// # Errors
/// The first failure: of the certificate, a handshake, or an answer.
pub fn run(
    address: SocketAddr,
    host: &str,
    cert: &Path,
    handshake: Handshake,
    request: &[u8],
    clients: usize,
    span: Duration,
) -> io::Result<Run> {
    let begun = now();
    let ends = begun + span;
    let client = |_| {
        let config = config(cert, handshake)?;
        let (host, request) = (host.to_owned(), request.to_vec());
        Ok(thread::spawn(move || one_client(address, &host, &config, &request, handshake, ends)))
    };
    let running: Vec<_> = (0..clients).map(client).collect::<io::Result<_>>()?;
    let mut times = Vec::new();
    for client in running {
        times.extend(client.join().map_err(|_| io::Error::other("a client broke"))??);
    }
    let took = begun.elapsed();
    times.sort();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    let per_second = times.len() as f64 / took.as_secs_f64();
    Ok(Run {
        requests: times.len() as u64,
        per_second,
        p99_millis: p99.as_secs_f64() * 1e3,
        failures: 0,
    })
}

fn config(cert: &Path, handshake: Handshake) -> io::Result<Arc<ClientConfig>> {
    let mut config = tls::client(cert, b"http/1.1")?;
    config.resumption = match handshake {
        Handshake::Full => Resumption::disabled(),
        Handshake::Resumed => Resumption::in_memory_sessions(32),
    };
    Ok(Arc::new(config))
}

fn one_client(
    address: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
    request: &[u8],
    handshake: Handshake,
    ends: Instant,
) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while now() < ends {
        let begun = now();
        let kind = one_request(address, host, config, request)?;
        times.push(begun.elapsed());
        let wanted = match handshake {
            Handshake::Resumed if times.len() > 1 => rustls::HandshakeKind::Resumed,
            Handshake::Full | Handshake::Resumed => rustls::HandshakeKind::Full,
        };
        if kind != Some(wanted) {
            return Err(io::Error::other(format!("the handshake was {kind:?}, not {wanted:?}")));
        }
    }
    Ok(times)
}

fn one_request(
    address: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
    request: &[u8],
) -> io::Result<Option<rustls::HandshakeKind>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(STEP_MAX))?;
    tcp.set_write_timeout(Some(STEP_MAX))?;
    let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(tls, tcp);
    stream.write_all(request)?;
    let mut answer = Vec::with_capacity(4096);
    while !is_whole(&answer) {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece)?;
        let piece = piece.get(..read).unwrap_or_default();
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(piece);
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other("the answer was no 200"));
    }
    Ok(stream.conn.handshake_kind())
}

/// Whether the head and as much of the body as it announces are there.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let (head, body) = answer.split_at(end + 4);
    let length = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

#[expect(clippy::disallowed_methods, reason = "a load generator measures time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_the_last_byte_of_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-Length: 3\r\n\r\nabc";
        for end in 0..answer.len() {
            assert!(!is_whole(&answer[..end]), "{end}");
        }
        assert!(is_whole(answer));
    }
}
