//! The headers that every answer carries, the origin's and our own, and those that none carries.

use std::sync::LazyLock;

use http::header::{HeaderName, SERVER};
use http::{HeaderMap, HeaderValue};

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' https: data:; connect-src 'self'; font-src 'self'; object-src 'none'; frame-src 'none'; \
     base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

/// The profile `api`, the only one there is.
const API: &[(&str, &str)] = &[
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "0"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// What tells strangers which software answers.
const UNSENT: [HeaderName; 2] = [SERVER, HeaderName::from_static("x-powered-by")];

/// What else is usually set on an answer: the request's id, `Connection` and `Date`.
const SET_BESIDE: usize = 3;

static HEADERS: LazyLock<Vec<(HeaderName, HeaderValue)>> = LazyLock::new(|| {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    API.iter().map(pair).collect()
});

/// Sets them on an answer, over whatever the origin said, and takes away what no answer carries.
pub(super) fn apply(headers: &mut HeaderMap) {
    for name in &UNSENT {
        headers.remove(name);
    }
    headers.reserve(HEADERS.len() + SET_BESIDE);
    for (name, value) in &*HEADERS {
        headers.insert(name.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origins_word_is_overruled_and_its_name_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("server", "x/1"),
            ("x-powered-by", "y"),
            ("x-frame-options", "SAMEORIGIN"),
            ("a", "b"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        apply(&mut headers);
        assert_eq!(headers.len(), API.len() + 1);
        assert_eq!(headers.get_all("x-frame-options").iter().collect::<Vec<_>>(), ["DENY"]);
    }
}
