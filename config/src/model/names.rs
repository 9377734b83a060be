//! Names that have been checked: ids of backends, policies and providers, and host names.

use std::borrow::Borrow;
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            /// Takes a name that the resolver has found to exist.
            #[must_use]
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// Returns the name as written in the file.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id! {
    /// The id of a backend: a key of `backends`.
    BackendId
}
id! {
    /// The id of a security policy: a key of `policies`.
    PolicyId
}
id! {
    /// The id of an identity provider: a key of `identity.providers`.
    ProviderId
}

/// A host that clients ask for: a DNS name in lower case or an IP address, without port and without brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostName(String);

/// Octets of a DNS name, RFC 1035 section 2.3.4, without the root's dot.
const NAME_BYTES_MAX: usize = 253;
/// Octets of one label, RFC 1035 section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

impl HostName {
    /// Reads a host name; `None` if it is neither a DNS name (letters, digits, inner hyphens) nor an IP address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            return Some(Self(address.to_string()));
        }
        let valid = text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label);
        // A name whose last label is a number would be read as an address by some clients.
        let numeric =
            text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        (valid && !numeric).then(|| Self(text.to_ascii_lowercase()))
    }

    /// Reads a host name, or `*.` and a domain of at least two labels, which stands for every name one label below it.
    #[must_use]
    pub fn parse_pattern(text: &str) -> Option<Self> {
        let Some(domain) = text.strip_prefix("*.") else { return Self::parse(text) };
        let is_domain = domain.contains('.') && domain.parse::<std::net::IpAddr>().is_err();
        let domain = Self::parse(domain).filter(|_| is_domain)?;
        Some(Self(format!("*.{domain}")))
    }

    /// Returns the name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the pattern that stands for `name`, if it has a label and a domain below.
    #[must_use]
    pub fn pattern_for(name: &str) -> Option<String> {
        let (_, domain) = name.split_once('.')?;
        Some(format!("*.{domain}"))
    }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_one_label_below_a_domain() {
        for (text, expected) in [
            ("*.Example.com", Some("*.example.com")),
            ("a.example.com", Some("a.example.com")),
            ("*.com", None),
            ("*", None),
            ("*.*.example.com", None),
            ("a.*.example.com", None),
            ("*.127.0.0.1", None),
            ("*example.com", None),
        ] {
            let name = HostName::parse_pattern(text);
            assert_eq!(name.as_ref().map(HostName::as_str), expected, "{text}");
        }
        assert_eq!(HostName::pattern_for("a.b.c").as_deref(), Some("*.b.c"));
        assert_eq!(HostName::pattern_for("localhost"), None);
    }

    #[test]
    fn host_names_are_dns_names_or_addresses() {
        let long = format!("{}.example", "a".repeat(64));
        let fits = format!("{}.example", "a".repeat(63));
        for (text, expected) in [
            ("licenses.example.com", Some("licenses.example.com")),
            ("API.Example.COM", Some("api.example.com")),
            ("localhost", Some("localhost")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("::1", Some("::1")),
            ("0:0:0:0:0:0:0:1", Some("::1")),
            (fits.as_str(), Some(fits.as_str())),
            (long.as_str(), None),
            ("", None),
            ("a..b", None),
            ("-a.example", None),
            ("a-.example", None),
            ("*.example.com", None),
            ("example.com:443", None),
            ("ex_ample.com", None),
            ("bücher.example", None),
            ("1.2.3", None),
        ] {
            assert_eq!(HostName::parse(text).as_ref().map(HostName::as_str), expected, "{text}");
        }
    }
}
