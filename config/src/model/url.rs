//! The address of something that is fetched: `https://host[:port]/path[?query]`, and plain HTTP where it is listed.

use std::fmt;

/// A URL without user, password and fragment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Url {
    text: String,
    is_https: bool,
    host: String,
    port: u16,
    target: String,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, in words that go after "the URL".
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (is_https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("has to begin with `https://`"),
        };
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\'))
        {
            return Err("is plain ASCII without spaces, quotes and backslashes");
        }
        if text.contains('#') {
            return Err("has no fragment");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err("holds no user and password");
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(port) => {
                port.parse().ok().filter(|port| *port != 0).ok_or("has a port from 1 to 65535")?
            }
            None if is_https => 443,
            None => 80,
        };
        let target = match target.strip_prefix('?') {
            Some(query) => format!("/?{query}"),
            None if target.is_empty() => "/".to_owned(),
            None => target.to_owned(),
        };
        Ok(Self { text: text.to_owned(), is_https, host, port, target })
    }

    /// Whether it is fetched over TLS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns the host: a DNS name in lower case, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns path and query, as they are asked for.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// What a log may hold: the query, which often is a key, is left out.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.split('?').next().unwrap_or_default())
    }
}

fn split_port(authority: &str) -> Result<(String, Option<&str>), &'static str> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (address, after) =
            inner.split_once(']').ok_or("has an address that is not closed by `]`")?;
        let address: std::net::Ipv6Addr =
            address.parse().map_err(|_| "has no valid IPv6 address between `[` and `]`")?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err("has something between `]` and its path"),
        };
        return Ok((address.to_string(), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(is_plain) {
        return Err("has no valid host name");
    }
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_query_is_not_shown() {
        for (text, host, port, target) in [
            ("https://Feeds.example.com/a/b.txt?key=1", "feeds.example.com", 443, "/a/b.txt?key=1"),
            ("https://feeds.example.com", "feeds.example.com", 443, "/"),
            ("https://feeds.example.com?x", "feeds.example.com", 443, "/?x"),
            ("http://10.0.0.1:8080/x", "10.0.0.1", 8080, "/x"),
            ("https://[2001:db8::1]:8443/", "2001:db8::1", 8443, "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
            assert!(!url.to_string().contains('?'));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "ftp://a/",
            "file:///etc/passwd",
            "https://",
            "https:///x",
            "https://user:pw@a/",
            "https://a/#x",
            "https://a b/",
            "https://a:0/",
            "https://a:99999/",
            "https://[::1/",
            "https://[::1]x/",
            "https://ä.example/",
            "https://a\\b/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
