//! What an OCSP response (RFC 6960) says of a certificate, as far as the edge has to know before it staples it.
//!
//! The signature is the client's to verify: it alone knows whom it trusts.

use portcullis_config::Timestamp;
use x509_parser::asn1_rs::{Any, Class, Enumerated, FromDer, Tag};
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;

/// What a response says of one certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    pub(super) standing: Standing,
    /// From when on there is newer information, and clients take this no more.
    pub(super) next_update: Timestamp,
}

/// Whether a certificate may be relied upon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Good,
    Revoked,
    Unknown,
}

/// Why a file is no staple for a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NoStaple {
    #[error("it is no OCSP response in DER")]
    Malformed,
    #[error("the responder answered with an error (`{0}` in RFC 6960, section 4.2.1)")]
    Error(u32),
    #[error("it says nothing of this certificate: it was asked about another serial number")]
    Another,
    #[error("it has no `nextUpdate`, so that nobody could say when it is too old")]
    Timeless,
}

/// `id-pkix-ocsp-basic`, 1.3.6.1.5.5.7.48.1.1.
const BASIC: [u8; 9] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

/// Reads what a response says of `leaf`, a certificate in DER.
pub(super) fn read(response: &[u8], leaf: &[u8]) -> Result<Said, NoStaple> {
    let serial = serial(leaf).ok_or(NoStaple::Malformed)?;
    let mut outer = Fields::whole(response).ok_or(NoStaple::Malformed)?;
    let status = outer.next(Class::Universal, Tag::Enumerated).ok_or(NoStaple::Malformed)?;
    let status = Enumerated::try_from(status).map_err(|_| NoStaple::Malformed)?;
    if status.0 != 0 {
        return Err(NoStaple::Error(status.0));
    }
    let singles = singles(&mut outer).ok_or(NoStaple::Malformed)?;
    find(singles, &serial)
}

fn serial(leaf: &[u8]) -> Option<Vec<u8>> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    Some(leaf.raw_serial().to_vec())
}

/// Goes from the response down to the answers about single certificates.
fn singles<'a>(outer: &mut Fields<'a>) -> Option<Fields<'a>> {
    let mut bytes = outer.explicit(0)?.sequence()?;
    if bytes.next(Class::Universal, Tag::Oid)?.data != BASIC {
        return None;
    }
    let basic = bytes.next(Class::Universal, Tag::OctetString)?.data;
    let mut data = Fields::whole(basic)?.sequence()?;
    // The version, where it is not the first; then the responder, by name or key; then when it answered.
    data.explicit(0);
    let _responder = data.any()?;
    data.next(Class::Universal, Tag::GeneralizedTime)?;
    data.sequence()
}

fn find(mut singles: Fields<'_>, serial: &[u8]) -> Result<Said, NoStaple> {
    while let Some(mut single) = singles.sequence() {
        let mut id = single.sequence().ok_or(NoStaple::Malformed)?;
        if id.last(Tag::Integer) == Some(serial) {
            return said(&mut single);
        }
    }
    Err(if singles.0.is_empty() { NoStaple::Another } else { NoStaple::Malformed })
}

fn said(single: &mut Fields<'_>) -> Result<Said, NoStaple> {
    let standing = single.any().ok_or(NoStaple::Malformed)?;
    let standing = match (standing.class(), standing.tag().0) {
        (Class::ContextSpecific, 0) => Standing::Good,
        (Class::ContextSpecific, 1) => Standing::Revoked,
        (Class::ContextSpecific, 2) => Standing::Unknown,
        (_, _) => return Err(NoStaple::Malformed),
    };
    single.next(Class::Universal, Tag::GeneralizedTime).ok_or(NoStaple::Malformed)?;
    let next = single.explicit(0).ok_or(NoStaple::Timeless)?;
    let (_, time) = ASN1Time::from_der(next.0).map_err(|_| NoStaple::Malformed)?;
    let seconds = u64::try_from(time.timestamp()).map_err(|_| NoStaple::Malformed)?;
    Ok(Said { standing, next_update: Timestamp::from_secs(seconds) })
}

/// The fields of a sequence that have not been read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Opens a sequence that is all of `bytes`.
    fn whole(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Self(bytes);
        let inner = outer.sequence()?;
        outer.0.is_empty().then_some(inner)
    }

    /// Reads the next field, whatever it is.
    fn any(&mut self) -> Option<Any<'a>> {
        let (rest, field) = Any::from_der(self.0).ok()?;
        self.0 = rest;
        Some(field)
    }

    /// Reads the next field if it is of this kind.
    fn next(&mut self, class: Class, tag: Tag) -> Option<Any<'a>> {
        let before = self.0;
        let field = self.any()?;
        if field.class() == class && field.tag() == tag {
            return Some(field);
        }
        self.0 = before;
        None
    }

    /// Reads the next field if it is a sequence.
    fn sequence(&mut self) -> Option<Self> {
        self.next(Class::Universal, Tag::Sequence).map(|field| Self(field.data))
    }

    /// Reads the next field if it is wrapped in this number.
    fn explicit(&mut self, number: u32) -> Option<Self> {
        self.next(Class::ContextSpecific, Tag(number)).map(|field| Self(field.data))
    }

    /// Reads to the last field, and returns it if it is of this kind.
    fn last(&mut self, tag: Tag) -> Option<&'a [u8]> {
        let mut last = None;
        while let Some(field) = self.any() {
            last = Some(field);
        }
        last.filter(|field| field.tag() == tag).map(|field| field.data)
    }
}
