//! `listeners`.

use super::fields::Fields;
use super::{Context, keys, scalar, source};
use crate::diagnostic::Diagnostic;
use crate::model::{
    CertificateRef, Listener, ListenerCertificate, ListenerKind, SessionTickets, Tls, TlsVersions,
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
    let cert = fields.of("cert", cx, source::certificate);
    let key = fields.of("key", cx, source::secret);
    let ocsp = fields.may("ocsp", cx, source::certificate);
    let pair = CertificateRef { cert: cert?, key: key? };
    Some(ListenerCertificate { pair, ocsp: ocsp? })
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
