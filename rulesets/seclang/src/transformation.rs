//! The transformations of SecLang: each a pure function from bytes to bytes, and one table of them by name.
//!
//! A transformation names its *trigger bytes*: a value that holds none of them is its own output, so that a
//! caller with the value's byte set skips the call. Every function is total, appends at most three times the
//! input's length plus 48 bytes (`urlEncode` is the widest) and makes one pass.

use crate::byte_set::ByteSet;

mod base64_decode;
mod base64_encode;
mod cmd_line;
mod comments;
mod css_decode;
mod escape_seq_decode;
mod hex;
mod html_entity_decode;
mod js_decode;
mod length;
mod letter_case;
mod md5;
mod normalize_path;
mod nulls;
mod parity;
mod sha1;
mod sql_hex_decode;
mod trim;
mod url_decode;
mod url_encode;
mod utf8_to_unicode;
mod whitespace;

#[cfg(test)]
mod tests;

/// Says whether a transformation's output differs from its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Changed {
    /// The output equals the input. The buffer holds nothing that may be read.
    No,
    /// The output differs from the input and stands in the buffer.
    Yes,
}

impl Changed {
    /// Compares what came out with what went in.
    fn between(input: &[u8], out: &[u8]) -> Self {
        if input == out { Self::No } else { Self::Yes }
    }
}

/// One row of the table of transformations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transformation {
    /// The name as the ModSecurity reference spells it.
    pub(crate) name: &'static str,
    /// The bytes without which the output equals the input; `None`: any value may change.
    pub(crate) trigger: Option<ByteSet>,
    /// Says of a value and its bytes, more cheaply than the function, that the output equals the input.
    leaves: fn(&[u8], &ByteSet) -> bool,
    function: fn(&[u8], &mut Vec<u8>),
}

impl PartialEq for Transformation {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Transformation {}

impl Transformation {
    /// Whether a look at `input`, which holds the bytes `holds`, shows that the output equals it.
    pub(crate) fn leaves(&self, input: &[u8], holds: &ByteSet) -> bool {
        self.trigger.is_some_and(|trigger| !trigger.meets(holds)) || (self.leaves)(input, holds)
    }

    const fn sparing(mut self, leaves: fn(&[u8], &ByteSet) -> bool) -> Self {
        self.leaves = leaves;
        self
    }

    /// Replaces what `out` holds by the transformed `input`.
    pub(crate) fn apply(&self, input: &[u8], out: &mut Vec<u8>) -> Changed {
        out.clear();
        (self.function)(input, out);
        Changed::between(input, out)
    }
}

/// Looks a transformation up by its SecLang name, letter case ignored. `none` is not one: it empties the chain.
pub(crate) fn find(name: &str) -> Option<&'static Transformation> {
    TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// Every row of the table.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn all() -> impl Iterator<Item = &'static Transformation> {
    TABLE.iter()
}

const WHITESPACE: ByteSet = ByteSet::of(b" \t\n\x0b\x0c\r");
const UPPER: ByteSet = ByteSet::range(b'A', b'Z');
const LOWER: ByteSet = ByteSet::range(b'a', b'z');
const HIGH: ByteSet = ByteSet::range(0x80, 0xff);
const ALWAYS: Option<ByteSet> = None;

const fn on(bytes: &[u8]) -> Option<ByteSet> {
    Some(ByteSet::of(bytes))
}

const fn row(
    name: &'static str,
    trigger: Option<ByteSet>,
    function: fn(&[u8], &mut Vec<u8>),
) -> Transformation {
    Transformation { name, trigger, leaves: cannot_say, function }
}

fn cannot_say(_: &[u8], _: &ByteSet) -> bool {
    false
}

static TABLE: &[Transformation] = &[
    row("base64Decode", ALWAYS, base64_decode::base64_decode),
    row("base64DecodeExt", ALWAYS, base64_decode::base64_decode_ext),
    row("base64Encode", ALWAYS, base64_encode::base64_encode),
    row("cmdLine", Some(cmd_line::TRIGGER), cmd_line::cmd_line).sparing(cmd_line::leaves),
    row("compressWhitespace", Some(WHITESPACE), whitespace::compress_whitespace)
        .sparing(whitespace::compressed),
    row("cssDecode", on(b"\\"), css_decode::css_decode),
    row("escapeSeqDecode", on(b"\\"), escape_seq_decode::escape_seq_decode),
    row("hexDecode", ALWAYS, hex::hex_decode),
    row("hexEncode", ALWAYS, hex::hex_encode),
    row("htmlEntityDecode", on(b"&"), html_entity_decode::html_entity_decode),
    row("jsDecode", on(b"\\"), js_decode::js_decode),
    row("length", ALWAYS, length::length),
    row("lowercase", Some(UPPER), letter_case::lowercase),
    row("md5", ALWAYS, md5::md5),
    row("normalisePath", on(b"/."), normalize_path::normalize_path),
    row("normalisePathWin", on(b"/\\."), normalize_path::normalize_path_win),
    row("normalizePath", on(b"/."), normalize_path::normalize_path),
    row("normalizePathWin", on(b"/\\."), normalize_path::normalize_path_win),
    row("parityEven7bit", ALWAYS, parity::even),
    row("parityOdd7bit", ALWAYS, parity::odd),
    row("parityZero7bit", Some(HIGH), parity::zero),
    row("removeComments", on(b"/<-#"), comments::remove_comments),
    row("removeCommentsChar", on(b"/*<-#"), comments::remove_comments_char),
    row("removeNulls", on(b"\0"), nulls::remove_nulls),
    row("removeWhitespace", Some(WHITESPACE), whitespace::remove_whitespace),
    row("replaceComments", on(b"/"), comments::replace_comments),
    row("replaceNulls", on(b"\0"), nulls::replace_nulls),
    row("sha1", ALWAYS, sha1::sha1),
    row("sqlHexDecode", on(b"xX"), sql_hex_decode::sql_hex_decode),
    row("trim", Some(WHITESPACE), trim::trim),
    row("trimLeft", Some(WHITESPACE), trim::trim_left),
    row("trimRight", Some(WHITESPACE), trim::trim_right),
    row("uppercase", Some(LOWER), letter_case::uppercase),
    row("urlDecode", on(b"%+"), url_decode::url_decode),
    row("urlDecodeUni", on(b"%+"), url_decode::url_decode_uni),
    row("urlEncode", ALWAYS, url_encode::url_encode),
    row("utf8toUnicode", Some(HIGH), utf8_to_unicode::utf8_to_unicode),
];

/// Writes for each byte of `input` the byte that `of` gives, kept or overwritten by the next; `of` may take back
/// what it has written by the length so far. The output is never longer than the input. No branch depends on
/// whether a byte is kept, so that text costs the same as noise.
fn rewrite(input: &[u8], out: &mut Vec<u8>, mut of: impl FnMut(u8, &mut usize) -> (u8, bool)) {
    out.clear();
    out.resize(input.len(), 0);
    let mut length = 0_usize;
    for byte in input {
        let (written, kept) = of(*byte, &mut length);
        if let Some(slot) = out.get_mut(length) {
            *slot = written;
        }
        length += usize::from(kept);
    }
    out.truncate(length);
}

/// Says whether C's `isspace` holds for `byte`: space, tab, line feed, vertical tab, form feed, carriage return.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// What `base64Decode` makes of a text.
pub(crate) fn base64_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    base64_decode::base64_decode(text, &mut out);
    out
}

/// Returns the value of a hexadecimal digit.
pub(crate) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None, // any other byte is no digit
    }
}

/// Returns the byte that two hexadecimal digits stand for.
pub(crate) const fn hex_pair(high: u8, low: u8) -> Option<u8> {
    match (hex_digit(high), hex_digit(low)) {
        (Some(high), Some(low)) => Some(high << 4 | low),
        (None, _) | (_, None) => None,
    }
}

/// Returns the low byte of a four-digit escape, with the full-width forms U+FF01–U+FF5E folded to ASCII.
fn low_byte_of([a, b, c, d]: [u8; 4]) -> Option<u8> {
    hex_pair(a, b)?;
    let byte = hex_pair(c, d)?;
    let full_width = a.eq_ignore_ascii_case(&b'f') && b.eq_ignore_ascii_case(&b'f');
    let folds = full_width && byte > 0 && byte < 0x5f;
    Some(if folds { byte + 0x20 } else { byte })
}
