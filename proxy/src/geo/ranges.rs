//! Countries as text ranges, as Debian's `tor-geoipdb` has them: `FIRST,LAST,CC`, IPv4 as numbers, IPv6 as addresses,
//! one file a family, `#` before comments, `??` for an unknown country.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::GeoError;

/// The most ranges of one family; the real files have a sixth of it.
const RANGES_MAX: usize = 4_000_000;

/// Sorted, disjoint ranges of both families.
pub(super) struct Ranges {
    v4: Box<[Range<u32>]>,
    v6: Box<[Range<u128>]>,
    built: u64,
}

struct Range<T> {
    first: T,
    last: T,
    country: [u8; 2],
}

/// Says whether the bytes begin like text ranges: a comment or a digit. A database in MaxMind's format begins with its
/// search tree, and is told apart by the text's first lines being text.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let start = bytes.get(..256).unwrap_or(bytes);
    let plain = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    start.first().is_some_and(|first| *first == b'#' || first.is_ascii_hexdigit())
        && start.iter().all(plain)
        && start.contains(&b'\n')
}

impl Ranges {
    pub(super) fn read(v4: &[u8], v6: Option<&[u8]>) -> Result<Self, GeoError> {
        let read_v6 = |bytes| read(bytes, |text| Ipv6Addr::from_str(text).ok().map(u128::from));
        Ok(Self {
            v4: read(v4, |text| text.parse().ok())?,
            v6: v6.map_or_else(|| Ok(Box::default()), read_v6)?,
            built: built(v4),
        })
    }

    pub(super) fn region_code(&self, address: IpAddr) -> &str {
        let country = match address {
            IpAddr::V4(address) => find(&self.v4, address.to_bits()),
            IpAddr::V6(address) => find(&self.v6, address.to_bits()),
        };
        country.and_then(|country| std::str::from_utf8(country).ok()).unwrap_or_default()
    }

    /// Returns when the data were generated, in seconds since the Unix epoch; 0 where the text does not tell.
    pub(super) const fn built(&self) -> u64 {
        self.built
    }
}

fn find<T: Ord + Copy>(ranges: &[Range<T>], value: T) -> Option<&[u8; 2]> {
    let after = ranges.partition_point(|range| range.first <= value);
    let range = after.checked_sub(1).and_then(|at| ranges.get(at))?;
    (value <= range.last).then_some(&range.country)
}

fn read<T: Ord + Copy>(
    bytes: &[u8],
    number: impl Fn(&str) -> Option<T>,
) -> Result<Box<[Range<T>]>, GeoError> {
    let mut ranges: Vec<Range<T>> = Vec::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |problem| GeoError::Line { line: at + 1, problem };
        let line = std::str::from_utf8(line).map_err(|_| wrong("it is no text"))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.split(',');
        let (Some(first), Some(last), Some(country), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("`FIRST,LAST,CC` is expected"));
        };
        let ends = number(first).zip(number(last)).filter(|(first, last)| first <= last);
        let (first, last) = ends.ok_or_else(|| wrong("its ends are no addresses in order"))?;
        if ranges.last().is_some_and(|before| before.last >= first) {
            return Err(wrong("it begins before the range above it ends"));
        }
        if ranges.len() >= RANGES_MAX {
            return Err(wrong("there are more ranges than any database has"));
        }
        match country.as_bytes() {
            b"??" => {}
            [a, b] if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() => {
                let country = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
                ranges.push(Range { first, last, country });
            }
            _ => return Err(wrong("its country is no code of two letters")), // any other bytes
        }
    }
    if ranges.is_empty() {
        return Err(GeoError::Line { line: 1, problem: "there is not a single range" });
    }
    Ok(ranges.into())
}

/// The comment `# Generated: Tue, 04 Nov 2025 06:26:01 GMT` of the original export.
fn built(bytes: &[u8]) -> u64 {
    let head = bytes.get(..4096).unwrap_or(bytes);
    let text = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let written = text.lines().find_map(|line| line.strip_prefix("# Generated:"));
    let parsed = written.and_then(|time| jiff::fmt::rfc2822::parse(time.trim()).ok());
    parsed.and_then(|time| u64::try_from(time.timestamp().as_second()).ok()).unwrap_or_default()
}
