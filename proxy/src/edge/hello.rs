//! The first bytes of a connection: is this a TLS ClientHello, and is it whole?
//!
//! Pure over bytes; [`super::connection`] does the reading. Knowing that the hello is whole before the handshake starts
//! gives the slow first flight a deadline of its own, and [`super::fingerprint`]
//! reads the same bytes.

/// The largest ClientHello that is read, record headers included. Today's largest (with a post-quantum key share) are
/// near 2 KiB.
pub(crate) const HELLO_BYTES_MAX: usize = 16 * 1024;

const RECORD_HEADER: usize = 5;
const RECORD_TYPE_HANDSHAKE: u8 = 22;
const HANDSHAKE_CLIENT_HELLO: u8 = 1;
/// RFC 8446 §5.1: a plaintext record's fragment.
const FRAGMENT_BYTES_MAX: usize = 1 << 14;

/// What the bytes read so far are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hello {
    /// A ClientHello as far as it goes.
    Partial,
    /// A whole ClientHello.
    Whole,
    /// Something else, or larger than [`HELLO_BYTES_MAX`].
    Other,
}

/// Says what `bytes`, read from the start of a connection, are. One pass over the record headers.
pub(super) fn classify(bytes: &[u8]) -> Hello {
    let mut rest = bytes;
    let mut message = 0_usize;
    let mut wanted = None;
    while !rest.is_empty() {
        let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER>() else {
            return if starts_like_a_record(rest) { partial(bytes) } else { Hello::Other };
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if !starts_like_a_record(header) || length == 0 || length > FRAGMENT_BYTES_MAX {
            return Hello::Other;
        }
        if wanted.is_none() && message == 0 {
            match message_length(after) {
                Ok(length) => wanted = length,
                Err(NotAHello) => return Hello::Other,
            }
        }
        message += length.min(after.len());
        if wanted.is_some_and(|wanted| message >= wanted) {
            return Hello::Whole;
        }
        let Some(next) = after.get(length..) else { return partial(bytes) };
        rest = next;
    }
    partial(bytes)
}

/// The handshake message that the records of a whole ClientHello carry, its header of four bytes included. No longer than
/// `records`.
pub(super) fn message(records: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(records.len());
    let mut rest = records;
    while let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let length = usize::from(u16::from_be_bytes([header[3], header[4]])).min(after.len());
        let (fragment, next) = after.split_at(length);
        message.extend_from_slice(fragment);
        rest = next;
    }
    message
}

struct NotAHello;

/// The handshake message's length with its own header, from the first fragment's first four bytes; `None` when they are
/// not there yet. A first fragment shorter than four bytes is not met in practice and counts as no hello.
fn message_length(fragment: &[u8]) -> Result<Option<usize>, NotAHello> {
    match fragment {
        [] => Ok(None),
        [HANDSHAKE_CLIENT_HELLO, high, middle, low, ..] => {
            Ok(Some(4 + (usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low))))
        }
        [HANDSHAKE_CLIENT_HELLO, ..] => Ok(None),
        [_, ..] => Err(NotAHello),
    }
}

fn starts_like_a_record(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [kind] => *kind == RECORD_TYPE_HANDSHAKE,
        [kind, major, ..] => *kind == RECORD_TYPE_HANDSHAKE && *major == 3,
    }
}

fn partial(bytes: &[u8]) -> Hello {
    if bytes.len() >= HELLO_BYTES_MAX { Hello::Other } else { Hello::Partial }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello of `body` bytes in records of at most `fragment` bytes.
    fn records(body: usize, fragment: usize) -> Vec<u8> {
        let mut message =
            vec![1, 0, u8::try_from(body >> 8).unwrap(), u8::try_from(body & 255).unwrap()];
        message.resize(4 + body, 0xaa);
        let mut bytes = Vec::new();
        for part in message.chunks(fragment) {
            bytes.extend_from_slice(&[22, 3, 1]);
            bytes.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    #[test]
    fn a_hello_is_partial_to_its_last_byte_and_then_whole() {
        for (body, fragment) in [(60, 16_384), (500, 100), (2000, 1024), (12, 4)] {
            let bytes = records(body, fragment);
            for end in 0..bytes.len() {
                assert_eq!(
                    classify(&bytes[..end]),
                    Hello::Partial,
                    "{body} bytes in {fragment}, cut at {end}"
                );
            }
            assert_eq!(classify(&bytes), Hello::Whole, "{body} bytes in {fragment}");
        }
    }

    #[test]
    fn what_is_no_hello_is_known_from_its_first_bytes() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x02\x00",
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\x40\x01\x01",
            b"\x16\x03\x01\x00\x05\x02\x00\x00\x01",
            b"SSH-2.0-x\r\n",
        ] {
            assert_eq!(classify(bytes), Hello::Other, "{}", bytes.escape_ascii());
        }
    }

    /// A ClientHello that is of this many bytes with the headers of its records.
    fn hello_of(bytes: usize) -> Vec<u8> {
        let headers = RECORD_HEADER * bytes.div_ceil(4096 + RECORD_HEADER);
        let hello = records(bytes - headers - 4, 4096);
        assert_eq!(hello.len(), bytes);
        hello
    }

    #[test]
    fn a_hello_is_read_up_to_its_bytes() {
        for (what, bytes, expected) in [
            ("one under", HELLO_BYTES_MAX - 1, Hello::Whole),
            ("at it", HELLO_BYTES_MAX, Hello::Whole),
            ("one over", HELLO_BYTES_MAX + 1, Hello::Other),
        ] {
            let hello = hello_of(bytes);
            let read = hello.get(..HELLO_BYTES_MAX).unwrap_or(&hello);
            assert_eq!(classify(read), expected, "{what}");
        }
        assert_eq!(classify(&hello_of(HELLO_BYTES_MAX + 1)[..HELLO_BYTES_MAX - 1]), Hello::Partial);
    }
}
