//! A compressed body as the origin will read it, under a cap on its size and on its ratio. Pure.
//!
//! What is inspected must be what the origin sees, so anything that two decoders could read in two ways is broken: bytes
//! behind the end, a second frame, a format of an earlier time.

use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// How a body is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    Gzip,
    /// RFC 9110's `deflate`: zlib, RFC 1950.
    Deflate,
    Brotli,
    Zstd,
    /// Several one after another, or one that nobody here reads.
    Other,
}

impl Coding {
    /// Reads the one coding that the headers name.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let mut codings = words.map(|word| word.trim_ascii().to_ascii_lowercase());
        let mut named = codings.by_ref().filter(|word| word != b"identity");
        let Some(first) = named.next() else { return Self::Identity };
        if named.next().is_some() {
            return Self::Other;
        }
        match first.as_slice() {
            b"gzip" | b"x-gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            b"br" => Self::Brotli,
            b"zstd" => Self::Zstd,
            _ => Self::Other,
        }
    }
}

/// How far a body is inflated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    /// Bytes of the inflated body.
    pub(super) bytes: u64,
    /// Inflated bytes for each byte of the body.
    pub(super) ratio: u32,
}

/// An inflated body, or its start.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Inflated {
    pub(super) bytes: Bytes,
    /// Whether that is all of it.
    pub(super) is_whole: bool,
}

/// Why a body cannot be inflated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// It is not what its coding says.
    Broken,
    /// It grows beyond the ratio.
    TooDense,
}

/// The largest window of zstd that is read: what every decoder of HTTP has to support (RFC 9659).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// The first bytes of a frame of zstd, RFC 8878.
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Inflates a body up to the cap.
pub(super) fn inflate(coding: Coding, body: &[u8], cap: Cap) -> Result<Inflated, Trouble> {
    let dense = (body.len() as u64).saturating_mul(u64::from(cap.ratio));
    let most = cap.bytes.min(dense);
    let read = match coding {
        Coding::Identity => Ok((body.to_vec(), true)),
        Coding::Gzip => gzip(body, most),
        Coding::Deflate => deflate(body, most),
        Coding::Brotli => brotli(body, most),
        Coding::Zstd => zstd(body, most),
        Coding::Other => Err(io::ErrorKind::Unsupported.into()),
    };
    let (mut bytes, is_clean) = read.map_err(|_| Trouble::Broken)?;
    let is_whole = bytes.len() as u64 <= most;
    if is_whole {
        return if is_clean {
            Ok(Inflated { bytes: bytes.into(), is_whole })
        } else {
            Err(Trouble::Broken)
        };
    }
    if dense < cap.bytes {
        return Err(Trouble::TooDense);
    }
    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(Inflated { bytes: bytes.into(), is_whole })
}

/// What was read, at most one byte more than `most`, and whether nothing is left behind the end.
type Decoded = io::Result<(Vec<u8>, bool)>;

fn read_up_to(reader: &mut impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Members one after another are one body (RFC 1952, section 2.2); anything else behind them is an error of the decoder.
fn gzip(body: &[u8], most: u64) -> Decoded {
    let mut decoder = MultiGzDecoder::new(body);
    let bytes = read_up_to(&mut decoder, most)?;
    Ok((bytes, decoder.get_ref().is_empty()))
}

fn deflate(body: &[u8], most: u64) -> Decoded {
    let mut decoder = ZlibDecoder::new(body);
    let bytes = read_up_to(&mut decoder, most)?;
    Ok((bytes, decoder.get_ref().is_empty()))
}

fn zstd(body: &[u8], most: u64) -> Decoded {
    if !body.starts_with(ZSTD_MAGIC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut decoder = ::zstd::stream::read::Decoder::with_buffer(body)?.single_frame();
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    let bytes = read_up_to(&mut decoder, most)?;
    Ok((bytes, decoder.get_ref().is_empty()))
}

/// Bytes of one step of the decoder.
const STEP: usize = 16 * 1024;

fn brotli(body: &[u8], most: u64) -> Decoded {
    let allocator = StandardAlloc::default;
    let mut state = BrotliState::new(allocator(), allocator(), allocator());
    let (mut left, mut at, mut total) = (body.len(), 0, 0);
    let mut bytes = Vec::new();
    let mut step = vec![0; STEP];
    loop {
        let (mut room, mut written) = (STEP, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            body,
            &mut room,
            &mut written,
            &mut step,
            &mut total,
            &mut state,
        );
        bytes.extend_from_slice(step.get(..written).unwrap_or_default());
        match result {
            _ if bytes.len() as u64 > most => {
                bytes.truncate(usize::try_from(most.saturating_add(1)).unwrap_or(usize::MAX));
                return Ok((bytes, false));
            }
            BrotliResult::ResultSuccess => return Ok((bytes, left == 0)),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

#[cfg(test)]
#[path = "inflate/tests.rs"]
mod tests;
