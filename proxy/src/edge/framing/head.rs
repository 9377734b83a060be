//! An HTTP/1 request head, line by line, as RFC 9112 writes it and not as its recipients may repair it.

use memchr::memchr;
use portcullis_config::model::Limits;

use super::Malformed;
use crate::reason::Reason;

/// A colon, a space and the line's end.
const BYTES_AROUND_A_FIELD: u64 = 4;
/// A method, the version, and the ends of the first and the last line.
const BYTES_AROUND_A_TARGET: u64 = 64;

/// How much of a head is read.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct HeadLimits {
    /// Bytes from the method to the empty line, both included.
    pub(in crate::edge) bytes: usize,
    /// Header fields.
    pub(in crate::edge) fields: u32,
}

impl HeadLimits {
    /// What the limits on target and headers come to, with what stands between them. Each is held exactly by the gate,
    /// under the request's own snapshot; these are the connection's.
    pub(in crate::edge) fn of(limits: &Limits) -> Self {
        let between = u64::from(limits.headers).saturating_mul(BYTES_AROUND_A_FIELD);
        let bytes = [limits.target_bytes, limits.header_bytes, between, BYTES_AROUND_A_TARGET];
        let bytes = bytes.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
        Self { bytes: usize::try_from(bytes).unwrap_or(usize::MAX), fields: limits.headers }
    }
}

/// How the body that follows a head ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body {
    /// At once.
    None,
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
}

/// A head that is being read.
#[derive(Debug, Default)]
pub(super) struct Head {
    line_start: usize,
    scanned: usize,
    lines: u32,
    is_http_10: bool,
    length: Option<u64>,
    is_chunked: bool,
}

impl Head {
    /// Whether nothing of it has been read.
    pub(super) const fn is_at_its_begin(&self) -> bool {
        self.scanned == 0
    }

    /// Reads on. `bytes` are all of the head so far; returns where it ends, once it does, and what follows.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<(usize, Body)>, Malformed> {
        while let Some(at) = memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default()) {
            let end = self.scanned + at;
            let line = bytes.get(self.line_start..end).unwrap_or_default();
            let line = line
                .strip_suffix(b"\r")
                .ok_or_else(|| malformed("a line ends without a carriage return"))?;
            self.scanned = end + 1;
            self.line_start = end + 1;
            if self.scanned > limits.bytes {
                return Err(self.too_large());
            }
            if self.line(line, limits)? {
                return self.body().map(|body| Some((end + 1, body)));
            }
        }
        let fresh = bytes.get(self.scanned..).unwrap_or_default();
        // What can be no part of any line is refused now, not when its line ends: it may never.
        if fresh.iter().any(|byte| *byte != b'\r' && !is_value_byte(*byte)) {
            return Err(malformed("a control byte in the head"));
        }
        self.scanned = bytes.len();
        if self.scanned > limits.bytes { Err(self.too_large()) } else { Ok(None) }
    }

    /// Takes one line without its end; says whether it was the empty one.
    fn line(&mut self, line: &[u8], limits: &HeadLimits) -> Result<bool, Malformed> {
        if self.lines == 0 {
            self.lines = 1;
            self.is_http_10 = request_line(line)?;
            return Ok(false);
        }
        if line.is_empty() {
            return Ok(true);
        }
        if self.lines > limits.fields {
            return Err(Malformed {
                reason: Reason::HeaderTooLarge,
                detail: "too many header fields",
            });
        }
        self.lines += 1;
        self.field(line)?;
        Ok(false)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Malformed> {
        if line.first().is_some_and(|byte| b" \t".contains(byte)) {
            return Err(malformed("a folded header field"));
        }
        let colon =
            memchr(b':', line).ok_or_else(|| malformed("a header field without a colon"))?;
        let (name, value) = line.split_at(colon);
        if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) {
            return Err(malformed("a header field's name is no token"));
        }
        let value = value.get(1..).unwrap_or_default();
        if !value.iter().all(|byte| is_value_byte(*byte)) {
            return Err(malformed("a control byte in a header field's value"));
        }
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            self.content_length(value)
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.transfer_encoding(value)
        } else {
            Ok(())
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.length.is_some() {
            return Err(malformed("more than one Content-Length"));
        }
        self.length = Some(decimal(value).ok_or_else(|| malformed("Content-Length is no number"))?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.is_chunked {
            return Err(malformed("more than one Transfer-Encoding"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(malformed("a transfer coding other than chunked"));
        }
        self.is_chunked = true;
        Ok(())
    }

    fn body(&self) -> Result<Body, Malformed> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(malformed("both Content-Length and Transfer-Encoding")),
            (true, None) if self.is_http_10 => Err(malformed("Transfer-Encoding on HTTP/1.0")),
            (true, None) => Ok(Body::Chunked),
            (false, Some(0) | None) => Ok(Body::None),
            (false, Some(length)) => Ok(Body::Length(length)),
        }
    }

    const fn too_large(&self) -> Malformed {
        let reason = if self.lines == 0 { Reason::UriTooLong } else { Reason::HeaderTooLarge };
        Malformed { reason, detail: "the head is larger than the limits together" }
    }
}

const fn malformed(detail: &'static str) -> Malformed {
    Malformed { reason: Reason::MalformedRequest, detail }
}

/// Checks `METHOD target HTTP/1.x`, with one space each; says whether it is HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Malformed> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, words.next())
    else {
        return Err(malformed("the request line is not three words"));
    };
    if method.is_empty() || !method.iter().all(|byte| is_token_byte(*byte)) {
        return Err(malformed("the method is no token"));
    }
    if target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(malformed("a byte in the target that no target has"));
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err(malformed("the version is neither HTTP/1.1 nor HTTP/1.0")),
    }
}

/// Digits only, and no zero before another: some read an octal number there.
fn decimal(value: &[u8]) -> Option<u64> {
    let plain = value == b"0" || value.first().is_some_and(|first| (b'1'..=b'9').contains(first));
    if !plain || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// RFC 9110 §5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// RFC 9110 §5.5: visible bytes, space, tab, and the bytes above ASCII.
const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
