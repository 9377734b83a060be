//! A request as a test writes it, and what fetching it asked for.

use std::net::IpAddr;

use portcullis_config::Timestamp;
use serde_json::{Map, Value, json};

use crate::cursor::Step;
use crate::request::{BodyEnd, ClientCertificate, Header, Input, RequestHead, Scheme, TokenView};
use crate::{Policy, State, Verdict};

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) ip: IpAddr,
    pub(crate) region: &'static str,
    pub(crate) asn: u32,
    pub(crate) sni: Option<&'static str>,
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) token: Option<(String, String)>,
    pub(crate) claims: Value,
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) bypass: bool,
}

impl Request {
    pub(crate) fn get(uri: &str) -> Self {
        Self {
            ip: "192.0.2.1".parse().unwrap(),
            region: "",
            asn: 0,
            sni: Some("licenses.example.com"),
            method: "GET",
            uri: uri.to_owned(),
            headers: vec![("User-Agent".to_owned(), b"probe/1".to_vec())],
            body: None,
            token: None,
            claims: json!({}),
            certificate: None,
            bypass: false,
        }
    }

    pub(crate) fn post(uri: &str, body: &[u8]) -> Self {
        Self { method: "POST", body: Some(body.to_vec()), ..Self::get(uri) }
    }

    pub(crate) fn from(mut self, ip: &str) -> Self {
        self.ip = ip.parse().unwrap();
        self
    }

    pub(crate) fn region(mut self, region: &'static str) -> Self {
        self.region = region;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_vec()));
        self
    }

    /// With a valid token of this tenant and user.
    pub(crate) fn token(mut self, tenant: &str, user: &str) -> Self {
        self.token = Some((tenant.to_owned(), user.to_owned()));
        self
    }

    /// Goes the whole way, handing over what is asked; returns the verdict and what was asked, in order.
    pub(crate) fn through(
        &self,
        policy: &std::sync::Arc<Policy>,
        state: &State,
        now: Timestamp,
    ) -> (Verdict, Vec<&'static str>) {
        let headers: Vec<Header<'_>> = self
            .headers
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value })
            .collect();
        let (path, query) = self.uri.split_once('?').unwrap_or((&self.uri, ""));
        let head = RequestHead {
            id: "018cc251-f400-7000-8000-000000000000",
            client_ip: self.ip,
            region_code: self.region,
            asn: self.asn,
            sni: self.sni.map(str::as_bytes),
            ja3: "ja3",
            ja4: "ja4",
            certificate: self.certificate.as_ref(),
            scheme: Scheme::Https,
            host: b"licenses.example.com",
            method: self.method.as_bytes(),
            path: path.as_bytes(),
            query: query.as_bytes(),
            uri: self.uri.as_bytes(),
            version: b"HTTP/1.1",
            headers: &headers,
            bypass_limits: self.bypass,
        };
        let claims: Map<String, Value> = self.claims.as_object().cloned().unwrap_or_default();
        let roles = ["admin".to_owned()];
        let mut asked = Vec::new();
        let mut cursor = policy.start();
        let mut step = cursor.advance(&head, state, now);
        loop {
            assert!(asked.len() < 4, "nothing is asked twice: {asked:?}");
            step = match step {
                Step::Done(verdict) => return (*verdict, asked),
                Step::NeedIdentity => {
                    asked.push("identity");
                    let view = self.token.as_ref().map(|(tenant, user)| TokenView {
                        valid: true,
                        subject: user,
                        tenant: Some(tenant),
                        roles: &roles,
                        issuer: "issuer",
                        claims: &claims,
                    });
                    cursor.resume(Input::Identity(view), &head, state, now)
                }
                Step::NeedBody => {
                    asked.push("body");
                    let input = match &self.body {
                        Some(body) => Input::Body(body, BodyEnd::Complete),
                        None => Input::NoBody,
                    };
                    cursor.resume(input, &head, state, now)
                }
            };
        }
    }
}
