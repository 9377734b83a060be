//! A request that is asked about: from a raw text, a log's line, a test's case.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use portcullis_config::model::PathForm;
use portcullis_identity::Identity;
use portcullis_policy::{ClientCertificate, RequestHead, Scheme};

use crate::path_form;

/// An address for documentation (RFC 5737), where no other is stated.
pub(super) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A request, owned.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: Vec<u8>,
    /// Path and query as sent.
    pub target: Vec<u8>,
    /// `HTTP/1.1`, `HTTP/2`, ….
    pub version: Vec<u8>,
    /// The headers in their order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, as far as it is at hand.
    pub body: Body,
    /// Who asks.
    pub client: IpAddr,
    /// The country where one is stated: it is not looked up then.
    pub region: Option<String>,
    /// The autonomous system; 0 when unknown.
    pub asn: u32,
    /// The JA3 fingerprint.
    pub ja3: String,
    /// The JA4 fingerprint.
    pub ja4: String,
    /// The client's certificate, if it showed one.
    pub certificate: Option<ClientCertificate>,
    /// With or without TLS.
    pub scheme: Scheme,
    /// What is known of the token.
    pub caller: Caller,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All of it; empty where there is none.
    Whole(Vec<u8>),
    /// There was one, and nobody has it.
    Unknown,
}

/// What is known of who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// What the request's own token says.
    Token,
    /// Somebody, as stated: the token itself is not at hand, and was valid.
    Stated(Box<Identity>),
    /// Somebody, as a log names them: what their token granted is not written down.
    Logged(Box<Identity>),
    /// Nobody: there was no valid token.
    Nobody,
    /// Nobody has written it down.
    Unknown,
}

impl Ask {
    /// Makes a plain `GET` of a target.
    #[must_use]
    pub fn get(target: &[u8]) -> Self {
        Self {
            method: b"GET".to_vec(),
            target: target.to_vec(),
            version: b"HTTP/1.1".to_vec(),
            headers: Vec::new(),
            body: Body::Whole(Vec::new()),
            client: NOBODY,
            region: None,
            asn: 0,
            ja3: String::new(),
            ja4: String::new(),
            certificate: None,
            scheme: Scheme::Https,
            caller: Caller::Token,
        }
    }

    /// Cuts a raw request at its lines, which may end with LF alone; `None` where there is no request line of three words
    /// or a header without a colon.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (line, mut rest) = cut_line(bytes);
        let mut words = line.split(|byte| *byte == b' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let mut ask =
            Self { method: method.to_vec(), version: version.to_vec(), ..Self::get(target) };
        loop {
            let (line, after) = cut_line(rest);
            rest = after;
            if line.is_empty() {
                ask.body = Body::Whole(rest.to_vec());
                return Some(ask);
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            ask.headers.push((name.to_vec(), value.strip_prefix(b":")?.trim_ascii().to_vec()));
        }
    }

    /// Returns the first header of the name.
    #[must_use]
    pub fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }

    /// Returns the host without its port.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        let host = self.header(b"host").unwrap_or_default();
        host.split(|byte| *byte == b':').next().unwrap_or_default()
    }

    /// Returns the path as sent.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.target.split(|byte| *byte == b'?').next().unwrap_or_default()
    }

    /// Returns the query as sent, without `?`.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        let at = self.target.iter().position(|byte| *byte == b'?');
        at.and_then(|at| self.target.get(at + 1..)).unwrap_or_default()
    }

    /// Returns the request as a route of this form reads it; `None` where that changes nothing. The error says why the
    /// route refuses the path.
    pub(super) fn in_form(&self, form: PathForm) -> Result<Option<Self>, &'static str> {
        let path = match path_form::apply(form, self.path())? {
            Cow::Borrowed(_) => return Ok(None),
            Cow::Owned(path) => path,
        };
        let after = self.target.get(self.path().len()..).unwrap_or_default();
        Ok(Some(Self { target: [&path, after].concat(), ..self.clone() }))
    }

    /// Returns the head as a policy reads it, without headers and country.
    pub(super) fn head(&self) -> RequestHead<'_> {
        RequestHead {
            id: "",
            client_ip: self.client,
            region_code: "",
            asn: self.asn,
            // A client asks for the host by name before it asks for a page of it.
            sni: Some(self.host()).filter(|host| self.scheme == Scheme::Https && !host.is_empty()),
            ja3: &self.ja3,
            ja4: &self.ja4,
            certificate: self.certificate.as_ref(),
            scheme: self.scheme,
            host: self.host(),
            method: &self.method,
            path: self.path(),
            query: self.query(),
            uri: &self.target,
            version: &self.version,
            headers: &[],
            bypass_limits: false,
        }
    }
}

fn cut_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    (line.strip_suffix(b"\r").unwrap_or(line), rest.strip_prefix(b"\n").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_cut_at_its_lines() {
        for text in [
            &b"POST /a?b HTTP/1.1\r\nHost: x:1\r\nA:  b \r\n\r\nbody\r\n"[..],
            b"POST /a?b HTTP/1.1\nHost: x:1\nA:  b \n\nbody\r\n",
        ] {
            let ask = Ask::parse(text).unwrap();
            assert_eq!(
                (ask.method.as_slice(), ask.target.as_slice()),
                (&b"POST"[..], &b"/a?b"[..])
            );
            assert_eq!((ask.host(), ask.path(), ask.query()), (&b"x"[..], &b"/a"[..], &b"b"[..]));
            assert_eq!(ask.header(b"a"), Some(&b"b"[..]));
            assert_eq!(ask.body, Body::Whole(b"body\r\n".to_vec()));
        }
        for text in [&b""[..], b"GET /", b"GET / HTTP/1.1\nno colon\n\n"] {
            assert!(Ask::parse(text).is_none());
        }
    }
}
