//! What a policy is told of a request.

use std::net::IpAddr;

use serde_json::{Map, Value};

/// Everything that is known when the head of a request has been read.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The id that the request has in answers and logs; `""` without one.
    pub id: &'a str,
    /// The client's address, decided from trusted hops.
    pub client_ip: IpAddr,
    /// The ISO 3166-1 country, upper case; `""` when unknown.
    pub region_code: &'a str,
    /// The autonomous system; 0 when unknown.
    pub asn: u32,
    /// The TLS server name.
    pub sni: Option<&'a [u8]>,
    /// The JA3 fingerprint; `""` without one.
    pub ja3: &'a str,
    /// The JA4 fingerprint; `""` without one.
    pub ja4: &'a str,
    /// The client's certificate, if it showed one that was verified.
    pub certificate: Option<&'a ClientCertificate>,
    /// The scheme.
    pub scheme: Scheme,
    /// The host that was asked for, without a port.
    pub host: &'a [u8],
    /// The method as sent.
    pub method: &'a [u8],
    /// The path as sent: no decoding, no query.
    pub path: &'a [u8],
    /// The query as sent, without `?`.
    pub query: &'a [u8],
    /// Path and query as sent.
    pub uri: &'a [u8],
    /// `HTTP/1.1`, `HTTP/2`, ….
    pub version: &'a [u8],
    /// The headers in their order, names in any case.
    pub headers: &'a [Header<'a>],
    /// Whether rate rules neither count nor refuse this request (a load test with a valid bypass).
    pub bypass_limits: bool,
}

/// What a client's certificate says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject as RFC 4514 writes it.
    pub subject: String,
    /// The issuer, written the same way.
    pub issuer: String,
    /// SHA-256 of the certificate, in 64 hexadecimal digits.
    pub sha256: String,
    /// The alternative names, each with its kind: `dns:`, `email:`, `uri:` or `ip:`.
    pub names: Vec<String>,
}

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name as sent.
    pub name: &'a [u8],
    /// The value as sent.
    pub value: &'a [u8],
}

/// The scheme of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// Returns the word in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What `token.*` reads.
#[derive(Clone, Copy, Debug)]
pub struct TokenView<'a> {
    /// Whether the token is valid; the other fields count only then.
    pub valid: bool,
    /// Who.
    pub subject: &'a str,
    /// Of which tenant.
    pub tenant: Option<&'a str>,
    /// With which roles.
    pub roles: &'a [String],
    /// By whom it was issued.
    pub issuer: &'a str,
    /// All its claims.
    pub claims: &'a Map<String, Value>,
}

/// What the cursor asked for.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The token, or that there is none that is valid.
    Identity(Option<TokenView<'a>>),
    /// The whole inspected prefix of the body.
    Body(&'a [u8], BodyEnd),
    /// The request has no body.
    NoBody,
}

/// Whether the inspected prefix is the whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// It is.
    Complete,
    /// More followed.
    Truncated,
}

impl<'a> RequestHead<'a> {
    /// Returns the values of a header by its name in lower case.
    pub(crate) fn header_values<'n>(
        &self,
        name: &'n [u8],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let headers = self.headers;
        headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }
}
