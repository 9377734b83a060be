//! What is seen only across the whole file: what refers to nothing, guards nothing, or is guarded by nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use super::Context;
use crate::model::{
    Access, Backend, BodyPlan, Config, Credential, Environment, IdentityRule, ListSource, Listener,
    ListenerKind, ProviderId, Route, RouteAction, Server,
};
use crate::yaml::Node;

/// Looks across a configuration whose parts are all sound.
pub(super) fn across(config: &Config, root: &Node, cx: &mut Context<'_>) {
    embedded_license(config, root, cx);
    addresses(config, root, cx);
    lists(config, root, cx);
    providers(config, root, cx);
    for (id, backend) in &config.backends {
        let place = place(root, &["backends", id]);
        backend_alone(id, backend, &place, cx);
    }
    unused(config, root, cx);
    for host in &config.hosts {
        for route in &host.routes {
            check_route(config, host.name.as_str(), route, root, cx);
        }
    }
    if config.environment == Environment::Production {
        let said = "rate limits are counted, and bans, revocations and API keys held, by each node for itself";
        cx.warn(
            "per-node-limits",
            said,
            "with several nodes, divide the limits by their number, and revoke on each",
            place(root, &["environment"]),
        );
    }
}

fn embedded_license(config: &Config, root: &Node, cx: &mut Context<'_>) {
    let user = config
        .backends
        .iter()
        .find(|(_, backend)| servers(backend).any(|server| *server == Server::EmbeddedLicense));
    match user {
        Some((id, _)) if !config.license.embedded => {
            let message =
                format!("the backend `{id}` needs the embedded license service, which is off");
            let off = crate::Diagnostic::error("license-not-embedded", message)
                .help("add `license: { embedded: true }`");
            cx.report(off, place(root, &["backends", id, "servers"]));
        }
        None if config.license.embedded => {
            let said = "the embedded license service runs, and no backend uses it";
            cx.warn(
                "unused",
                said,
                "add a backend with `servers: [embedded]`",
                place(root, &["license"]),
            );
        }
        Some(_) | None => {}
    }
}

/// What listens on what: nothing twice, and somewhere for the hosts.
fn addresses(config: &Config, root: &Node, cx: &mut Context<'_>) {
    let taken = |address| config.listeners.iter().any(|listener| listener.address == address);
    if let Some(address) =
        config.admin.metrics.filter(|address| address.port() != 0 && taken(*address))
    {
        let message = format!("`{address}` is a listener of clients too");
        cx.error("duplicate", message, place(root, &["admin", "metrics"]));
    }
    if config.license.embedded && config.license.socket == config.admin.socket {
        let message =
            format!("`{}` is the socket of the license service too", config.admin.socket.display());
        cx.error("duplicate", message, place(root, &["admin", "socket"]));
    }
    let serves = |listener: &Listener| match listener.kind {
        ListenerKind::Tls(_) | ListenerKind::Plain => true,
        ListenerKind::RedirectToHttps { .. } => false,
    };
    let is_open = |listener: &&Listener| {
        listener.kind == ListenerKind::Plain && !is_inside(listener.address.ip())
    };
    if let Some(open) = config.listeners.iter().find(is_open) {
        let said = format!("`{}` takes requests and tokens in plain text", open.address);
        let help = "bind it to a loopback or private address, or use `tls`";
        cx.warn("plain-listener", said, help, place(root, &["listeners"]));
    }
    let plain = |listener: &&Listener| listener.kind == ListenerKind::Plain;
    if let Some(plain) = config.listeners.iter().find(plain)
        && let Some(host) = config.hosts.iter().find(|host| host.client_certificates.is_some())
    {
        let (host, plain) = (host.name.as_str(), plain.address);
        let said =
            format!("the host `{host}` asks for client certificates, and `{plain}` has no TLS");
        let help = "every request for the host is refused there: let TLS end here for it";
        cx.warn("client-certificates-without-tls", said, help, place(root, &["hosts", host]));
    }
    if !config.listeners.iter().any(serves) {
        let said = "no listener serves the hosts: each one only redirects";
        cx.warn("no-tls", said, "add a listener with `tls`", place(root, &["listeners"]));
    }
}

/// No key set is fetched in plain text from a host that is not listed.
fn providers(config: &Config, root: &Node, cx: &mut Context<'_>) {
    for (name, provider) in &config.identity.providers {
        let Some(keys) = provider.fetched() else { continue };
        let host = keys.url.host();
        let listed = config.egress.plain_http.iter().any(|listed| listed == host);
        if !keys.url.is_https() && !listed {
            let message =
                format!("the keys of the provider `{name}` would be fetched in plain text");
            let refused = crate::Diagnostic::error("plain-http", message);
            let help = format!("use `https://`, or add `{host}` to `egress.plain_http`");
            cx.report(refused.help(help), place(root, &["identity", "providers", name]));
        }
    }
}

/// No list includes itself by way of others, and none is fetched in plain text from a host that is not listed.
fn lists(config: &Config, root: &Node, cx: &mut Context<'_>) {
    for (name, source) in &config.lists {
        let at = |key| place(root, &["lists", name, key]);
        match source {
            ListSource::Feed(feed) => {
                let host = feed.url.host();
                let listed = config.egress.plain_http.iter().any(|listed| listed == host);
                if !feed.url.is_https() && !listed {
                    let message = format!("the list `{name}` would be fetched in plain text");
                    let refused = crate::Diagnostic::error("plain-http", message);
                    let help = format!("use `https://`, or add `{host}` to `egress.plain_http`");
                    cx.report(refused.help(help), at("url"));
                }
            }
            ListSource::Include(_) => {
                if let Some(way) = way_round(config, name) {
                    let message = format!("the list `{name}` includes itself: {}", way.join(" → "));
                    cx.error("list-cycle", message, at("include"));
                }
            }
            ListSource::File(_) => {}
        }
    }
}

/// Finds a way from a list over those that it includes back to it.
fn way_round<'c>(config: &'c Config, start: &'c str) -> Option<Vec<&'c str>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start]];
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        let Some(ListSource::Include(included)) = config.lists.get(last) else { continue };
        for next in included {
            let longer = [way.as_slice(), &[next.as_str()]].concat();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.as_str()) {
                ways.push(longer);
            }
        }
    }
    None
}

fn backend_alone(id: &str, backend: &Backend, place: &Range<usize>, cx: &mut Context<'_>) {
    if backend.servers.len() > 1 && backend.health.is_none() {
        let said = format!(
            "the servers of `{id}` are not probed: one that is down gets its share of requests"
        );
        cx.warn("no-health", said, "add `health: { path: /health }`", place.clone());
    }
    if backend.tls.is_none()
        && let Some(server) = servers(backend).find(|server| is_public(server))
    {
        let said = format!("requests to `{id}` cross a public network in plain text");
        let shown =
            if let Server::Tcp(address) = server { address.to_string() } else { String::new() };
        cx.warn(
            "plain-upstream",
            said,
            &format!(
                "`{shown}` is not a private address: add `tls: {{}}`, or put a tunnel between"
            ),
            place.clone(),
        );
    }
}

fn servers(backend: &Backend) -> impl Iterator<Item = &Server> {
    backend.servers.iter().map(|member| &member.server)
}

fn is_public(server: &Server) -> bool {
    match server {
        Server::Tcp(address) => !is_inside(address.ip()),
        Server::Name { .. } | Server::Unix(_) | Server::EmbeddedLicense => false,
    }
}

/// Whether an address is reached from this machine or its own network only.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn unused(config: &Config, root: &Node, cx: &mut Context<'_>) {
    let (mut backends, mut policies, mut providers) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for action in config.hosts.iter().flat_map(|host| &host.routes).map(|route| &route.action) {
        let RouteAction::Forward { backend, identity, .. } = action else { continue };
        backends.insert(backend.as_str());
        policies.extend(config.policy_of(action).map(|policy| policy.as_str()));
        match identity {
            IdentityRule::None => {}
            IdentityRule::Any(ids) | IdentityRule::All(ids) => {
                providers.extend(ids.iter().map(|id| id.as_str()))
            }
        }
    }
    let defined = [
        ("backend", config.backends.keys().collect::<Vec<_>>(), backends, vec!["backends"]),
        ("policy", config.policies.keys().collect(), policies, vec!["policies"]),
        ("provider", config.identity.names().collect(), providers, vec!["identity", "providers"]),
    ];
    for (what, ids, used, path) in defined {
        for id in ids.into_iter().filter(|id| !used.contains(id.as_str())) {
            let path: Vec<_> = path.iter().copied().chain([id.as_str()]).collect();
            cx.warn(
                "unused",
                format!("no route uses the {what} `{id}`"),
                "take it out, or name it in a route",
                place(root, &path),
            );
        }
    }
}

/// Where license requests go: a route that takes these without a token leaves every seat to anyone.
const LICENSE_PATHS: [&str; 2] = ["/api/v1/license/acquire", "/api/v1/licenses/acquire"];

fn check_route(config: &Config, host: &str, route: &Route, root: &Node, cx: &mut Context<'_>) {
    let RouteAction::Forward { backend, identity, access, body, .. } = &route.action else {
        return;
    };
    let place = route_place(root, host, &route.path);
    check_tenant(config, host, access, body, &place, cx);
    check_certificates(config, host, identity, &place, cx);
    if let BodyPlan::Inspect { limit, .. } = body
        && *limit > config.limits.body_buffer_bytes
    {
        let message = format!("one body of {limit} bytes does not fit into `limits.body_buffer`");
        cx.error("out-of-range", message, place.clone());
    }
    if config.policy_of(&route.action).is_none() {
        let said = format!("no security policy guards `{host}{}`", route.path);
        cx.warn("no-policy", said, "name a `policy` at the backend or the route", place.clone());
    }
    let asserted = config.backends.get(backend.as_str()).is_some_and(|backend| backend.assertion);
    if asserted && matches!(body, BodyPlan::Stream) {
        let said = format!(
            "the assertion to `{backend}` for `{host}{}` is signed over the hash of no body",
            route.path
        );
        let help =
            "let the body be read (`body: skip` or `inspect`), or take `assertion` off the backend";
        cx.warn("streamed-body-unsigned", said, help, place.clone());
    }
    let licensed = LICENSE_PATHS
        .iter()
        .any(|path| taken_by(config, host, path).is_some_and(|taken| taken == route));
    if asserted && licensed && *identity == IdentityRule::None {
        let said = format!("license requests to `{host}{}` are asked for no token", route.path);
        cx.warn("license-without-identity", said, "use `identity: { any: [..] }`", place);
    }
}

/// The places where a tenant or an object is looked for have to be there.
fn check_tenant(
    config: &Config,
    host: &str,
    access: &Access,
    body: &BodyPlan,
    place: &Range<usize>,
    cx: &mut Context<'_>,
) {
    if access.tenant.host && !host.starts_with("*.") {
        let message = format!("`tenant.host` wants a pattern, and `{host}` has no `*`");
        cx.error("conflicting-keys", message, place.clone());
    }
    if access.names_in_body(&config.identity.owners) && matches!(body, BodyPlan::Stream) {
        let message = "a tenant or an object is looked for in a body that is streamed";
        let wrong = crate::Diagnostic::error("conflicting-keys", message);
        cx.report(wrong.help("let the body be read (`body: skip` or `inspect`)"), place.clone());
    }
}

/// Certificates prove who calls only where the host asks for them.
fn check_certificates(
    config: &Config,
    host: &str,
    identity: &IdentityRule,
    place: &Range<usize>,
    cx: &mut Context<'_>,
) {
    let IdentityRule::Any(named) = identity else { return };
    let is_of_certificates = |id: &&ProviderId| {
        let credential = config.identity.credentials.get(id.as_str());
        matches!(credential, Some(Credential::Certificates(_)))
    };
    let asks = config.host(host).is_some_and(|host| host.client_certificates.is_some());
    if let Some(id) = named.iter().find(is_of_certificates).filter(|_| !asks) {
        let message = format!("`{id}` knows clients by certificates, and `{host}` asks for none");
        let wrong = crate::Diagnostic::error("conflicting-keys", message);
        cx.report(wrong.help("add `client_certificates` to the host"), place.clone());
    }
}

/// The route that a request takes: the longest prefix that fits.
fn taken_by<'c>(config: &'c Config, host: &str, path: &str) -> Option<&'c Route> {
    config.host(host)?.routes.iter().find(|route| route.matches(path.as_bytes()))
}

fn place(root: &Node, path: &[&str]) -> Range<usize> {
    path.iter().try_fold(root, |node, key| node.get(key)).unwrap_or(root).place()
}

fn route_place(root: &Node, host: &str, path: &str) -> Range<usize> {
    let hosts = root.get("hosts").and_then(Node::as_map).unwrap_or_default();
    let named = hosts.iter().find(|entry| {
        crate::model::HostName::parse_pattern(&entry.key).is_some_and(|name| name.as_str() == host)
    });
    let routes = named
        .and_then(|entry| entry.node.get("routes"))
        .and_then(Node::as_list)
        .unwrap_or_default();
    let route = routes.iter().find(|route| route.get("path").and_then(Node::as_text) == Some(path));
    route
        .and_then(|route| route.get("path"))
        .map_or_else(|| place(root, &["hosts"]), Node::value_place)
}
