//! `backends`.

mod balance;
mod protocol;

use std::net::SocketAddr;
use std::path::PathBuf;

use super::fields::Fields;
use super::{Context, keys, scalar};
use crate::diagnostic::Diagnostic;
use crate::model::{Backend, Health, HostName, Member, PolicyId, Protocol, Server};
use crate::yaml::{Node, Value};

/// Decodes one of `backends`.
pub(super) fn backend(node: &Node, cx: &mut Context<'_>) -> Option<Backend> {
    let fields = Fields::open(node, &keys::BACKEND, cx)?;
    let servers = fields.of("servers", cx, |node, cx| scalar::some_items(node, cx, member));
    let policy = fields.may("policy", cx, policy_id);
    let protocol = fields.of("protocol", cx, protocol::protocol);
    let tls = fields.may("tls", cx, protocol::tls);
    let balance = fields.of("balance", cx, balance::balance);
    let affinity = fields.may("affinity", cx, balance::affinity);
    let timeout = fields.of("timeout", cx, scalar::duration("1s", "24h"));
    let connect_timeout = fields.of("connect_timeout", cx, scalar::duration("10ms", "5m"));
    let read_timeout = fields.may("read_timeout", cx, scalar::duration("100ms", "24h"));
    let write_timeout = fields.may("write_timeout", cx, scalar::duration("100ms", "24h"));
    let drain = fields.of("drain", cx, scalar::duration("0s", "1h"));
    let health = fields.may("health", cx, health);
    let outliers = fields.may("outliers", cx, balance::outliers);
    let slow_start = fields.may("slow_start", cx, scalar::duration("1s", "1h"));
    let retries = match fields.get("retries") {
        Some(node) => balance::retries(node, cx),
        None => balance::usual_retries(cx),
    };
    let capacity = fields.may("capacity", cx, balance::capacity);
    let websocket = fields.may("websocket", cx, protocol::websocket);
    let grpc = fields.may("grpc", cx, |node, cx| protocol::grpc(node, timeout, cx));
    let assertion = fields.may("assertion", cx, scalar::switch);
    let no_store = fields.may("no_store", cx, scalar::switch);
    let servers = servers?;
    let license = servers.iter().any(|member| member.server == Server::EmbeddedLicense);
    if license && assertion == Some(Some(false)) {
        let refused = "the embedded license service refuses requests without the assertion";
        cx.error("conflicting-keys", refused, fields.get("assertion").unwrap_or(node).place());
    }
    let timeout = timeout?;
    let backend = Backend {
        servers,
        policy: policy?,
        protocol: protocol?,
        tls: tls?,
        balance: balance?,
        affinity: affinity?,
        timeout,
        connect_timeout: connect_timeout?,
        read_timeout: read_timeout?.unwrap_or(timeout),
        write_timeout: write_timeout?.unwrap_or(timeout),
        drain: drain?,
        health: health?,
        outliers: outliers?,
        slow_start: slow_start?,
        retries: retries?,
        capacity: capacity?,
        websocket: websocket?,
        grpc: grpc?,
        assertion: assertion?.unwrap_or(license),
        no_store: no_store?.unwrap_or(license),
    };
    check_together(&backend, &fields, node, cx);
    Some(backend)
}

/// What one key demands of another.
fn check_together(backend: &Backend, fields: &Fields<'_>, node: &Node, cx: &mut Context<'_>) {
    let place = |key| fields.get(key).unwrap_or(node);
    protocol::check_names(backend.tls.as_ref(), &backend.servers, place("tls"), cx);
    let mut conflict = |key, why: &str| {
        cx.error("conflicting-keys", why, place(key).place());
    };
    if backend.grpc.is_some() && backend.protocol != Protocol::Http2 {
        conflict("grpc", "gRPC is spoken over HTTP/2: add `protocol: http2`");
    }
    if backend.grpc.is_some() && backend.assertion {
        conflict(
            "grpc",
            "the assertion is over the whole body, and gRPC's bodies pass as they come",
        );
    }
    if backend.websocket.is_some() && backend.protocol != Protocol::Http1 {
        conflict("websocket", "an upgrade to WebSocket is HTTP/1.1: take `protocol: http2` out");
    }
    if backend.slow_start.is_some() && backend.health.is_none() && backend.outliers.is_none() {
        conflict(
            "slow_start",
            "no server comes back where neither `health` nor `outliers` takes one out",
        );
    }
}

/// Reads the id of a policy that the file defines.
pub(super) fn policy_id(node: &Node, cx: &mut Context<'_>) -> Option<PolicyId> {
    let known = std::mem::take(&mut cx.names.policies);
    let id = reference(node, cx, "policy", &known);
    cx.names.policies = known;
    id.map(PolicyId::new)
}

/// Reads a name that has to be one of `known`.
pub(super) fn reference(
    node: &Node,
    cx: &mut Context<'_>,
    what: &str,
    known: &[String],
) -> Option<String> {
    let written = scalar::text(node, cx)?;
    if known.iter().any(|name| name == written) {
        return Some(written.to_owned());
    }
    let names: Vec<_> = known.iter().map(String::as_str).collect();
    let unknown =
        scalar::unknown("unknown-name", format!("there is no {what} `{written}`"), written, &names);
    cx.report(unknown, node.value_place());
    None
}

/// A server by itself, or with its weight.
fn member(node: &Node, cx: &mut Context<'_>) -> Option<Member> {
    let Value::Map(_) = &node.value else {
        return Some(Member { server: server(node, cx)?, weight: 1 });
    };
    let fields = Fields::open(node, &keys::BACKEND_SERVER, cx)?;
    let server = fields.of("server", cx, server);
    let weight = fields.of("weight", cx, scalar::number(1..=100));
    Some(Member { server: server?, weight: weight? })
}

fn server(node: &Node, cx: &mut Context<'_>) -> Option<Server> {
    let written = scalar::text(node, cx)?;
    if written == "embedded" {
        return Some(Server::EmbeddedLicense);
    }
    if let Some(path) = written.strip_prefix("unix:") {
        let path: PathBuf = cx.base.join(path).components().collect();
        return scalar::check_socket(&path, node, cx).then_some(Server::Unix(path));
    }
    let server = tcp(written);
    if server.is_none() {
        let wrong = Diagnostic::error("wrong-value", format!("`{written}` is not a server"));
        let wrong = if written.contains("://") {
            wrong.help("leave the scheme out; with `https`, add `tls: {}` to the backend")
        } else {
            wrong.help("write `10.0.1.10:8000`, `license.internal:8000`, `unix:/run/license.sock` or `embedded`")
        };
        cx.report(wrong, node.value_place());
    }
    server
}

fn tcp(written: &str) -> Option<Server> {
    if let Ok(address) = written.parse::<SocketAddr>() {
        return (address.port() != 0).then_some(Server::Tcp(address));
    }
    let (host, port) = written.rsplit_once(':')?;
    let host = HostName::parse(host)?.as_str().to_owned();
    let port = port.parse().ok().filter(|port| *port != 0)?;
    // An address in brackets was read above; one without them would leave the port in doubt.
    (!host.contains(':')).then_some(Server::Name { host, port })
}

fn health(node: &Node, cx: &mut Context<'_>) -> Option<Health> {
    let fields = Fields::open(node, &keys::HEALTH, cx)?;
    let path = fields.of("path", cx, scalar::url_path);
    let every = fields.of("every", cx, scalar::duration("1s", "1h"));
    let timeout = fields.of("timeout", cx, scalar::duration("100ms", "5m"));
    let healthy = fields.of("healthy", cx, scalar::number(1..=100));
    let unhealthy = fields.of("unhealthy", cx, scalar::number(1..=100));
    let health = Health {
        path: path?,
        every: every?,
        timeout: timeout?,
        healthy: healthy?,
        unhealthy: unhealthy?,
    };
    if health.timeout >= health.every {
        cx.error("wrong-value", "a probe's `timeout` is less than `every`", node.place());
        return None;
    }
    Some(health)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_or_names_with_a_port() {
        let name = |host: &str, port| Some(Server::Name { host: host.into(), port });
        for (text, expected) in [
            ("10.0.1.10:8000", Some(Server::Tcp("10.0.1.10:8000".parse().unwrap()))),
            ("[::1]:8000", Some(Server::Tcp("[::1]:8000".parse().unwrap()))),
            ("license.internal:8000", name("license.internal", 8000)),
            ("LICENSE:80", name("license", 80)),
            ("10.0.1.10", None),
            ("10.0.1.10:0", None),
            ("license:0", None),
            ("license:65536", None),
            ("::1:8000", None),
            ("http://license:80", None),
            ("license", None),
            (":80", None),
        ] {
            assert_eq!(tcp(text), expected, "{text}");
        }
    }
}
