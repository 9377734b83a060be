//! JA3 and JA4: what a client's TLS library is, from the order and choice of what its ClientHello offers.
//!
//! Pure over bytes, and total: a hello that does not parse has no fingerprint (its handshake fails by itself). JA3 is
//! Salesforce's description of 2017, JA4 FoxIO's `technical_details/JA4.md`; both leave GREASE (RFC 8701) out. A JA4 is
//! the same for clients that shuffle their extensions, a JA3 is not.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use md5::{Digest as _, Md5};

use super::hello;
use crate::hex::hex;

const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// The fingerprints of one ClientHello; both are empty where none was read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Fingerprints {
    /// 32 hexadecimal digits.
    pub(crate) ja3: Arc<str>,
    /// As in `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    pub(crate) ja4: Arc<str>,
}

impl Fingerprints {
    /// Takes them from the records of a whole ClientHello.
    pub(super) fn of(records: &[u8]) -> Self {
        let message = hello::message(records);
        let of = |offer: Offer<'_>| Self {
            ja3: hex(&Md5::digest(offer.ja3_text())).into(),
            ja4: offer.ja4().into(),
        };
        Offer::read(&message).map(of).unwrap_or_default()
    }
}

/// What a ClientHello offers, in its order and without GREASE.
#[derive(Default)]
struct Offer<'a> {
    legacy_version: u16,
    ciphers: Vec<u16>,
    extensions: Vec<u16>,
    groups: Vec<u16>,
    point_formats: &'a [u8],
    signature_algorithms: Vec<u16>,
    versions: Vec<u16>,
    first_protocol: &'a [u8],
}

impl<'a> Offer<'a> {
    /// RFC 8446 §4.1.2, from the handshake header on.
    fn read(message: &'a [u8]) -> Option<Self> {
        let ([_kind, high, length @ ..], mut rest) = message.split_first_chunk::<4>()?;
        let length = usize::from(*high) << 16 | usize::from(u16::from_be_bytes(*length));
        let mut body = take(&mut rest, length)?;
        let legacy_version = number(&mut body)?;
        let _random = take(&mut body, 32)?;
        let _session_id = short(&mut body)?;
        let ciphers = numbers(long(&mut body)?);
        let _compressions = short(&mut body)?;
        let mut offer = Self { legacy_version, ciphers, ..Self::default() };
        // SSLv3 and some of TLS 1.0 end here.
        if !body.is_empty() {
            let mut rest = long(&mut body)?;
            while !rest.is_empty() {
                let kind = number(&mut rest)?;
                offer.extend(kind, long(&mut rest)?)?;
            }
        }
        Some(offer)
    }

    fn extend(&mut self, kind: u16, mut body: &'a [u8]) -> Option<()> {
        if is_grease(kind) {
            return Some(());
        }
        self.extensions.push(kind);
        match kind {
            SUPPORTED_GROUPS => self.groups = numbers(long(&mut body)?),
            POINT_FORMATS => self.point_formats = short(&mut body)?,
            SIGNATURE_ALGORITHMS => self.signature_algorithms = numbers(long(&mut body)?),
            SUPPORTED_VERSIONS => self.versions = numbers(short(&mut body)?),
            ALPN => {
                let mut names = long(&mut body)?;
                if !names.is_empty() {
                    self.first_protocol = short(&mut names)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// What JA3 hashes: `769,47-53,0-10-11,23-24,0`.
    fn ja3_text(&self) -> String {
        let formats: Vec<_> = self.point_formats.iter().copied().map(u16::from).collect();
        let lists = [&self.ciphers, &self.extensions, &self.groups, &formats];
        let mut text = self.legacy_version.to_string();
        for list in lists {
            let numbers: Vec<_> = list.iter().map(ToString::to_string).collect();
            text.push(',');
            text.push_str(&numbers.join("-"));
        }
        text
    }

    fn ja4(&self) -> String {
        let destination = if self.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
        format!(
            "t{}{destination}{:02}{:02}{}_{}_{}",
            self.version(),
            self.ciphers.len().min(99),
            self.extensions.len().min(99),
            self.protocol_ends(),
            short_hash(&listed(sorted(&self.ciphers))),
            short_hash(&self.extensions_text()),
        )
    }

    /// The highest version offered.
    fn version(&self) -> &'static str {
        match self.versions.iter().max().unwrap_or(&self.legacy_version) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        }
    }

    /// The first and last character of the first protocol of ALPN, or of its hexadecimal digits where one of the two is
    /// not a letter or digit; `00` without.
    fn protocol_ends(&self) -> String {
        let ends = (self.first_protocol.first(), self.first_protocol.last());
        let (Some(first), Some(last)) = ends else { return "00".to_owned() };
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            return [char::from(*first), char::from(*last)].iter().collect();
        }
        let (high, low) = (first >> 4, last & 15);
        format!("{high:x}{low:x}")
    }

    /// The extensions in order of number but for the server name and ALPN, then the signature algorithms as offered.
    fn extensions_text(&self) -> String {
        let kinds: Vec<_> = sorted(&self.extensions)
            .into_iter()
            .filter(|kind| ![SERVER_NAME, ALPN].contains(kind))
            .collect();
        let mut text = listed(kinds);
        if !self.signature_algorithms.is_empty() {
            text.push('_');
            text.push_str(&listed(self.signature_algorithms.clone()));
        }
        text
    }
}

fn sorted(numbers: &[u16]) -> Vec<u16> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted
}

/// `002f,0035`.
fn listed(numbers: Vec<u16>) -> String {
    let words: Vec<_> = numbers.into_iter().map(|number| format!("{number:04x}")).collect();
    words.join(",")
}

/// The first twelve digits of the SHA-256; zeros for an empty text.
fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let mut digits = hex(digest(&SHA256, text.as_bytes()).as_ref());
    digits.truncate(12);
    digits
}

/// RFC 8701: both bytes are the same and end in `a`.
const fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    let (pairs, _odd) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| u16::from_be_bytes(*pair)).filter(|one| !is_grease(*one)).collect()
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8]) -> Option<u16> {
    let (pair, rest) = bytes.split_first_chunk::<2>()?;
    *bytes = rest;
    Some(u16::from_be_bytes(*pair))
}

/// A vector behind one byte of length.
fn short<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first()?;
    *bytes = rest;
    take(bytes, usize::from(*length))
}

/// A vector behind two bytes of length.
fn long<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(bytes)?;
    take(bytes, usize::from(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|one| one.to_be_bytes()).collect()
    }

    fn behind_two(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    fn behind_one(bytes: &[u8]) -> Vec<u8> {
        [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    /// A ClientHello in one record.
    fn client_hello(version: u16, ciphers: &[u16], extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.extend(behind_one(&[9; 32]));
        body.extend(behind_two(&wide(ciphers)));
        body.extend(behind_one(&[0]));
        if !extensions.is_empty() {
            let all = extensions
                .iter()
                .flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), behind_two(body)].concat());
            body.extend(behind_two(&all.collect::<Vec<_>>()));
        }
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1], &length[1..], &body].concat();
        [&[22, 3, 1][..], &behind_two(&message)].concat()
    }

    /// The hello that FoxIO's description of JA4 explains, with GREASE where Chrome puts it.
    fn chrome() -> Vec<u8> {
        let ciphers = [
            0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
            0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
        ];
        let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        let protocols = [behind_one(b"h2"), behind_one(b"http/1.1")].concat();
        let mut extensions = vec![
            (0x1a1a, Vec::new()),
            (ALPN, behind_two(&protocols)),
            (SERVER_NAME, vec![0, 0]),
            (SUPPORTED_VERSIONS, behind_one(&wide(&[0x3a3a, 0x0304, 0x0303]))),
            (SIGNATURE_ALGORITHMS, behind_two(&wide(&algorithms))),
            (SUPPORTED_GROUPS, behind_two(&wide(&[0x2a2a, 29, 23, 24]))),
            (POINT_FORMATS, behind_one(&[0])),
        ];
        let others =
            [0x0005, 0x0012, 0x0015, 0x0017, 0x001b, 0x0023, 0x002d, 0x0033, 0x4469, 0xff01];
        extensions.extend(others.map(|kind| (kind, Vec::new())));
        client_hello(0x0303, &ciphers, &extensions)
    }

    #[test]
    fn the_published_ja4_is_found() {
        assert_eq!(&*Fingerprints::of(&chrome()).ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn the_published_ja3s_are_found() {
        let of_lists = client_hello(
            769,
            &[47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
            &[
                (SERVER_NAME, vec![0, 0]),
                (SUPPORTED_GROUPS, behind_two(&wide(&[23, 24, 25]))),
                (POINT_FORMATS, behind_one(&[0])),
            ],
        );
        let found = Fingerprints::of(&of_lists);
        assert_eq!(&*found.ja3, "ada70206e40642a3e4461f35503241d5");
        assert_eq!(found.ja4.split('_').next(), Some("t10d120300"));
        let bare = client_hello(769, &[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], &[]);
        let found = Fingerprints::of(&bare);
        assert_eq!(&*found.ja3, "de350869b8c85de67a350c8d186f11e6");
        assert!(found.ja4.starts_with("t10i110000_"), "{}", found.ja4);
        assert!(found.ja4.ends_with("_000000000000"), "{}", found.ja4);
    }

    #[test]
    fn grease_changes_nothing() {
        let plain = |grease: &[u16]| {
            let ciphers = [grease, &[0x1301]].concat();
            let mut extensions: Vec<_> = grease.iter().map(|kind| (*kind, vec![0])).collect();
            extensions.push((SUPPORTED_GROUPS, behind_two(&[wide(grease), wide(&[29])].concat())));
            Fingerprints::of(&client_hello(0x0303, &ciphers, &extensions))
        };
        let all: Vec<u16> = (0..16).map(|high| 0x0a0a + high * 0x1010).collect();
        assert_eq!(plain(&all), plain(&[]));
        assert_ne!(plain(&[0x0a1a]), plain(&[]), "not of RFC 8701");
    }

    #[test]
    fn protocols_that_are_no_words_are_told_by_their_digits() {
        for (protocol, expected) in [
            (&b"h2"[..], "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (b"", "00"),
            (b"\xab", "ab"),
            (b"0\xab", "3b"),
        ] {
            let names = if protocol.is_empty() { Vec::new() } else { behind_one(protocol) };
            let bytes = client_hello(0x0303, &[0x1301], &[(ALPN, behind_two(&names))]);
            let ja4 = Fingerprints::of(&bytes).ja4;
            assert!(
                ja4.starts_with(&format!("t12i0101{expected}_")),
                "{ja4}: {}",
                protocol.escape_ascii()
            );
        }
    }

    #[test]
    fn records_cut_anywhere_join_to_the_same_fingerprint() {
        let whole = chrome();
        let (_, message) = whole.split_at(5);
        for size in [4, 5, 7, 100, 200] {
            let pieces = message.chunks(size);
            let records: Vec<u8> =
                pieces.flat_map(|piece| [&[22, 3, 1][..], &behind_two(piece)].concat()).collect();
            assert_eq!(Fingerprints::of(&records), Fingerprints::of(&whole), "in {size}");
        }
    }

    #[test]
    fn any_bytes_are_answered() {
        let whole = chrome();
        for at in 0..whole.len() {
            let cut = Fingerprints::of(&whole[..at]);
            assert_eq!(cut, Fingerprints::default(), "cut at {at}");
            for value in [0, 1, 0x7f, 0xff] {
                let mut bent = whole.clone();
                bent[at] = value;
                let found = Fingerprints::of(&bent);
                assert!(found.ja3.is_empty() || found.ja3.len() == 32, "{value} at {at}");
                assert!(found.ja4.is_empty() || found.ja4.len() == 36, "{value} at {at}");
            }
        }
    }
}
