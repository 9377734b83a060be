//! Finds the one credential of a request. Several are refused: what the edge verifies and what the origin reads must be
//! the same.

use crate::refusal::{Refusal, Why};

/// Returns the token of the one `Authorization: Bearer` header, or nothing where there is no such header at all.
///
/// # Errors
/// When there are several headers, another scheme, or nothing after the scheme.
pub fn credential<'a>(
    headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"authorization"))
        .map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::MoreThanOneCredential);
    }
    bearer(value).map(Some)
}

/// Says whether a query carries `access_token`, the form of RFC 6750 section 2.3 that is not accepted here: beside a
/// header it is a second credential, alone it is none.
#[must_use]
pub fn is_in_query(query: &[u8]) -> bool {
    query.split(|byte| *byte == b'&').any(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        unescaped_is(name, b"access_token")
    })
}

fn bearer(value: &[u8]) -> Result<&[u8], Refusal> {
    let not_bearer = Refusal::InvalidToken(Why::NotBearer);
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(6).ok_or(not_bearer)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") || !rest.starts_with(b" ") {
        return Err(not_bearer);
    }
    let token = rest.trim_ascii_start();
    // Two tokens in one value are two credentials (a list that an intermediary joined).
    if token.iter().any(|byte| matches!(byte, b' ' | b'\t' | b',')) {
        return Err(Refusal::MoreThanOneCredential);
    }
    if token.is_empty() { Err(not_bearer) } else { Ok(token) }
}

/// Compares a name, percent escapes undone, with a plain one.
fn unescaped_is(mut name: &[u8], plain: &[u8]) -> bool {
    for wanted in plain {
        let Some((byte, rest)) = name.split_first() else { return false };
        let (byte, rest) = match (byte, rest) {
            (b'%', [high, low, rest @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, rest),
                _ => return false,
            },
            _ => (*byte, rest),
        };
        if byte != *wanted {
            return false;
        }
        name = rest;
    }
    name.is_empty()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Result<Option<&'static [u8]>, Refusal> {
        credential(values.iter().map(|value| (b"Authorization".as_slice(), value.as_bytes())))
    }

    #[test]
    fn exactly_one_bearer_is_a_credential() {
        let not_bearer = Err(Refusal::InvalidToken(Why::NotBearer));
        let several = Err(Refusal::MoreThanOneCredential);
        let cases: [(&[&'static str], Result<Option<&'static [u8]>, Refusal>); 16] = [
            (&[], Ok(None)),
            (&["Bearer abc"], Ok(Some(b"abc"))),
            (&["bearer abc"], Ok(Some(b"abc"))),
            (&["BEARER   abc "], Ok(Some(b"abc"))),
            (&["Bearer"], not_bearer),
            (&["Bearer "], not_bearer),
            (&[""], not_bearer),
            (&["Bearerabc"], not_bearer),
            (&["Bearer:abc"], not_bearer),
            (&["Basic YTpi"], not_bearer),
            (&["abc"], not_bearer),
            (&["Bearer abc", "Bearer abc"], several),
            (&["Bearer abc", "Basic YTpi"], several),
            (&["Bearer abc, Bearer def"], several),
            (&["Bearer abc def"], several),
            (&["Bearer abc,def"], several),
        ];
        for (values, expected) in cases {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }

    #[test]
    fn the_name_is_found_in_any_case_and_other_headers_are_no_credential() {
        let headers: [(&[u8], &[u8]); 3] = [
            (b"host", b"a"),
            (b"aUTHORIZATION", b"Bearer x"),
            (b"proxy-authorization", b"Bearer y"),
        ];
        assert_eq!(credential(headers), Ok(Some(b"x".as_slice())));
        let headers: [(&[u8], &[u8]); 2] = [(b"x-authorization", b"Bearer x"), (b"cookie", b"a=b")];
        assert_eq!(credential(headers), Ok(None));
    }

    #[test]
    fn a_token_in_the_query_is_seen_in_any_escape() {
        for (query, expected) in [
            ("access_token=x", true),
            ("a=b&access_token=x", true),
            ("access%5Ftoken=x", true),
            ("%61ccess_token", true),
            ("access_token", true),
            ("access_tokens=x", false),
            ("xaccess_token=x", false),
            ("a=access_token", false),
            ("access%5token=x", false),
            ("", false),
        ] {
            assert_eq!(is_in_query(query.as_bytes()), expected, "{query}");
        }
    }
}
