//! What a route does for browsers: requests from other origins, forgery of requests, cookies.

use std::time::Duration;

/// What a route does for browsers.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Browser {
    /// Which other origins may read its answers.
    pub cors: Option<Cors>,
    /// How requests that another site makes a browser send are told.
    pub csrf: Option<Csrf>,
    /// What becomes of the cookies that the origin sets.
    pub cookies: Option<Cookies>,
}

/// Which other origins may read a route's answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cors {
    /// Origins without credentials.
    pub origins: Vec<OriginRule>,
    /// Origins that may send credentials: exact ones.
    pub credentials: Vec<String>,
    /// Methods, in upper case.
    pub methods: Vec<String>,
    /// Request headers, in lower case.
    pub headers: Vec<String>,
    /// Answer headers that scripts may read.
    pub expose: Vec<String>,
    /// How long a browser remembers a preflight.
    pub max_age: Duration,
}

/// Origins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OriginRule {
    /// Every one.
    Any,
    /// This one, as browsers write it.
    Exact(String),
    /// Every one with this scheme whose host is one label before the rest.
    Below {
        /// `https://`
        scheme: String,
        /// The rest with its dot and its port: `.example.com:8443`.
        rest: String,
    },
}

impl OriginRule {
    /// Says whether a browser's `Origin` is one of these. Bytes are compared: browsers write origins in one way only.
    #[must_use]
    pub fn holds(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.as_bytes() == origin,
            Self::Below { scheme, rest } => origin
                .strip_prefix(scheme.as_bytes())
                .and_then(|host| host.strip_suffix(rest.as_bytes()))
                .is_some_and(is_label),
        }
    }
}

fn is_label(text: &[u8]) -> bool {
    let is_plain =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(byte);
    (1..=63).contains(&text.len()) && text.iter().all(is_plain)
}

/// How requests that another site makes a browser send are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Csrf {
    /// The cookies that carry credentials; empty means any.
    pub cookies: Vec<String>,
    /// Other origins that may send requests with them.
    pub origins: Vec<String>,
    /// The token that is sent twice.
    pub token: Option<CsrfToken>,
}

/// A token that stands in a cookie and has to stand in a header too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsrfToken {
    /// The cookie, which begins with `__Host-`: no other host can set it.
    pub cookie: String,
    /// The header, in lower case.
    pub header: String,
}

/// What becomes of the cookies that an origin sets. All get `Secure`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cookies {
    /// The least strict `SameSite`.
    pub same_site: SameSite,
    /// Cookies that scripts read: they get no `HttpOnly`.
    pub script: Vec<String>,
}

/// `SameSite`, from the least to the most strict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SameSite {
    /// Sent from everywhere.
    None,
    /// Sent on navigation.
    Lax,
    /// Sent from the own site only.
    Strict,
}

impl SameSite {
    /// Returns the word of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Lax => "Lax",
            Self::Strict => "Strict",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_one_label_and_no_trick_with_suffixes() {
        let below = OriginRule::Below { scheme: "https://".into(), rest: ".example.com".into() };
        let exact = OriginRule::Exact("https://example.com".into());
        for (origin, is_below, is_exact) in [
            ("https://example.com", false, true),
            ("https://app.example.com", true, false),
            ("https://a-1.example.com", true, false),
            ("https://.example.com", false, false),
            ("https://a.b.example.com", false, false),
            ("https://evilexample.com", false, false),
            ("https://example.com.evil.test", false, false),
            ("https://app.example.com.evil.test", false, false),
            ("https://evil.test/.example.com", false, false),
            ("https://evil.test#.example.com", false, false),
            ("https://evil.test:80.example.com", false, false),
            ("https://user@app.example.com", false, false),
            ("https://app.example.com:8443", false, false),
            ("https://APP.example.com", false, false),
            ("http://app.example.com", false, false),
            ("http://example.com", false, false),
            ("https://example.com/", false, false),
            ("https://example.com.", false, false),
            ("https://ex\u{e4}mple.example.com", false, false),
            ("null", false, false),
            ("", false, false),
        ] {
            assert_eq!(below.holds(origin.as_bytes()), is_below, "{origin}");
            assert_eq!(exact.holds(origin.as_bytes()), is_exact, "{origin}");
            assert!(OriginRule::Any.holds(origin.as_bytes()));
        }
    }
}
