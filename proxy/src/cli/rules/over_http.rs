//! Requests as they are, over TLS, to a running edge. Blocking: one after the other, each on a connection of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::cli::Failed;

/// How long an answer may take. A request that promises more than it sends is waited for so long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An edge to send requests to.
pub(super) struct Edge {
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// What came back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Nothing where the connection ended without an answer.
    pub(super) status: Option<u16>,
    /// What the edge calls the request.
    pub(super) request_id: Option<String>,
}

impl Edge {
    /// Finds an edge by its URL.
    pub(super) fn open(url: &str, ca: Option<&Path>) -> Result<Self, Failed> {
        let said = |why: &dyn std::fmt::Display| {
            Failed::Said(format!("error: `{url}`: {why}\n  help: write `https://HOST:PORT`"))
        };
        let authority = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.ok_or_else(|| said(&"no URL of an edge"))?;
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "443"));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse::<u16>().map_err(|error| said(&error))?;
        let found = (host, port).to_socket_addrs().map_err(|error| said(&error))?.next();
        let address = found.ok_or_else(|| said(&"the name has no address"))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| said(&error))?;
        crate::edge::install_provider();
        let config = ClientConfig::builder().with_root_certificates(roots(ca)?);
        Ok(Self { address, name, config: Arc::new(config.with_no_client_auth()) })
    }

    /// Sends a request and reads the answer. That the edge closes early is an answer too; that it is not there at all is
    /// a failure. The connection is opened for the host that the request names, where the edge has a certificate for
    /// it: an edge refuses a host on a connection that was opened for another.
    pub(super) fn ask(&self, request: &[u8], host: Option<&[u8]>) -> Result<Answer, Failed> {
        let named = host.and_then(|host| std::str::from_utf8(host).ok());
        let named = named.map(|host| host.split(':').next().unwrap_or(host).to_ascii_lowercase());
        let named = named.and_then(|host| ServerName::try_from(host).ok());
        if let Some(Ok(mut stream)) = named.map(|name| self.connect(name)) {
            return Ok(exchange(&mut stream, request));
        }
        Ok(exchange(&mut self.connect(self.name.clone())?, request))
    }

    fn connect(
        &self,
        name: ServerName<'static>,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, Failed> {
        let unreachable = |error: &dyn std::fmt::Display| {
            Failed::Said(format!("error: `{}`: {error}", self.address))
        };
        let stream = TcpStream::connect(self.address).map_err(|error| unreachable(&error))?;
        let bounded = stream
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_TIMEOUT)))
            .and_then(|()| stream.set_nodelay(true));
        bounded.map_err(|error| unreachable(&error))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        let connection = connection.map_err(|error| unreachable(&error))?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.conn.complete_io(&mut stream.sock).map_err(|error| unreachable(&error))?;
        Ok(stream)
    }
}

fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> Answer {
    // What the edge no longer reads does not matter: its answer does.
    drop(stream.write_all(request).and_then(|()| stream.flush()));
    read(stream)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Failed> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca else { return Ok(roots) };
    let said = |error: &dyn std::fmt::Display| {
        Failed::Said(format!("error: `{}`: {error}", file.display()))
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| said(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| said(&error))?;
        roots.add(certificate).map_err(|error| said(&error))?;
    }
    if roots.is_empty() { Err(said(&"it holds no certificate")) } else { Ok(roots) }
}

/// Reads until the answer is whole, the edge closes or the time is over.
fn read(stream: &mut impl Read) -> Answer {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    while bytes.len() < ANSWER_BYTES_MAX && !is_whole(&bytes) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    answer(&bytes)
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let (head, body) = bytes.split_at_checked(end + 4).unwrap_or_default();
    if head.starts_with(b"HTTP/1.1 100") {
        return is_whole(body);
    }
    let bodiless = matches!(status(head), Some(100..=199 | 204 | 304));
    match header(head, "content-length").and_then(|length| length.parse::<usize>().ok()) {
        _ if bodiless => true,
        Some(length) => body.len() >= length,
        None if header(head, "transfer-encoding").is_some() => body.ends_with(b"0\r\n\r\n"),
        None => false,
    }
}

fn answer(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = bytes.split_at(end.map_or(bytes.len(), |end| end + 4));
    if head.starts_with(b"HTTP/1.1 100") {
        return answer(body);
    }
    Answer { status: status(head), request_id: header(head, "x-request-id") }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let word = line.split(|byte| *byte == b' ').nth(1)?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let mut found = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (own, value) = line.split_at(colon);
        let value = std::str::from_utf8(value.get(1..)?).ok()?.trim();
        own.eq_ignore_ascii_case(name.as_bytes()).then(|| value.to_owned())
    });
    found.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_to_their_end_and_no_further() {
        let whole: &[(&str, bool)] = &[
            ("HTTP/1.1 200 OK\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxy", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", true),
            ("HTTP/1.1 100 Continue\r\n\r\n", false),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ];
        for (bytes, expected) in whole {
            assert_eq!(is_whole(bytes.as_bytes()), *expected, "{bytes}");
        }
        let text =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nX-Request-ID: abc\r\n\r\n";
        let expected = Answer { status: Some(403), request_id: Some("abc".to_owned()) };
        assert_eq!(answer(text), expected);
        assert_eq!(answer(b""), Answer::default());
    }
}
