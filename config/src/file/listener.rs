//! `listeners`.

use std::net::IpAddr;

use super::fields::Fields;
use super::{Context, keys, scalar, source};
use crate::diagnostic::Diagnostic;
use crate::model::{
    Acme, AcmeChallenge, CertificateRef, HostName, Listener, ListenerCertificate, ListenerKind,
    SessionTickets, Tls, TlsVersions, Url,
};
use crate::yaml::{Node, Value};

/// The status of the plain listener's answer: the only one that keeps a request's method.
const REDIRECT_STATUS: u16 = 308;

/// Decodes `listeners`; no two may have one address, unless the system chooses the port.
pub(super) fn listeners(node: &Node, cx: &mut Context<'_>) -> Option<Vec<Listener>> {
    let listeners = scalar::some_items(node, cx, listener)?;
    for (index, later) in listeners.iter().enumerate() {
        let taken = listeners.iter().take(index).any(|earlier| earlier.address == later.address);
        if taken && later.address.port() != 0 {
            let place = node.as_list().and_then(|items| items.get(index)).unwrap_or(node).place();
            cx.error(
                "duplicate",
                format!("two listeners have the address `{}`", later.address),
                place,
            );
        }
    }
    check_challenges(&listeners, node, cx);
    Some(listeners)
}

fn listener(node: &Node, cx: &mut Context<'_>) -> Option<Listener> {
    let fields = Fields::open(node, &keys::LISTENER, cx)?;
    let address = fields.of("address", cx, scalar::address);
    let kind = match fields.one_of(&["tls", "plain", "redirect_to_https"], cx)? {
        ("tls", node) => tls(node, cx).map(ListenerKind::Tls),
        ("plain", node) => scalar::choice(node, cx, &[("true", ListenerKind::Plain)]),
        (_, node) => scalar::choice(node, cx, &[("308", REDIRECT_STATUS)])
            .map(|status| ListenerKind::RedirectToHttps { status }),
    };
    let backlog = fields.of("backlog", cx, scalar::number(1..=65535));
    let reuse_port = fields.of("reuse_port", cx, scalar::switch);
    let tcp_keepalive = fields.of("tcp_keepalive", cx, scalar::duration("1s", "1h"));
    let proxy_protocol = fields.may("proxy_protocol", cx, scalar::trusted_networks);
    Some(Listener {
        address: address?,
        kind: kind?,
        backlog: backlog?,
        reuse_port: reuse_port?,
        tcp_keepalive: tcp_keepalive?,
        proxy_protocol: proxy_protocol?.unwrap_or_default(),
    })
}

fn tls(node: &Node, cx: &mut Context<'_>) -> Option<Tls> {
    let fields = Fields::open(node, &keys::TLS, cx)?;
    let versions = match fields.get("versions") {
        Some(node) => versions(node, cx),
        None => Some(TlsVersions::Tls13),
    };
    let certificates =
        fields.of("certificates", cx, |node, cx| scalar::some_items(node, cx, certificate));
    Some(Tls { versions: versions?, certificates: certificates? })
}

/// One version of TLS that can be offered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Tls12,
    Tls13,
}

fn versions(node: &Node, cx: &mut Context<'_>) -> Option<TlsVersions> {
    let words = [("1.2", Version::Tls12), ("1.3", Version::Tls13)];
    let written = scalar::some_items(node, cx, |item, cx| scalar::choice(item, cx, &words))?;
    match (written.contains(&Version::Tls12), written.contains(&Version::Tls13)) {
        (false, _) => Some(TlsVersions::Tls13),
        (true, true) => Some(TlsVersions::Tls12And13),
        (true, false) => {
            let wrong = Diagnostic::error("wrong-value", "TLS 1.2 is not offered without 1.3");
            cx.report(wrong.help("write `[\"1.2\", \"1.3\"]`"), node.value_place());
            None
        }
    }
}

fn certificate(node: &Node, cx: &mut Context<'_>) -> Option<ListenerCertificate> {
    let fields = Fields::open(node, &keys::CERTIFICATE, cx)?;
    let (kind, chosen) = fields.one_of(&["cert", "acme"], cx)?;
    if kind == "acme" {
        fields.none_of(&["key", "ocsp"], "beside `acme`", cx);
        return acme(chosen, cx).map(ListenerCertificate::Acme);
    }
    let cert = source::certificate(chosen, cx);
    let Some(key) = fields.get("key") else {
        fields.missing("the key `key` is missing beside `cert`", cx);
        return None;
    };
    let key = source::secret(key, cx);
    let ocsp = fields.may("ocsp", cx, source::certificate);
    let pair = CertificateRef { cert: cert?, key: key? };
    Some(ListenerCertificate::Files { pair, ocsp: ocsp? })
}

/// What one certificate is for at most: public authorities take no more.
const ACME_NAMES_MAX: usize = 100;

fn acme(node: &Node, cx: &mut Context<'_>) -> Option<Acme> {
    let fields = Fields::open(node, &keys::ACME, cx)?;
    let names = fields.of("names", cx, acme_names);
    let directory = fields.of("directory", cx, acme_directory);
    let agreed =
        fields.of("terms_agreed", cx, |node, cx| scalar::choice(node, cx, &[("true", ())]));
    let contact = fields.may("contact", cx, |node, cx| scalar::some_items(node, cx, mail_address));
    let kinds = [("http-01", AcmeChallenge::Http01), ("tls-alpn-01", AcmeChallenge::TlsAlpn01)];
    let challenge = fields.of("challenge", cx, |node, cx| scalar::choice(node, cx, &kinds));
    agreed?;
    Some(Acme {
        names: names?,
        directory: directory?,
        contact: contact?.unwrap_or_default(),
        challenge: challenge?,
    })
}

fn acme_names(node: &Node, cx: &mut Context<'_>) -> Option<Vec<HostName>> {
    let names = scalar::some_items(node, cx, acme_name)?;
    let twice = |(at, name): &(usize, &HostName)| names.iter().take(*at).any(|one| one == *name);
    if let Some((_, name)) = names.iter().enumerate().find(twice) {
        cx.error("duplicate", format!("`{name}` is named twice"), node.place());
        return None;
    }
    if names.len() <= ACME_NAMES_MAX {
        return Some(names);
    }
    let message = format!("one certificate is for at most {ACME_NAMES_MAX} names");
    cx.report(
        Diagnostic::error("out-of-range", message).help("order several certificates"),
        node.place(),
    );
    None
}

/// Neither challenge proves a pattern (that takes DNS), and an address is proved by names of another kind (RFC 8738).
fn acme_name(node: &Node, cx: &mut Context<'_>) -> Option<HostName> {
    let written = scalar::text(node, cx)?;
    let name = HostName::parse(written).filter(|name| name.as_str().parse::<IpAddr>().is_err());
    if name.is_none() {
        let message = format!("`{written}` is no DNS name that can be proved by a challenge");
        let wrong = Diagnostic::error("wrong-value", message);
        cx.report(
            wrong.help("patterns and addresses need a certificate from files"),
            node.value_place(),
        );
    }
    name
}

/// RFC 8555, section 6.1, demands HTTPS.
fn acme_directory(node: &Node, cx: &mut Context<'_>) -> Option<Url> {
    let url = source::url(node, cx)?;
    if url.is_https() {
        return Some(url);
    }
    cx.error("wrong-value", "the directory has to begin with `https://`", node.value_place());
    None
}

fn mail_address(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"(),:;\\?&%".contains(&byte);
    let is_address = written.bytes().all(is_plain)
        && written
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && HostName::parse(domain).is_some());
    if is_address {
        return Some(written.to_owned());
    }
    let message = format!("`{written}` is no mail address such as `ops@example.com`");
    cx.error("wrong-value", message, node.value_place());
    None
}

/// Reports what is to be proved over plain HTTP where nobody listens for it.
fn check_challenges(listeners: &[Listener], node: &Node, cx: &mut Context<'_>) {
    let certificates = listeners.iter().flat_map(|listener| match &listener.kind {
        ListenerKind::Tls(tls) => tls.certificates.as_slice(),
        ListenerKind::Plain | ListenerKind::RedirectToHttps { .. } => &[],
    });
    let is_by_http = |one: &ListenerCertificate| match one {
        ListenerCertificate::Acme(acme) => acme.challenge == AcmeChallenge::Http01,
        ListenerCertificate::Files { .. } => false,
    };
    let is_heard = |listener: &Listener| !matches!(listener.kind, ListenerKind::Tls(_));
    if certificates.into_iter().any(is_by_http) && !listeners.iter().any(is_heard) {
        let message = "the challenge `http-01` is answered on a plain listener, and there is none";
        let wrong = Diagnostic::error("acme-unheard", message);
        cx.report(
            wrong.help(
                "add a listener with `redirect_to_https: 308` on port 80, or take `tls-alpn-01`",
            ),
            node.place(),
        );
    }
}

/// The most intervals that a ticket may live for: each has a key, which has to be looked at.
const INTERVALS_MAX: u32 = 24;

/// Decodes `session_tickets`.
pub(super) fn session_tickets(node: &Node, cx: &mut Context<'_>) -> Option<SessionTickets> {
    let fields = Fields::open(node, &keys::SESSION_TICKETS, cx)?;
    let keys = fields.may("keys", cx, source::secret);
    let rotate = fields.of("rotate", cx, scalar::duration("5m", "7d"));
    let lifetime = fields.of("lifetime", cx, scalar::duration("5m", "7d"));
    let tickets = SessionTickets { keys: keys?, rotate: rotate?, lifetime: lifetime? };
    if tickets.lifetime > tickets.rotate * INTERVALS_MAX {
        let message = format!("`lifetime` is more than {INTERVALS_MAX} times `rotate`");
        let wrong = Diagnostic::error("out-of-range", message)
            .help("rotate less often, or let tickets live for a shorter time");
        cx.report(
            wrong,
            fields.get("lifetime").or_else(|| fields.get("rotate")).unwrap_or(node).place(),
        );
        return None;
    }
    Some(tickets)
}

/// What holds where the file does not say.
pub(super) fn usual_session_tickets(cx: &mut Context<'_>) -> Option<SessionTickets> {
    session_tickets(&Node { span: 0..0, key: None, value: Value::Map(Vec::new()) }, cx)
}
