//! By which header trusted hops name the client.

use std::sync::Arc;

/// The header that trusted hops are believed by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientAddressHeader {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// A header that lists addresses as `X-Forwarded-For` does; its name in lower case.
    List(Arc<str>),
}

impl ClientAddressHeader {
    /// Finds what a header's name means, in whatever case.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if name == "forwarded" { Self::Forwarded } else { Self::List(name.into()) }
    }
}
