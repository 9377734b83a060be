//! An origin for requests that want to be misread: it reads as leniently as the worst of them, records every byte, and
//! says in its answer which request it answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::listening;

/// One request, as a lenient origin made it out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Its bytes, as they came.
    pub raw: Vec<u8>,
    /// Method and target.
    pub line: String,
    /// The body without its framing.
    pub body: Vec<u8>,
}

/// A lenient origin that records.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    record: Arc<Mutex<Vec<Recorded>>>,
    bytes: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When loopback cannot be had.
    pub async fn start() -> Self {
        let listener = listening();
        let address = listener.local_addr().expect("a bound socket has an address");
        let (record, bytes) = (Arc::default(), Arc::default());
        let (of_task, count) = (Arc::clone(&record), Arc::clone(&bytes));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&of_task), Arc::clone(&count)));
            }
        });
        Self { address, record, bytes, task }
    }

    /// Returns where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes every request that came whole, and how many bytes came in all.
    #[must_use]
    pub fn take(&self) -> (Vec<Recorded>, usize) {
        let whole = std::mem::take(&mut *self.record.lock().unwrap());
        (whole, std::mem::take(&mut *self.bytes.lock().unwrap()))
    }
}

async fn serve(
    mut stream: TcpStream,
    record: Arc<Mutex<Vec<Recorded>>>,
    bytes: Arc<Mutex<usize>>,
) -> Option<()> {
    let mut unread = Vec::new();
    loop {
        while let Some(request) = read_one(&unread) {
            unread.drain(..request.raw.len());
            let body = format!("{}\n", request.line);
            let length = body.len();
            record.lock().unwrap().push(request);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
        let read = stream.read_buf(&mut unread).await.ok().filter(|read| *read > 0)?;
        *bytes.lock().unwrap() += read;
    }
}

/// Makes out one request at the start of `bytes`: lines may end in a line feed, a coding that has `chunked` in it is
/// chunked and beats a length, a size ends where its digits do.
fn read_one(bytes: &[u8]) -> Option<Recorded> {
    let (mut at, mut line, mut length, mut chunked) = (0, None, 0, false);
    loop {
        let end = at + bytes.get(at..)?.iter().position(|byte| *byte == b'\n')?;
        let text = bytes.get(at..end)?.trim_ascii();
        at = end + 1;
        if text.is_empty() {
            if line.is_some() {
                break;
            }
            continue;
        }
        if line.is_none() {
            line = Some(first_words(text));
            continue;
        }
        let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
        let (name, value) = text.split_at(colon);
        let name = name.trim_ascii().to_ascii_lowercase();
        match name.as_slice() {
            b"content-length" | b"content_length" => length = number(value, 10),
            b"transfer-encoding" | b"transfer_encoding" => {
                chunked = value.to_ascii_lowercase().windows(7).any(|word| word == b"chunked");
            }
            _ => {}
        }
    }
    let rest = bytes.get(at..)?;
    let (used, body) =
        if chunked { lenient_chunks(rest)? } else { (length, rest.get(..length)?.to_vec()) };
    Some(Recorded { raw: bytes.get(..at + used)?.to_vec(), line: line?, body })
}

fn first_words(line: &[u8]) -> String {
    let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).take(2).collect();
    words.join(&b' ').escape_ascii().to_string()
}

/// The first run of digits.
fn number(text: &[u8], radix: u32) -> usize {
    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let digits: Vec<u8> = text
        .iter()
        .copied()
        .skip_while(|byte| !is_digit(byte))
        .take_while(|byte| is_digit(byte))
        .collect();
    let digits = String::from_utf8(digits).expect("digits are text");
    usize::from_str_radix(&digits, radix).unwrap_or(0)
}

fn lenient_chunks(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let end = at + bytes.get(at..)?.iter().position(|byte| *byte == b'\n')?;
        let size = number(bytes.get(at..end)?, 16);
        at = end + 1;
        if size == 0 {
            break;
        }
        body.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        at += bytes.get(at..)?.iter().position(|byte| *byte == b'\n')? + 1;
    }
    loop {
        let end = at + bytes.get(at..)?.iter().position(|byte| *byte == b'\n')?;
        let is_last = bytes.get(at..end)?.trim_ascii().is_empty();
        at = end + 1;
        if is_last {
            return Some((at, body));
        }
    }
}
