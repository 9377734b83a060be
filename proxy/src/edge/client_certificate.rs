//! What a client's certificate says of it. The chain was verified in the handshake; this reads the leaf.

use std::net::IpAddr;

use crate::hex::hex;
use aws_lc_rs::digest::{SHA256, digest};
use portcullis_config::Timestamp;
use portcullis_policy::ClientCertificate;
use x509_parser::asn1_rs::ToDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

/// Reads a leaf in DER, and until when it is valid; `None` where it does not parse, which no verified certificate should do.
///
/// Costs some ten allocations; TLS bounds the certificate to 64 KiB.
pub(super) fn read(der: &[u8]) -> Option<(ClientCertificate, Timestamp)> {
    let (rest, leaf) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = leaf.subject_alternative_name().ok()?;
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let until = u64::try_from(leaf.validity().not_after.timestamp()).ok()?;
    let said = ClientCertificate {
        subject: distinguished(leaf.subject()),
        issuer: distinguished(leaf.issuer()),
        sha256: hex(digest(&SHA256, der).as_ref()),
        names: names.filter_map(alternative).collect(),
    };
    Some((said, Timestamp::from_secs(until)))
}

/// An alternative name with its kind in front, so that no kind is taken for another; `None` for kinds that nobody asks for.
fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("dns:{}", name.to_ascii_lowercase())),
        GeneralName::RFC822Name(address) => Some(format!("email:{address}")),
        GeneralName::URI(uri) => Some(format!("uri:{uri}")),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?;
            Some(format!("ip:{address}"))
        }
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

/// A name as RFC 4514 writes it: the last part first, and escaped, so that no value can pass for another part.
fn distinguished(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().map(relative).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn relative(part: &RelativeDistinguishedName<'_>) -> String {
    part.iter().map(attribute).collect::<Vec<_>>().join("+")
}

/// The types that RFC 4514, section 3, names; every other is written by its number.
const TYPES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let known = TYPES.iter().find(|(known, _)| *known == number);
    match (known, attribute.as_str()) {
        (Some((_, name)), Ok(value)) => format!("{name}={}", escaped(value)),
        // The standard wants the encoding of the whole value.
        (_, _) => {
            let encoded = attribute.attr_value().to_der_vec().unwrap_or_default();
            format!("{number}=#{}", hex(&encoded))
        }
    }
}

/// RFC 4514, section 2.4.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            '\0' => text.push_str("\\00"),
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

    fn made(parts: &[(DnType, DnValue)], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.subject_alt_names = names;
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_value_cannot_pass_for_another_part() {
        for (value, expected) in [
            ("alice", "CN=alice,O=example"),
            ("alice,O=admin", "CN=alice\\,O=admin,O=example"),
            ("a+b=c;<d>\"\\", "CN=a\\+b=c\\;\\<d\\>\\\"\\\\,O=example"),
            (" #x ", "CN=\\ #x\\ ,O=example"),
            ("#x", "CN=\\#x,O=example"),
            ("a\0b", "CN=a\\00b,O=example"),
        ] {
            let parts = [
                (DnType::OrganizationName, DnValue::Utf8String("example".to_owned())),
                (DnType::CommonName, DnValue::Utf8String(value.to_owned())),
            ];
            let (read, _until) = read(&made(&parts, Vec::new())).unwrap();
            assert_eq!(read.subject, expected);
            assert_eq!(read.issuer, expected, "it vouches for itself");
        }
    }

    #[test]
    fn what_has_no_name_in_the_standard_is_written_in_full() {
        let custom = DnType::CustomDnType(vec![1, 2, 3]);
        let der = made(&[(custom, DnValue::Utf8String("x".to_owned()))], Vec::new());
        assert_eq!(read(&der).unwrap().0.subject, "1.2.3=#0c0178");
    }

    #[test]
    fn alternative_names_have_their_kind() {
        let text = |text: &str| text.to_owned().try_into().unwrap();
        let names = vec![
            SanType::DnsName(text("Node.Example")),
            SanType::Rfc822Name(text("a@example.com")),
            SanType::URI(text("spiffe://example/a")),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ];
        let der = made(&[], names);
        let (read, until) = read(&der).unwrap();
        let expected = [
            "dns:node.example",
            "email:a@example.com",
            "uri:spiffe://example/a",
            "ip:192.0.2.1",
            "ip:2001:db8::1",
        ];
        assert_eq!(read.names, expected);
        assert_eq!((read.subject.as_str(), read.sha256.len()), ("", 64));
        assert_eq!(until, Timestamp::from_secs(4_102_444_800), "2100-01-01");
    }

    #[test]
    fn a_damaged_certificate_says_nothing() {
        let mut der = made(&[], Vec::new());
        assert!(read(&der[..der.len() - 1]).is_none());
        der.push(0);
        assert!(read(&der).is_none());
        assert!(read(b"").is_none());
    }
}
