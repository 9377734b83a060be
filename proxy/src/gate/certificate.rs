//! What origins are told of a client's certificate: one header, by the name that the host's configuration gives it.
//!
//! Whatever a client sends under that name, in any spelling that some server reads as it, is gone before the policy looks:
//! who has no certificate cannot pass for one who has.

use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use portcullis_identity::headers::is_spelling_of;
use portcullis_policy::ClientCertificate;

use super::refusal::Refusal;
use super::work::Work;
use crate::reason::Reason;

/// Bytes of the header; names of the certificate that do not fit are left out, and its hash never is.
const VALUE_BYTES_MAX: usize = 4096;

/// The header's name, where the request's host has one.
fn declared(work: &Work) -> Option<HeaderName> {
    let host = work.entry.as_ref()?.host.as_str();
    work.snapshot.client_trust.get(host)?.header.clone()
}

/// Takes what a client may not say of its certificate out of its head.
pub(super) fn strip(head: &mut RequestHeader, work: &Work) {
    let Some(declared) = declared(work) else { return };
    let is_forged =
        |name: &&HeaderName| is_spelling_of(declared.as_str(), name.as_str().as_bytes());
    let forged: Vec<HeaderName> = head.headers.keys().filter(is_forged).cloned().collect();
    for name in forged {
        head.remove_header(&name);
    }
}

/// The header that tells origins of the connection's certificate, if they are to know and there is one.
pub(super) fn header(work: &Work) -> Result<Option<(HeaderName, HeaderValue)>, Refusal> {
    let Some(certificate) = work.connection.certificate.as_deref() else { return Ok(None) };
    let Some(name) = declared(work) else { return Ok(None) };
    let value = HeaderValue::from_str(&says(certificate)).map_err(|_| {
        Refusal::because(Reason::Internal, "what a certificate says is no header's value")
    })?;
    Ok(Some((name, value)))
}

/// The certificate as Envoy writes it in `X-Forwarded-Client-Cert`: `Hash=…;Subject="…";URI="…";DNS="…"`.
fn says(certificate: &ClientCertificate) -> String {
    let mut said = format!("Hash={}", certificate.sha256);
    let subject = ("Subject", certificate.subject.as_str());
    let names = certificate.names.iter().filter_map(|name| {
        let (kind, name) = name.split_once(':')?;
        let key = match kind {
            "uri" => "URI",
            "dns" => "DNS",
            "email" => "EMAIL",
            "ip" => "IP",
            _ => return None, // no other kind is read
        };
        Some((key, name))
    });
    for (key, value) in std::iter::once(subject).chain(names) {
        let part = format!(";{key}=\"{}\"", quoted(value));
        if said.len() + part.len() <= VALUE_BYTES_MAX {
            said.push_str(&part);
        }
    }
    said
}

/// What stands between quotation marks: no mark of the value ends it, and everything but plain ASCII is escaped by RFC 4514's
/// pairs of hexadecimal digits, so that no server reads a line or a character that another does not.
fn quoted(value: &str) -> String {
    use std::fmt::Write as _;
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\{byte:02X}").expect("a string takes all text"),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(subject: &str, names: &[&str]) -> ClientCertificate {
        ClientCertificate {
            subject: subject.to_owned(),
            issuer: "CN=clients".to_owned(),
            sha256: "ab".repeat(32),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn no_part_of_a_certificate_passes_for_another() {
        let hash = format!("Hash={}", "ab".repeat(32));
        for (subject, names, expected) in [
            ("CN=a", &["uri:spiffe://test/a"][..], r#";Subject="CN=a";URI="spiffe://test/a""#),
            ("CN=a\";URI=\"b", &[], r#";Subject="CN=a\";URI=\"b""#),
            (
                "CN=a\\,b",
                &["dns:a.test", "ip:192.0.2.1"],
                r#";Subject="CN=a\\,b";DNS="a.test";IP="192.0.2.1""#,
            ),
            (
                "CN=ä\r\nX: y",
                &["email:a@b.test"],
                r#";Subject="CN=\C3\A4\0D\0AX: y";EMAIL="a@b.test""#,
            ),
        ] {
            assert_eq!(says(&certificate(subject, names)), format!("{hash}{expected}"));
        }
    }

    #[test]
    fn a_certificate_with_many_names_is_told_up_to_the_bytes() {
        let long = "x".repeat(VALUE_BYTES_MAX);
        let said = says(&certificate(&long, &["dns:a.test"]));
        assert_eq!(said, format!("Hash={};DNS=\"a.test\"", "ab".repeat(32)));
        let left = VALUE_BYTES_MAX - "Hash=".len() - 64 - ";Subject=\"\"".len();
        for (what, length, is_told) in
            [("one under", left - 1, true), ("at it", left, true), ("one over", left + 1, false)]
        {
            let said = says(&certificate(&"x".repeat(length), &[]));
            assert_eq!(said.contains("Subject"), is_told, "{what}");
        }
    }
}
