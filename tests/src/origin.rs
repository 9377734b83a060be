//! An origin that records what it saw, byte for byte, and answers everything with 200.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// One request, as the origin saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// From the request line to the empty line.
    pub head: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Seen {
    /// Returns the request line.
    #[must_use]
    pub fn line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// Returns every value of a header, by its name in any case.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let fields = text.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    }

    /// Returns the names of all headers in lower case.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .skip(1)
            .filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()))
            .collect()
    }

    fn text(&self) -> String {
        self.head.iter().map(|byte| char::from(*byte)).collect()
    }
}

#[derive(Debug, Default)]
struct Record {
    seen: Vec<Seen>,
    bytes: usize,
    /// Requests since the start, whatever was forgotten.
    answered: usize,
}

/// An origin that records.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    record: Arc<Mutex<Record>>,
    task: JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Origin {
    /// Starts an origin that answers 200 with a small JSON body, and names its software.
    pub async fn start() -> Self {
        Self::answering(
            b"HTTP/1.1 200 OK\r\nServer: origin/1\r\nX-Powered-By: tests\r\nX-Frame-Options: SAMEORIGIN\r\n\
              Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}",
        )
        .await
    }

    /// Starts an origin that answers every request with these bytes.
    pub async fn answering(answer: &'static [u8]) -> Self {
        Self::serving(Manner::InTurn(vec![answer]), None).await
    }

    /// Starts an origin that answers its first request with the first of these, and so on; the last serves all further
    /// ones. An empty one is no answer: the connection is closed.
    pub async fn in_turn(answers: &[&'static [u8]]) -> Self {
        Self::serving(Manner::InTurn(answers.to_vec()), None).await
    }

    /// Starts an origin whose answer the request decides.
    pub async fn deciding(decide: fn(&Seen) -> &'static [u8]) -> Self {
        Self::serving(Manner::Deciding(decide), None).await
    }

    /// Starts an origin that takes every request for an upgrade to WebSocket, and sends back what comes then.
    pub async fn echoing() -> Self {
        Self::serving(Manner::Echo, None).await
    }

    /// Starts an origin that speaks TLS and answers 200.
    pub async fn tls(config: Arc<ServerConfig>) -> Self {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        Self::serving(Manner::InTurn(vec![answer]), Some(config)).await
    }

    async fn serving(manner: Manner, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = crate::listening();
        let address = listener.local_addr().expect("a bound socket has an address");
        let record = Arc::new(Mutex::new(Record::default()));
        let acceptor = tls.map(TlsAcceptor::from);
        let task = tokio::spawn(accept(listener, Arc::clone(&record), Arc::new(manner), acceptor));
        Self { address, record, task }
    }

    /// Returns where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns every request that came whole.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.record.lock().unwrap().seen.clone()
    }

    /// Forgets what it saw.
    pub fn forget(&self) {
        let mut record = self.record.lock().unwrap();
        *record = Record { answered: record.answered, ..Record::default() };
    }

    /// Fails the test if a single byte came.
    #[track_caller]
    pub fn saw_nothing(&self) {
        let record = self.record.lock().unwrap();
        assert_eq!(record.bytes, 0, "the origin saw {:?}", record.seen);
    }

    /// Returns the only request.
    #[track_caller]
    #[must_use]
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        let [only] = seen.as_slice() else { panic!("the origin saw {seen:?}") };
        only.clone()
    }
}

/// What an origin does with a request.
#[derive(Debug)]
enum Manner {
    InTurn(Vec<&'static [u8]>),
    Deciding(fn(&Seen) -> &'static [u8]),
    Echo,
}

async fn accept(
    listener: TcpListener,
    record: Arc<Mutex<Record>>,
    manner: Arc<Manner>,
    tls: Option<TlsAcceptor>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (record, manner) = (Arc::clone(&record), Arc::clone(&manner));
        match &tls {
            None => drop(tokio::spawn(serve(stream, record, manner))),
            Some(tls) => drop(tokio::spawn(serve_tls(tls.accept(stream), record, manner))),
        }
    }
}

async fn serve_tls(
    accepting: tokio_rustls::Accept<TcpStream>,
    record: Arc<Mutex<Record>>,
    manner: Arc<Manner>,
) {
    if let Ok(stream) = accepting.await {
        serve(stream, record, manner).await;
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    record: Arc<Mutex<Record>>,
    manner: Arc<Manner>,
) -> Option<()> {
    let mut unread = Unread { bytes: Vec::new(), record: Arc::clone(&record) };
    loop {
        let head = unread.until(&mut stream, b"\r\n\r\n").await?;
        let seen = Seen { head, body: Vec::new() };
        let body = if seen.headers("transfer-encoding").iter().any(|coding| coding == "chunked") {
            chunked(&mut unread, &mut stream).await?
        } else {
            let length =
                seen.headers("content-length").first().map_or(0, |length| length.parse().unwrap());
            unread.exactly(&mut stream, length).await?
        };
        let seen = Seen { body, ..seen };
        let count = {
            let mut record = record.lock().unwrap();
            record.seen.push(seen.clone());
            record.answered += 1;
            record.answered
        };
        match manner.as_ref() {
            Manner::InTurn(answers) => {
                let answer = answers.get(count - 1).or_else(|| answers.last())?;
                if answer.is_empty() && answers.len() > 1 {
                    return None;
                }
                stream.write_all(answer).await.ok()?;
                stream.flush().await.ok()?;
            }
            Manner::Deciding(decide) => {
                stream.write_all(decide(&seen)).await.ok()?;
                stream.flush().await.ok()?;
            }
            Manner::Echo => return echo(unread, stream).await,
        }
    }
}

async fn echo(mut unread: Unread, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
    let answer =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(answer).await.ok()?;
    loop {
        let bytes = std::mem::take(&mut unread.bytes);
        stream.write_all(&bytes).await.ok()?;
        unread.more(&mut stream).await?;
    }
}

async fn chunked(unread: &mut Unread, stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = unread.until(stream, b"\r\n").await?;
        let digits = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
        let length = usize::from_str_radix(digits, 16).ok()?;
        let chunk = unread.exactly(stream, length + 2).await?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunk.strip_suffix(b"\r\n")?);
    }
}

struct Unread {
    bytes: Vec<u8>,
    record: Arc<Mutex<Record>>,
}

impl Unread {
    async fn until(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        end: &[u8],
    ) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.bytes.windows(end.len()).position(|window| window == end) {
                return Some(self.bytes.drain(..at + end.len()).collect());
            }
            self.more(stream).await?;
        }
    }

    async fn exactly(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        length: usize,
    ) -> Option<Vec<u8>> {
        while self.bytes.len() < length {
            self.more(stream).await?;
        }
        Some(self.bytes.drain(..length).collect())
    }

    async fn more(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Option<()> {
        let read = stream.read_buf(&mut self.bytes).await.ok().filter(|read| *read > 0)?;
        self.record.lock().unwrap().bytes += read;
        Some(())
    }
}
