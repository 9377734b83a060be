//! The file as a whole.

use super::fields::Fields;
use super::{
    Context, backend, host, identity, incidents, keys, limits, lint, listener, load_test, log,
    scalar, source,
};
use crate::diagnostic::Diagnostic;
use crate::model::{Admin, ClientAddressHeader, Config, Environment, Geo, HeaderProfile, License};
use crate::yaml::Node;

/// How long a seat is held without a heartbeat, unless the file says otherwise.
const LEASE: std::time::Duration = std::time::Duration::from_secs(360);

/// Decodes the whole file; `None` if anything in it is wrong.
pub(super) fn config(root: &Node, cx: &mut Context<'_>) -> Option<Config> {
    let fields = Fields::open(root, &keys::ROOT, cx)?;
    // What others lean on comes first: paths under `state_dir`, sizes under `limits.body`.
    let version = fields.of("version", cx, version);
    let environment = fields.of("environment", cx, environment);
    cx.environment = environment.unwrap_or(Environment::Development);
    let state_dir = fields.of("state_dir", cx, scalar::path);
    cx.state_dir = state_dir.clone().unwrap_or_default();
    let limits = match fields.get("limits") {
        Some(node) => limits::limits(node, cx),
        None => limits::absent(cx),
    };
    cx.body_bytes = limits.as_ref().map_or(0, |limits| limits.body_bytes);
    let workers = fields.may("workers", cx, scalar::number(1..=1024));
    let admin = fields.of("admin", cx, admin);
    let listeners = fields.of("listeners", cx, listener::listeners);
    let session_tickets = match fields.get("session_tickets") {
        Some(node) => listener::session_tickets(node, cx),
        None => listener::usual_session_tickets(cx),
    };
    let trusted_hops = fields.may("trusted_hops", cx, scalar::trusted_networks);
    let client_address_header = fields.of("client_address_header", cx, client_address_header);
    if fields.get("trusted_hops").is_none() {
        fields.none_of(&["client_address_header"], "without `trusted_hops`", cx);
    }
    let geo = fields.may("geo", cx, source::geo);
    let lists = fields.may("lists", cx, |node, cx| scalar::named(node, cx, source::address_list));
    let bans = fields.may("bans", cx, source::bans);
    let incidents = match fields.get("incidents") {
        Some(node) => incidents::incidents(node, cx),
        None => incidents::usual(cx),
    };
    let egress = fields.may("egress", cx, source::egress);
    let rulesets = fields
        .may("rulesets", cx, |node, cx| scalar::named(node, cx, |_, n, cx| source::ruleset(n, cx)));
    let policies = fields
        .may("policies", cx, |node, cx| scalar::named(node, cx, |_, n, cx| source::policy(n, cx)));
    let tests = fields.may("tests", cx, |node, cx| scalar::some_items(node, cx, source::file));
    let identity = match fields.get("identity") {
        Some(node) => identity::identity(node, cx),
        None => Some(identity::absent(cx)),
    };
    let backends = fields
        .of("backends", cx, |node, cx| scalar::named(node, cx, |_, n, cx| backend::backend(n, cx)));
    let headers = fields.may("headers", cx, headers);
    let hosts = fields.of("hosts", cx, host::hosts);
    let load_test = fields.may("load_test", cx, load_test::load_test);
    let log = match fields.get("log") {
        Some(node) => log::log(node, cx),
        None => log::usual(cx),
    };
    let license = match fields.get("license") {
        Some(node) => license(node, cx),
        None => Some(no_license(cx)),
    };
    version?;
    let config = Config {
        environment: environment?,
        state_dir: state_dir?,
        workers: workers?,
        admin: admin?,
        listeners: listeners?,
        session_tickets: session_tickets?,
        trusted_hops: trusted_hops?.unwrap_or_default(),
        client_address_header: client_address_header?,
        geo: geo?.unwrap_or_else(Geo::default),
        lists: lists?.unwrap_or_default(),
        bans: bans?.unwrap_or_default(),
        incidents: incidents?,
        egress: egress?.unwrap_or_default(),
        rulesets: rulesets?.unwrap_or_default(),
        policies: policies?.unwrap_or_default(),
        tests: tests?.unwrap_or_default(),
        identity: identity?,
        backends: backends?,
        hosts: hosts?,
        headers: headers?.unwrap_or_default(),
        load_test: load_test?,
        log: log?,
        license: license?,
        limits: limits?,
        places: std::mem::take(&mut cx.places),
    };
    lint::across(&config, root, cx);
    Some(config)
}

fn version(node: &Node, cx: &mut Context<'_>) -> Option<()> {
    if node.as_text() == Some("1") {
        return Some(());
    }
    let written = node.as_text().unwrap_or("nothing");
    let unknown = Diagnostic::error(
        "unknown-version",
        format!("the version `{written}` of the format is not known"),
    );
    cx.report(unknown.help("this program reads version 1"), node.value_place());
    None
}

fn environment(node: &Node, cx: &mut Context<'_>) -> Option<Environment> {
    let all = [Environment::Development, Environment::Staging, Environment::Production];
    scalar::choice(node, cx, &all.map(|environment| (environment.as_str(), environment)))
}

fn admin(node: &Node, cx: &mut Context<'_>) -> Option<Admin> {
    let fields = Fields::open(node, &keys::ADMIN, cx)?;
    let socket = fields.of("socket", cx, scalar::socket);
    let metrics = fields.may("metrics", cx, scalar::address);
    let admin = Admin { socket: socket?, metrics: metrics? };
    if let Some(address) = admin.metrics
        && !address.ip().is_loopback()
    {
        let said = format!(
            "metrics are served to whoever reaches `{address}`, in plain text and without a password"
        );
        let place = fields.get("metrics").unwrap_or(node).value_place();
        cx.warn("metrics-open", said, "keep it on loopback, or behind a network policy", place);
    }
    Some(admin)
}

fn client_address_header(node: &Node, cx: &mut Context<'_>) -> Option<ClientAddressHeader> {
    let written = scalar::text(node, cx)?;
    if scalar::is_header_name(written) {
        return Some(ClientAddressHeader::named(written));
    }
    let wrong =
        Diagnostic::error("wrong-value", format!("`{written}` is not the name of a header"));
    cx.report(
        wrong.help("write `X-Forwarded-For`, `Forwarded` or what your balancer sends"),
        node.value_place(),
    );
    None
}

/// Decodes `headers`, and keeps its profiles for the routes.
fn headers(node: &Node, cx: &mut Context<'_>) -> Option<HeaderProfile> {
    let fields = Fields::open(node, &keys::HEADERS, cx)?;
    let one = |_: &str, node: &Node, cx: &mut Context<'_>| {
        let (set, remove) = host::answer::rules(node, &keys::HEADER_PROFILE, cx)?;
        Some(HeaderProfile { set, remove })
    };
    let profiles = fields.may("profiles", cx, |node, cx| scalar::named(node, cx, one));
    let is_known = profiles.is_some();
    cx.profiles = profiles.flatten().unwrap_or_default();
    if cx.profiles.insert(API.to_owned(), HeaderProfile::default()).is_some() {
        let said = "`api` is the edge's own: choose another name";
        cx.error("wrong-name", said, fields.get("profiles").unwrap_or(node).place());
    }
    fields.of("profile", cx, profile).filter(|_| is_known)
}

/// The profile that is always there.
const API: &str = "api";

/// Reads the name of a profile.
pub(super) fn profile(node: &Node, cx: &mut Context<'_>) -> Option<HeaderProfile> {
    let written = scalar::text(node, cx)?;
    if let Some(found) = cx.profiles.get(written) {
        return Some(found.clone());
    }
    if written == API {
        return Some(HeaderProfile::default());
    }
    let known: Vec<&str> = cx.profiles.keys().map(String::as_str).chain([API]).collect();
    let message = format!("no profile of headers `{written}` is defined");
    let unknown = scalar::unknown("unknown-name", message, written, &known);
    cx.report(unknown, node.value_place());
    None
}

fn no_license(cx: &Context<'_>) -> License {
    License {
        embedded: false,
        database: cx.state_dir.join("license.db"),
        socket: cx.state_dir.join("license.sock"),
        wrapping_key: cx.state_dir.join("license-wrapping.key"),
        lease: LEASE,
    }
}

fn license(node: &Node, cx: &mut Context<'_>) -> Option<License> {
    let fields = Fields::open(node, &keys::LICENSE, cx)?;
    let embedded = fields.of("embedded", cx, scalar::switch);
    let database = fields.may("database", cx, scalar::path);
    let socket = fields.may("socket", cx, scalar::socket);
    let wrapping_key = fields.may("wrapping_key", cx, scalar::path);
    let lease = fields.may("lease", cx, scalar::duration("1m", "24h"));
    let usual = no_license(cx);
    let license = License {
        embedded: embedded?,
        database: database?.unwrap_or(usual.database),
        socket: socket?.unwrap_or(usual.socket),
        wrapping_key: wrapping_key?.unwrap_or(usual.wrapping_key),
        lease: lease?.unwrap_or(LEASE),
    };
    if !license.embedded {
        let others = ["database", "socket", "wrapping_key", "lease"];
        fields.none_of(&others, "with `embedded: false`", cx);
        return Some(license);
    }
    scalar::check_socket(&license.socket, node, cx).then_some(license)
}
