//! What is spoken to a backend's servers.

use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::file::fields::Fields;
use crate::file::{Context, keys, scalar, source};
use crate::model::{
    CertificateRef, Grpc, HostName, Member, Messages, Protocol, Server, UpstreamTls, WebSocket,
};
use crate::yaml::Node;

/// Decodes `protocol`.
pub(super) fn protocol(node: &Node, cx: &mut Context<'_>) -> Option<Protocol> {
    scalar::choice(node, cx, &[("http1", Protocol::Http1), ("http2", Protocol::Http2)])
}

/// Decodes `tls`.
pub(super) fn tls(node: &Node, cx: &mut Context<'_>) -> Option<UpstreamTls> {
    let fields = Fields::open(node, &keys::UPSTREAM_TLS, cx)?;
    let name = fields.may("name", cx, host);
    let ca = fields.may("ca", cx, source::certificate);
    let cert = fields.may("cert", cx, source::certificate);
    let key = fields.may("key", cx, source::secret);
    let (name, ca) = (name?, ca?);
    let certificate = match (cert?, key?) {
        (Some(cert), Some(key)) => Some(CertificateRef { cert, key }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            fields.missing("a client certificate is `cert` and `key` together", cx);
            return None;
        }
    };
    Some(UpstreamTls { name, ca, certificate })
}

fn host(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let name = HostName::parse(written);
    if name.is_none() {
        cx.error("wrong-value", format!("`{written}` is not a host name"), node.value_place());
    }
    name.map(|name| name.as_str().to_owned())
}

/// A server without a host of its own leaves nothing that its certificate could be for.
pub(super) fn check_names(
    tls: Option<&UpstreamTls>,
    servers: &[Member],
    node: &Node,
    cx: &mut Context<'_>,
) {
    if tls.is_none_or(|tls| tls.name.is_some()) {
        return;
    }
    let nameless = |member: &Member| match member.server {
        Server::Tcp(_) | Server::Name { .. } => false,
        Server::Unix(_) | Server::EmbeddedLicense => true,
    };
    if servers.iter().any(nameless) {
        let missing =
            Diagnostic::error("missing-key", "a server on a socket has no name to be verified");
        cx.report(missing.help("add `name` with the name of its certificate"), node.place());
    }
}

/// Decodes `websocket`.
pub(super) fn websocket(node: &Node, cx: &mut Context<'_>) -> Option<WebSocket> {
    let fields = Fields::open(node, &keys::WEBSOCKET, cx)?;
    let timeout = fields.of("timeout", cx, scalar::duration("1s", "24h"));
    let messages = messages(&fields, cx);
    Some(WebSocket { timeout: timeout?, messages: messages? })
}

/// Decodes `grpc`; a call may last as long as another answer of the backend, unless it says otherwise.
pub(super) fn grpc(node: &Node, usual: Option<Duration>, cx: &mut Context<'_>) -> Option<Grpc> {
    let fields = Fields::open(node, &keys::GRPC, cx)?;
    let timeout = fields.may("timeout", cx, scalar::duration("1s", "24h"));
    let messages = messages(&fields, cx);
    Some(Grpc { timeout: timeout?.or(usual)?, messages: messages? })
}

fn messages(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<Messages> {
    let bytes_max = fields.of("message", cx, scalar::size("1KiB", "64MiB"));
    let per_second = fields.of("messages_per_second", cx, scalar::number(1..=1_000_000));
    Some(Messages { bytes_max: bytes_max?, per_second: per_second? })
}
