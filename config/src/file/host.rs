//! `hosts` and their routes.

mod access;
pub(super) mod answer;
mod browser;
mod login;
mod sign_in;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use access::{role, scope};

use super::backend::{policy_id, reference};
use super::fields::Fields;
use super::{Context, keys, scalar, source};
use crate::diagnostic::Diagnostic;
use crate::model::{
    BackendId, BodyPlan, Browser, ClientCertificates, Compressed, Host, HostName, Oversize,
    PathForm, RedirectStatus, Route, RouteAction, WithoutCertificate,
};
use crate::yaml::{Entry, Node, Value};

/// Decodes `hosts`, in the order of the file.
pub(super) fn hosts(node: &Node, cx: &mut Context<'_>) -> Option<Vec<Host>> {
    let Value::Map(entries) = &node.value else {
        cx.error(
            "wrong-kind",
            format!("a mapping by host name is expected here, not {}", node.kind()),
            node.value_place(),
        );
        return None;
    };
    if entries.is_empty() {
        cx.error("empty-list", "at least one host is needed here", node.place());
    }
    let mut seen = BTreeMap::new();
    let hosts: Vec<_> = entries.iter().map(|entry| host(entry, &mut seen, cx)).collect();
    hosts.into_iter().collect()
}

fn host(
    entry: &Entry,
    seen: &mut BTreeMap<HostName, String>,
    cx: &mut Context<'_>,
) -> Option<Host> {
    let name = host_name(entry, cx);
    if let Some(name) = &name
        && let Some(earlier) = seen.insert(name.clone(), entry.key.clone())
    {
        cx.error(
            "duplicate",
            format!("`{}` is the same host as `{earlier}`", entry.key),
            entry.span.clone(),
        );
    }
    let fields = Fields::open(&entry.node, &keys::HOST, cx)?;
    let routes = fields.of("routes", cx, routes);
    let client_certificates = fields.may("client_certificates", cx, client_certificates);
    let csp_reports = fields.may("csp_reports", cx, scalar::url_path);
    let login = fields.may("login", cx, login::login);
    let (name, login) = (name?, login?);
    if login.is_some() && name.as_str().starts_with('*') {
        let said = "`login` has no meaning for a host that stands for many";
        cx.error("conflicting-keys", said, fields.get("login").unwrap_or(&entry.node).place());
        return None;
    }
    Some(Host {
        name,
        client_certificates: client_certificates?,
        csp_reports: csp_reports?,
        login,
        routes: routes?,
    })
}

fn client_certificates(node: &Node, cx: &mut Context<'_>) -> Option<ClientCertificates> {
    let fields = Fields::open(node, &keys::CLIENT_CERTIFICATES, cx)?;
    let ca = fields.of("ca", cx, source::certificate);
    let crl = fields.may("crl", cx, source::certificate);
    let modes = [("require", WithoutCertificate::Refuse), ("request", WithoutCertificate::Admit)];
    let without = fields.of("mode", cx, |node, cx| scalar::choice(node, cx, &modes));
    let header = fields.may("header", cx, told_by);
    Some(ClientCertificates { ca: ca?, crl: crl?, without: without?, header: header? })
}

/// The header by which origins are told of a certificate. What it takes from clients must not be what anybody else needs.
fn told_by(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let lower = written.to_ascii_lowercase();
    let is_own =
        lower.starts_with("x-") || ["client-cert", "ssl-client-cert"].contains(&lower.as_str());
    let is_ours =
        ["x-edge-", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"]
            .iter()
            .any(|ours| lower.starts_with(ours));
    if scalar::is_header_name(written) && is_own && !is_ours {
        return Some(lower);
    }
    let wrong = Diagnostic::error("wrong-name", format!("`{written}` cannot tell of certificates"));
    let help =
        "write a name that begins with `X-` and is not the edge's own, such as `X-Client-Cert`";
    cx.report(wrong.help(help), node.value_place());
    None
}

fn host_name(entry: &Entry, cx: &mut Context<'_>) -> Option<HostName> {
    let name = HostName::parse_pattern(&entry.key);
    if name.is_none() {
        let wrong = Diagnostic::error("wrong-name", format!("`{}` is not a host name", entry.key));
        let help = if entry.key.contains('*') {
            "a wildcard stands for one whole label at the front: `*.example.com`"
        } else if entry.key.contains(':') {
            "leave the port and the scheme out"
        } else {
            "write a DNS name, such as `licenses.example.com`, or an address"
        };
        cx.report(wrong.help(help), entry.span.clone());
    }
    name
}

fn routes(node: &Node, cx: &mut Context<'_>) -> Option<Vec<Route>> {
    let mut seen = Vec::new();
    let mut routes = scalar::some_items(node, cx, |node, cx| {
        let route = route(node, cx)?;
        if seen.contains(&route.path) {
            cx.error("duplicate", format!("the path `{}` is here twice", route.path), node.place());
        }
        seen.push(route.path.clone());
        Some(route)
    })?;
    // The sort is stable; paths of one length cannot both fit a request, unless they are one.
    routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
    Some(routes)
}

fn route(node: &Node, cx: &mut Context<'_>) -> Option<Route> {
    let fields = Fields::open(node, &keys::ROUTE, cx)?;
    let path = fields.of("path", cx, scalar::url_path);
    let forms = [
        ("as_sent", PathForm::AsSent),
        ("plain", PathForm::Plain),
        ("normalized", PathForm::Normalized),
    ];
    let path_form = fields.of("path_form", cx, |node, cx| scalar::choice(node, cx, &forms));
    let headers = fields.may("headers", cx, super::document::profile);
    let action = match fields.one_of(&["backend", "redirect"], cx)? {
        ("backend", node) => forward(node, &fields, path.as_deref(), cx),
        (_, node) => {
            let of_answers = ["response_inspection", "response_headers", "replace_errors"];
            let of_browsers = ["cors", "csrf", "cookies"];
            let keys = [
                &["path_form", "policy", "identity", "body", "sign_in", "license_call"][..],
                &of_answers[..],
                &of_browsers[..],
            ]
            .concat();
            fields.none_of(&keys, "on a route with `redirect`", cx);
            redirect(node, cx)
        }
    };
    Some(Route {
        path: path?,
        path_form: path_form?,
        headers: headers?.map(Arc::new),
        action: action?,
    })
}

fn forward(
    node: &Node,
    fields: &Fields<'_>,
    path: Option<&str>,
    cx: &mut Context<'_>,
) -> Option<RouteAction> {
    let known = std::mem::take(&mut cx.names.backends);
    let backend = reference(node, cx, "backend", &known).map(BackendId::new);
    cx.names.backends = known;
    let policy = fields.may("policy", cx, policy_id);
    let identity = match fields.get("identity") {
        Some(node) => access::identity(node, cx),
        None => {
            let place = node.place();
            let missing =
                Diagnostic::error("missing-key", "the route does not say whose token it asks for")
                    .help("add `identity: none`, or `identity: { any: [..] }` with the providers");
            cx.report(missing, place);
            None
        }
    };
    let is_grpc =
        backend.as_ref().is_some_and(|id| cx.names.grpc.iter().any(|one| one == id.as_str()));
    let body = match fields.get("body") {
        Some(node) if is_grpc => streamed(node, cx),
        Some(node) => body(node, path.unwrap_or("/"), cx),
        None if is_grpc => Some(BodyPlan::Stream),
        None => Some(whole(cx.body_bytes)),
    };
    let answer = answer::plan(fields, cx);
    let sign_in = fields.may("sign_in", cx, sign_in::sign_in);
    let license_call = fields.may("license_call", cx, sign_in::license_call);
    let browser = browser::browser(fields, cx);
    let (body, answer, sign_in, browser) = (body?, answer?, sign_in?, browser?);
    let license_call = license_call?;
    let (identity, access) = identity?;
    answer::check_body(&answer, &body, fields, cx);
    let reads_account = sign_in.as_ref().is_some_and(|one| !one.account.is_empty());
    sign_in::check_body("sign_in", reads_account, &body, fields, cx);
    sign_in::check_body("license_call", license_call.is_some(), &body, fields, cx);
    Some(RouteAction::Forward {
        backend: backend?,
        policy: policy?,
        identity,
        access,
        body,
        answer,
        browser: (browser != Browser::default()).then(|| Arc::new(browser)),
        sign_in: sign_in.map(Arc::new),
        license_call: license_call.map(Arc::new),
    })
}

fn whole(bytes: u64) -> BodyPlan {
    BodyPlan::Inspect {
        limit: bytes,
        inspect: bytes,
        oversize: Oversize::Deny,
        compressed: Compressed::Refuse,
    }
}

/// The body of a gRPC route: there is only one way.
fn streamed(node: &Node, cx: &mut Context<'_>) -> Option<BodyPlan> {
    if node.as_text() == Some("stream") {
        return Some(BodyPlan::Stream);
    }
    let said = "the bodies of a gRPC backend pass as they come";
    let wrong = Diagnostic::error("conflicting-keys", said).help("take `body` out");
    cx.report(wrong, node.place());
    None
}

fn body(node: &Node, path: &str, cx: &mut Context<'_>) -> Option<BodyPlan> {
    if let Value::Scalar { .. } = node.value {
        let plan =
            scalar::choice(node, cx, &[("skip", BodyPlan::Skip), ("stream", BodyPlan::Stream)])?;
        if plan == BodyPlan::Stream {
            let said = format!("the origin sees bodies under `{path}` before any verdict on them");
            cx.warn(
                "body-streamed",
                said,
                "use a mapping with `limit` unless the bodies are too large to hold",
                node.value_place(),
            );
        }
        return Some(plan);
    }
    let fields = Fields::open(node, &keys::BODY, cx)?;
    let limit = fields.may("limit", cx, scalar::size("0B", "64MiB"))?.unwrap_or(cx.body_bytes);
    let inspect = fields.may("inspect", cx, scalar::size("0B", "64MiB"))?.unwrap_or(limit);
    let choices = [("deny", Oversize::Deny), ("pass", Oversize::Pass), ("log", Oversize::Log)];
    let oversize = fields.of("oversize", cx, |node, cx| scalar::choice(node, cx, &choices))?;
    if inspect > limit {
        let message = format!("`inspect` is {inspect} bytes, more than the `limit` of {limit}");
        cx.error("out-of-range", message, fields.get("inspect").unwrap_or(node).value_place());
        return None;
    }
    if inspect < limit && oversize != Oversize::Deny {
        let said = format!(
            "under `{path}`, what follows the first {inspect} bytes of a body is not judged"
        );
        cx.warn(
            "body-not-judged",
            said,
            "raise `inspect`, or use `oversize: deny`",
            fields.get("oversize").unwrap_or(node).value_place(),
        );
    }
    let compressed = compressed(&fields, cx)?;
    Some(BodyPlan::Inspect { limit, inspect, oversize, compressed })
}

fn compressed(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<Compressed> {
    let words = [("refuse", false), ("inflate", true)];
    let inflates = fields.of("compressed", cx, |node, cx| scalar::choice(node, cx, &words))?;
    let ratio = fields.of("ratio", cx, scalar::number(2..=10_000))?;
    if !inflates {
        fields.none_of(&["ratio"], "with `compressed: refuse`", cx);
        return Some(Compressed::Refuse);
    }
    Some(Compressed::Inflate { ratio })
}

fn redirect(node: &Node, cx: &mut Context<'_>) -> Option<RouteAction> {
    let fields = Fields::open(node, &keys::REDIRECT, cx)?;
    let to = fields.of("to", cx, location);
    let statuses =
        [("301", RedirectStatus::MovedPermanently), ("308", RedirectStatus::PermanentRedirect)];
    let status = fields.of("status", cx, |node, cx| scalar::choice(node, cx, &statuses));
    let keeps_target = fields.of("keep_target", cx, scalar::switch);
    let (to, keeps_target) = (to?, keeps_target?);
    if keeps_target && (!to.contains("://") || to.contains(['?', '#'])) {
        // After a path, `//host` in the request's own would send the client to another host.
        let wrong = "`keep_target` wants a URL with a host and without a query in `to`";
        cx.error("conflicting-keys", wrong, fields.get("keep_target").unwrap_or(node).place());
        return None;
    }
    Some(RouteAction::Redirect { status: status?, to, keeps_target })
}

fn location(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let host = ["https://", "http://"].iter().find_map(|scheme| written.strip_prefix(scheme));
    let absolute = host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    // Two slashes would send the client to another host.
    let local = written.starts_with('/') && !written.starts_with("//");
    if (absolute || local) && written.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Some(written.to_owned());
    }
    let wrong =
        Diagnostic::error("wrong-value", format!("`{written}` is not a place to redirect to"));
    cx.report(
        wrong.help("write a URL with `https://`, or a path that begins with one `/`"),
        node.value_place(),
    );
    None
}
