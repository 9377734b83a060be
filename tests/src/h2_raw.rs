//! An HTTP/2 client without any rules: it sends whatever frames and fields it is told to.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::within;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What became of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It was answered, with this status and body.
    Answered(u16, Vec<u8>),
    /// It was reset; the connection stands.
    Reset,
    /// The connection is over.
    Closed,
}

/// A header field: name and value, byte for byte.
pub type Field = (Vec<u8>, Vec<u8>);

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct H2Raw {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

/// Makes one frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame of a test is small").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

impl H2Raw {
    pub(crate) async fn new(mut stream: TlsStream<TcpStream>) -> Self {
        // A header table of size zero makes the answers' fields readable without a table.
        let settings = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        let opening = [PREFACE, &settings].concat();
        drop(within("the preface", stream.write_all(&opening)).await);
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        drop(within("sending", sent).await);
    }

    /// Sends a request on a stream: its fields, its body in these frames, its trailers.
    pub async fn request(
        &mut self,
        id: u32,
        fields: &[Field],
        data: &[Vec<u8>],
        trailers: &[Field],
    ) {
        let ends = |last: bool| if last { END_STREAM } else { 0 };
        let only_head = data.is_empty() && trailers.is_empty();
        let mut bytes = frame(HEADERS, END_HEADERS | ends(only_head), id, &block(fields));
        for (index, part) in data.iter().enumerate() {
            let last = index + 1 == data.len() && trailers.is_empty();
            bytes.extend(frame(DATA, ends(last), id, part));
        }
        if !trailers.is_empty() {
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, id, &block(trailers)));
        }
        self.send(&bytes).await;
    }

    /// Reads until the stream `id` or the connection has ended.
    pub async fn end_of(&mut self, id: u32) -> End {
        within("the end of a stream", self.read_end(id)).await
    }

    async fn read_end(&mut self, id: u32) -> End {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let Some((kind, flags, stream, payload)) = self.frame().await else {
                return End::Closed;
            };
            match kind {
                SETTINGS if flags & ACK == 0 => {
                    self.send(&frame(SETTINGS, ACK, 0, &[])).await;
                }
                GO_AWAY if payload.get(7) != Some(&0) => return End::Closed,
                RESET if stream == id && status == 0 => return End::Reset,
                HEADERS if stream == id => status = status_of(&payload),
                DATA if stream == id => body.extend_from_slice(&payload),
                _ => {}
            }
            if stream == id && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                return End::Answered(status, body);
            }
        }
    }

    async fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let [a, b, c, kind, flags, s0, s1, s2, s3, rest @ ..] = self.unread.as_slice() {
                let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                let stream = u32::from_be_bytes([*s0 & 0x7f, *s1, *s2, *s3]);
                if let Some(payload) = rest.get(..length) {
                    let whole = (*kind, *flags, stream, payload.to_vec());
                    self.unread.drain(..9 + length);
                    return Some(whole);
                }
            }
            let read = self.stream.read_buf(&mut self.unread).await;
            read.ok().filter(|read| *read > 0)?;
        }
    }
}

/// Encodes fields literally, with neither tables nor Huffman's code.
#[must_use]
pub fn block(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            length(text.len(), &mut bytes);
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// RFC 7541 §5.1 with a prefix of seven bits.
fn length(mut length: usize, bytes: &mut Vec<u8>) {
    if length < 127 {
        bytes.push(u8::try_from(length).expect("below 127"));
        return;
    }
    bytes.push(127);
    length -= 127;
    while length >= 128 {
        bytes.push(u8::try_from(length % 128 + 128).expect("below 256"));
        length /= 128;
    }
    bytes.push(u8::try_from(length).expect("below 128"));
}

/// The status, which is the first field of every answer: from the static table, or three digits.
fn status_of(block: &[u8]) -> u16 {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let mut bytes = block.iter().copied().skip_while(|byte| byte >> 5 == 1);
    let first = bytes.next().unwrap_or_default();
    if first & 0x80 != 0 {
        return STATIC.get(usize::from(first & 0x7f).wrapping_sub(8)).copied().unwrap_or(0);
    }
    let packed = bytes.next().unwrap_or_default();
    let text: Vec<u8> = bytes.take(usize::from(packed & 0x7f)).collect();
    let digits = if packed & 0x80 == 0 { text } else { huffman_digits(&text) };
    String::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// RFC 7541, appendix B: `0`, `1`, `2` have five bits, from 00000 on; the other digits six, from 011001 on.
fn huffman_digits(packed: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> =
        packed.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |bits: &[u8]| bits.iter().fold(0_u8, |value, bit| value << 1 | bit);
    let (mut at, mut digits) = (0, Vec::new());
    while digits.len() < 3 && at + 5 <= bits.len() {
        let short = value(&bits[at..at + 5]);
        if short <= 2 {
            digits.push(b'0' + short);
            at += 5;
        } else {
            let Some(long) = bits.get(at..at + 6).map(value) else { break };
            digits.push(b'3' + long.wrapping_sub(0b01_1001));
            at += 6;
        }
    }
    digits
}
