//! Where a webhook leads: a URL in the parts that are needed to connect.

use super::guard::Guard;
use http::Uri;
use std::net::IpAddr;

const URL_BYTES_MAX: usize = 2048;

/// A URL that a webhook may have.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// A name or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Path and query, for the request line.
    pub(super) path: String,
    /// For the `Host` field.
    pub(super) authority: String,
}

/// Why a URL is none that a webhook may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NoTarget {
    #[error("it must be an absolute `https` URL of at most 2048 bytes")]
    Form,
    #[error("it must not hold a name or a password")]
    Credentials,
    #[error(
        "it leads to an address that is not public; the service's settings may list it in `webhooks.allow`"
    )]
    Forbidden,
    #[error(
        "plain `http` is for addresses alone that the service's settings list in `webhooks.allow`"
    )]
    Plain,
}

impl Target {
    /// Reads a URL. A name is judged by its addresses when it is connected to; an address is judged here too.
    pub(crate) fn parse(url: &str, guard: &Guard) -> Result<Self, NoTarget> {
        let plain = url.len() <= URL_BYTES_MAX
            && url.bytes().all(|byte| byte.is_ascii_graphic())
            && !url.contains('#');
        let uri: Uri = if plain {
            url.parse().map_err(|_| NoTarget::Form)?
        } else {
            return Err(NoTarget::Form);
        };
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(NoTarget::Form),
        };
        let authority = uri.authority().ok_or(NoTarget::Form)?;
        if authority.as_str().contains('@') {
            return Err(NoTarget::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(NoTarget::Form);
        }
        let address = host.parse::<IpAddr>().ok();
        if let Some(address) = address
            && !guard.admits(address)
        {
            return Err(NoTarget::Forbidden);
        }
        if !tls && !address.is_some_and(|address| guard.lists(address)) {
            return Err(NoTarget::Plain);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { host, port, tls, path, authority: authority.as_str().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Guard, NoTarget, Target};

    #[test]
    fn urls_are_read_or_refused_with_the_reason() {
        let guard = Guard::new(vec!["10.1.0.0/16".parse().unwrap()], None);
        let read = |url: &str| {
            Target::parse(url, &guard).map(|target| (target.host, target.port, target.path))
        };
        let good = |host: &str, port, path: &str| Ok((host.to_owned(), port, path.to_owned()));
        assert_eq!(read("https://example.com"), good("example.com", 443, "/"));
        assert_eq!(read("https://example.com:8443/a?b=c"), good("example.com", 8443, "/a?b=c"));
        assert_eq!(read("https://[2606:4700:4700::1111]/"), good("2606:4700:4700::1111", 443, "/"));
        assert_eq!(read("http://10.1.2.3:81/x"), good("10.1.2.3", 81, "/x"));
        assert_eq!(read("https://10.1.2.3/x"), good("10.1.2.3", 443, "/x"));
        for (url, why) in [
            ("example.com/x", NoTarget::Form),
            ("ftp://example.com/", NoTarget::Form),
            ("https:///x", NoTarget::Form),
            ("https://example.com/#a", NoTarget::Form),
            ("https://exa mple.com/", NoTarget::Form),
            ("https://a:b@example.com/", NoTarget::Credentials),
            ("http://example.com/", NoTarget::Plain),
            ("http://8.8.8.8/", NoTarget::Plain),
            ("https://127.0.0.1/", NoTarget::Forbidden),
            ("https://169.254.169.254/latest", NoTarget::Forbidden),
            ("https://[::1]/", NoTarget::Forbidden),
            ("http://10.2.0.1/", NoTarget::Forbidden),
        ] {
            assert_eq!(read(url).unwrap_err(), why, "{url}");
        }
        assert_eq!(
            read(&format!("https://example.com/{}", "a".repeat(2048))).unwrap_err(),
            NoTarget::Form
        );
    }
}
