//! License keys: `PREFIX-XXXXX-XXXXX-XXXXX-XXXXX-XXXXC`.
//!
//! Twenty-four random Crockford base 32 symbols (120 bits) and a check symbol that covers the prefix too. The check
//! is a polynomial over GF(32): it finds every single wrong symbol and every swap of two neighbours, so that a typing
//! error is refused before any database work. Only the SHA-256 of a key is ever stored.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_SYMBOLS: usize = 24;
const GROUP: usize = 5;
const PREFIX_BYTES_MAX: usize = 12;
/// The longest text that can be a key: prefix, five groups of five, five hyphens.
const KEY_BYTES_MAX: usize = PREFIX_BYTES_MAX + 5 * GROUP + 5;

/// The word in front of a key, chosen per license: 2 to 12 of `A-Z0-9`, a letter first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Returns the prefix as it stands in the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let upper = text.to_ascii_uppercase();
        let fits = (2..=PREFIX_BYTES_MAX).contains(&upper.len());
        let starts = upper.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
        let plain = upper.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if fits && starts && plain { Ok(Self(upper)) } else { Err(InvalidKey) }
    }
}

/// A text that is no license key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not in the form of a license key or its prefix")]
pub struct InvalidKey;

/// A license key in its one spelling. Its text is a secret: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LicenseKey(Zeroizing<String>);

impl fmt::Debug for LicenseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LicenseKey(…)")
    }
}

/// The SHA-256 of a license key, which is all the store knows of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl LicenseKey {
    /// Makes a new key from the system's randomness.
    pub(crate) fn generate(prefix: &KeyPrefix) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut random = Zeroizing::new([0_u8; RANDOM_SYMBOLS]);
        SystemRandom::new().fill(random.as_mut())?;
        Ok(Self::from_symbols(prefix, random.map(|byte| byte & 31)))
    }

    fn from_symbols(prefix: &KeyPrefix, symbols: [u8; RANDOM_SYMBOLS]) -> Self {
        let check = checksum(prefix.as_str().as_bytes(), &symbols);
        let mut text = Zeroizing::new(String::with_capacity(KEY_BYTES_MAX));
        text.push_str(prefix.as_str());
        for (position, symbol) in symbols.into_iter().chain([check]).enumerate() {
            if position % GROUP == 0 {
                text.push('-');
            }
            text.push(ALPHABET.get(usize::from(symbol)).copied().map_or('0', char::from));
        }
        Self(text)
    }

    /// Reads a key as people type it: any case, and `I`, `L`, `O` for the digits they look like.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidKey> {
        if text.len() > KEY_BYTES_MAX {
            return Err(InvalidKey);
        }
        let (prefix, rest) = text.split_once('-').ok_or(InvalidKey)?;
        let prefix: KeyPrefix = prefix.parse()?;
        let mut symbols = Zeroizing::new([0_u8; RANDOM_SYMBOLS + 1]);
        let mut filled = 0;
        for group in rest.split('-') {
            if group.len() != GROUP {
                return Err(InvalidKey);
            }
            for byte in group.bytes() {
                *symbols.get_mut(filled).ok_or(InvalidKey)? = symbol(byte).ok_or(InvalidKey)?;
                filled += 1;
            }
        }
        let (check, random) = symbols.split_last().ok_or(InvalidKey)?;
        let random: [u8; RANDOM_SYMBOLS] = random.try_into().map_err(|_| InvalidKey)?;
        if filled != RANDOM_SYMBOLS + 1 || *check != checksum(prefix.as_str().as_bytes(), &random) {
            return Err(InvalidKey);
        }
        Ok(Self::from_symbols(&prefix, random))
    }

    /// Returns what the store knows of this key.
    pub(crate) fn hash(&self) -> KeyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        KeyHash(hash)
    }

    /// Gives the secret away, to be shown once.
    pub(crate) fn into_text(self) -> Zeroizing<String> {
        self.0
    }
}

fn symbol(byte: u8) -> Option<u8> {
    let upper = match byte.to_ascii_uppercase() {
        b'I' | b'L' => b'1',
        b'O' => b'0',
        other => other,
    };
    ALPHABET
        .iter()
        .position(|&known| known == upper)
        .and_then(|position| u8::try_from(position).ok())
}

/// Evaluates the polynomial of all symbols at a generator of GF(32), by Horner's rule.
fn checksum(prefix: &[u8], symbols: &[u8; RANDOM_SYMBOLS]) -> u8 {
    prefix
        .iter()
        .map(|byte| byte & 31)
        .chain(symbols.iter().copied())
        .fold(0, |sum, value| times_x(sum ^ value))
}

/// Multiplies by x modulo x⁵ + x² + 1.
const fn times_x(value: u8) -> u8 {
    let shifted = value << 1;
    if shifted & 32 == 0 { shifted } else { (shifted ^ 0b10_0101) & 31 }
}

#[cfg(test)]
mod tests {
    use super::{ALPHABET, KeyPrefix, LicenseKey};

    fn sample() -> String {
        let prefix: KeyPrefix = "DEMO".parse().unwrap();
        LicenseKey::generate(&prefix).unwrap().into_text().to_string()
    }

    #[test]
    fn a_generated_key_parses_and_keeps_its_hash_in_any_case() {
        for _ in 0..100 {
            let text = sample();
            let key = LicenseKey::parse(&text).unwrap();
            assert_eq!(LicenseKey::parse(&text.to_lowercase()).unwrap().hash(), key.hash());
            assert_eq!(key.into_text().as_str(), text);
        }
    }

    #[test]
    fn every_single_wrong_symbol_is_refused() {
        let text = sample();
        let body = text.find('-').unwrap() + 1;
        for position in body..text.len() {
            for &other in ALPHABET {
                let mut wrong = text.clone().into_bytes();
                if wrong[position] == b'-' || wrong[position] == other {
                    continue;
                }
                wrong[position] = other;
                let wrong = String::from_utf8(wrong).unwrap();
                assert!(LicenseKey::parse(&wrong).is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn every_swap_of_neighbours_is_refused() {
        let text = sample().into_bytes();
        for position in 5..text.len() - 1 {
            let mut wrong = text.clone();
            wrong.swap(position, position + 1);
            if wrong == text || wrong[position] == b'-' || wrong[position + 1] == b'-' {
                continue;
            }
            assert!(LicenseKey::parse(&String::from_utf8(wrong).unwrap()).is_err());
        }
    }

    #[test]
    fn a_key_under_another_prefix_is_refused() {
        let text = sample();
        assert!(LicenseKey::parse(&text.replacen("DEMO", "DEMA", 1)).is_err());
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        let long = "A".repeat(4000);
        let good = sample();
        let cases = [
            "",
            "-",
            "DEMO",
            "DEMO-",
            "' OR 1=1--",
            "CODITECT-AAAA-BBBB-CCCC",
            "D-00000-00000-00000-00000-00000",
            "1DEMO-00000-00000-00000-00000-00000",
            "DEMO-00000-00000-00000-00000-0000U",
            "DEMO-00000-00000-00000-00000-00000-00000",
            "DEMO-0000é-00000-00000-00000-0000",
            "DEMO 00000 00000 00000 00000 00000",
            long.as_str(),
        ];
        for case in cases {
            assert!(LicenseKey::parse(case).is_err(), "{case}");
        }
        assert!(LicenseKey::parse(&format!("{good} ")).is_err());
        assert!(LicenseKey::parse(&format!("{good}\0")).is_err());
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        let key = LicenseKey::parse(&sample()).unwrap();
        assert_eq!(format!("{key:?}"), "LicenseKey(…)");
    }

    #[test]
    fn prefixes_are_held_to_their_form() {
        for good in ["DE", "coditect", "A1", "ABCDEFGHIJKL"] {
            assert!(good.parse::<KeyPrefix>().is_ok(), "{good}");
        }
        for bad in ["", "A", "1A", "ABCDEFGHIJKLM", "A-B", "Ä1", "A B"] {
            assert!(bad.parse::<KeyPrefix>().is_err(), "{bad}");
        }
    }
}
