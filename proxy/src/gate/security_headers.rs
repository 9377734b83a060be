//! The headers that every answer carries, the origin's and our own, and those that none carries.

use std::sync::LazyLock;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use pingora::http::ResponseHeader;

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
const UNSENT: &[&str] = &["server", "x-powered-by"];

static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    API.iter().map(pair).collect()
});

/// Sets them on an answer, over whatever the origin said, and takes away what no answer carries.
pub(super) fn apply(response: &mut ResponseHeader) -> pingora::Result<()> {
    for name in UNSENT {
        response.remove_header(*name);
    }
    for (name, value) in &*HEADERS {
        response.insert_header(name, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origins_word_is_overruled_and_its_name_removed() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("Server", "x/1"),
            ("X-Powered-By", "y"),
            ("X-Frame-Options", "SAMEORIGIN"),
            ("A", "b"),
        ] {
            response.append_header(name, value).unwrap();
        }
        apply(&mut response).unwrap();
        assert_eq!(response.headers.len(), API.len() + 1);
        assert_eq!(
            response.headers.get_all("x-frame-options").iter().collect::<Vec<_>>(),
            ["DENY"]
        );
    }
}
