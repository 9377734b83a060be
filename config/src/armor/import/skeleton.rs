//! A plan as a configuration that loads: `portcullis.yaml`, with what has to be filled in said in comments.

use std::fmt::Write;

use super::plan::{Plan, PlannedBackend};

/// A policy's file beside the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// The policy's own name, which is its id too.
    pub name: String,
    /// Its path from the configuration.
    pub file: String,
}

/// Where the certificate's files are named, from the configuration's directory.
pub const CERTIFICATE: (&str, &str) = ("tls/tls.crt", "tls/tls.key");

/// A host for what has none, so that the file loads.
const NO_HOST: &str = "host.invalid";
/// A server for what has none; nothing answers there (RFC 2606).
const NO_SERVER: &str = "server.invalid:80";

/// Writes the configuration. `lists` are address lists that the policies ask for, each a file `lists/NAME.txt`.
#[must_use]
pub fn skeleton(plan: &Plan, policies: &[PolicyFile], lists: &[String]) -> String {
    let mut out = String::from(
        "# Made by `portcullis import cloud-armor`. It passes `check`; read the comments before it serves.\n\
         version: 1\nenvironment: staging\nstate_dir: state\nadmin: { socket: state/admin.sock }\n\
         listeners:\n  - address: 0.0.0.0:443\n    tls:\n      # Replace the certificate, which is made for trying.\n      \
         certificates: [{ cert: file:",
    );
    put(&mut out, format_args!("{}, key: file:{} }}]\n", CERTIFICATE.0, CERTIFICATE.1));
    if plan.https_only {
        out.push_str("  # Plain HTTP is off at the source (`allow-http: \"false\"`): no listener on port 80.\n");
    }
    out.push_str("# trusted_hops: [10.0.0.0/24]   # proxies whose X-Forwarded-For is believed\n");
    out.push_str("# geo: { country: country.mmdb }   # rules on origin.region_code are inactive without it\n");
    if !lists.is_empty() {
        out.push_str("lists:\n");
        for list in lists {
            put(&mut out, format_args!("  {list}: {{ file: lists/{list}.txt }}\n"));
        }
    }
    if !policies.is_empty() {
        out.push_str(
            "# With an OWASP Core Rule Set on this machine: crs: { crs: /usr/share/modsecurity-crs }\n\
             rulesets: { core: { builtin: core } }\npolicies:\n",
        );
        for policy in policies {
            put(&mut out, format_args!("  {}: {{ file: {} }}\n", policy.name, policy.file));
        }
    }
    if plan.backends.values().any(|backend| backend.iap.is_some()) {
        out.push_str(PEOPLE);
    }
    backends(&mut out, plan, policies);
    hosts(&mut out, plan);
    out
}

/// Who vouches for people where IAP did: Google, for a client of one's own.
const PEOPLE: &str = "\
# IAP becomes sign-in at the edge (docs/browsers.md). Write the id of your OAuth client; its redirect URI is
# https://HOST/.portcullis/callback. IAP's own list of who may come in is not taken over: write a rule on `token.claims`.
identity:
  providers:
    staff:
      kind: oidc
      issuer: https://accounts.google.com
      audience: CLIENT_ID.apps.googleusercontent.com
      algorithms: [RS256]
      tenant_claim: [hd]
";

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes any text");
}

fn backends(out: &mut String, plan: &Plan, policies: &[PolicyFile]) {
    out.push_str("backends:\n");
    for (id, planned) in &plan.backends {
        backend(out, id, planned, policies);
    }
    if plan.backends.is_empty() {
        let policy = policies.first().map(|policy| policy.name.clone());
        let planned = PlannedBackend { server: NO_SERVER.to_owned(), policy, ..Default::default() };
        backend(out, "origin", &planned, policies);
    }
}

fn backend(out: &mut String, id: &str, planned: &PlannedBackend, policies: &[PolicyFile]) {
    for note in &planned.notes {
        put(out, format_args!("  # {}\n", note.replace('\n', " ")));
    }
    put(out, format_args!("  {id}:\n    servers: [{}]", text(&planned.server)));
    out.push_str(if planned.server.contains(".invalid:") {
        "   # write where it is reached\n"
    } else {
        "\n"
    });
    match &planned.policy {
        Some(policy) if policies.iter().any(|known| known.name == *policy) => {
            put(out, format_args!("    policy: {policy}\n"));
        }
        Some(policy) => put(
            out,
            format_args!(
                "    # policy: {policy}, which was not among the files that were imported\n"
            ),
        ),
        None => out.push_str("    # policy: none is named for it at the source: write one\n"),
    }
    if let Some(secs) = planned.timeout_secs {
        put(out, format_args!("    timeout: {}s\n", secs.clamp(1, 86_400)));
    }
    if let Some(secs) = planned.drain_secs {
        put(out, format_args!("    drain: {}s\n", secs.clamp(0, 3600)));
    }
    if let Some(health) = &planned.health {
        // Google lets a probe take as long as the time between two; here it is over before the next one begins.
        let timeout = health.timeout_secs.min(health.every_secs - 1).max(1);
        put(
            out,
            format_args!(
                "    health: {{ path: {}, every: {}s, timeout: {timeout}s, healthy: {}, unhealthy: {} }}\n",
                text(&health.path),
                health.every_secs.max(2),
                health.healthy,
                health.unhealthy
            ),
        );
    }
}

fn hosts(out: &mut String, plan: &Plan) {
    out.push_str("# Write `identity:` where callers need a token, and `body:` where bodies are to be judged.\nhosts:\n");
    for host in &plan.hosts {
        put(out, format_args!("  {}:\n", host.name));
        let before = |service: &String| plan.backends.get(service)?.iap.as_ref();
        if let Some(secret) = host.routes.iter().find_map(|(_, service)| before(service)) {
            login(out, secret.as_deref());
        }
        out.push_str("    routes:\n");
        for (path, service) in &host.routes {
            // Closed until people can sign in: what IAP stood before is never open.
            let identity = before(service).map_or("none", |_| "{ any: [staff] }");
            let path = text(path);
            put(
                out,
                format_args!(
                    "      - {{ path: {path}, backend: {service}, identity: {identity} }}\n"
                ),
            );
        }
    }
    if plan.hosts.is_empty() {
        let ids: Vec<&str> = plan.backends.keys().map(String::as_str).collect();
        put(
            out,
            format_args!(
                "  # No Ingress was imported: write the host's name.\n  {NO_HOST}:\n    routes:\n"
            ),
        );
        let first = ids.first().copied().unwrap_or("origin");
        let identity = |id: &str| match plan.backends.get(id).and_then(|one| one.iap.as_ref()) {
            Some(_) => "{ any: [staff] }",
            None => "none",
        };
        put(
            out,
            format_args!(
                "      - {{ path: /, backend: {first}, identity: {} }}\n",
                identity(first)
            ),
        );
        for other in ids.iter().skip(1) {
            put(
                out,
                format_args!(
                    "      - {{ path: /{other}, backend: {other}, identity: {} }}\n",
                    identity(other)
                ),
            );
        }
    }
}

/// What is missing before people can sign in to a host: two files that hold secrets.
fn login(out: &mut String, secret: Option<&str>) {
    let named = secret.map(|name| format!("   # from the secret `{name}`")).unwrap_or_default();
    put(
        out,
        format_args!(
            "    # `portcullis tls ticket-key login.keys` makes the keys; then take the marks away.\n    # login:\n    \
             #   provider: staff\n    #   client_secret: file:client.secret{named}\n    #   keys: file:login.keys\n"
        ),
    );
}

/// JSON's strings are YAML's too; a plain word stays plain.
fn text(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_:".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    serde_json::Value::String(value.to_owned()).to_string()
}
