//! What a log must not say: the values of parameters, headers and cookies that the configuration names.

use bytes::Bytes;

/// What stands in the place of a value.
pub(crate) const REDACTED: &str = "[redacted]";

/// The names whose values are left out, in lower case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redaction<'n>(pub(crate) &'n [String]);

impl Redaction<'_> {
    /// Whether values under this name are left out; the name is as the client wrote it.
    pub(crate) fn names(self, name: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let decoded = decoded(name);
        // The engine names what stands in JSON `json.a`.
        let short = decoded.strip_prefix(b"json.").unwrap_or(&decoded);
        self.0.iter().any(|known| known.as_bytes() == short || known.as_bytes() == decoded)
    }

    /// Returns the URI without the values of named parameters. Where none is named it is the URI itself.
    pub(crate) fn uri(self, uri: &Bytes) -> Bytes {
        let Some(at) = uri.iter().position(|byte| *byte == b'?') else { return uri.clone() };
        let (path, query) = uri.split_at(at + 1);
        if !query.split(is_between).any(|pair| self.hides(pair)) {
            return uri.clone();
        }
        let mut out = path.to_vec();
        for pair in query.split_inclusive(is_between) {
            let (pair, end) = match pair.split_last() {
                Some((last, rest)) if is_between(last) => (rest, Some(*last)),
                Some(_) | None => (pair, None),
            };
            if self.hides(pair) {
                out.extend_from_slice(name(pair));
                out.push(b'=');
                out.extend_from_slice(REDACTED.as_bytes());
            } else {
                out.extend_from_slice(pair);
            }
            out.extend(end);
        }
        out.into()
    }

    fn hides(self, pair: &[u8]) -> bool {
        name(pair).len() < pair.len() && self.names(name(pair))
    }
}

const fn is_between(byte: &u8) -> bool {
    matches!(*byte, b'&' | b';' | b'#')
}

fn name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default()
}

/// Decodes `%XX` and lowers ASCII letters, so that no spelling of a name shows its value.
fn decoded(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped =
            digits.filter(|_| *byte == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        out.push(escaped.unwrap_or(*byte).to_ascii_lowercase());
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_named_parameters_are_left_out_in_every_spelling() {
        let names = ["token".to_owned(), "password".to_owned()];
        let redaction = Redaction(&names);
        for (uri, expected) in [
            ("/a", "/a"),
            ("/a?b=1", "/a?b=1"),
            ("/a?token=s", "/a?token=[redacted]"),
            ("/a?b=1&TOKEN=s&c=2", "/a?b=1&TOKEN=[redacted]&c=2"),
            ("/a?%74oken=s;password=p#x", "/a?%74oken=[redacted];password=[redacted]#x"),
            ("/a?tokens=s&token", "/a?tokens=s&token"),
            ("/a?token=", "/a?token=[redacted]"),
            ("/a?token=a=b", "/a?token=[redacted]"),
            ("/token=s?x=%zz&%", "/token=s?x=%zz&%"),
        ] {
            let found = redaction.uri(&Bytes::copy_from_slice(uri.as_bytes()));
            assert_eq!(found, expected, "{uri}");
        }
        assert!(redaction.names(b"Token") && redaction.names(b"json.token"));
        assert!(!redaction.names(b"tok") && !Redaction(&[]).names(b"token"));
    }
}
