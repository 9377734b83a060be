//! Lints, and what is only seen across the file.

use super::*;

const SMALL: &str = "\
version: 1
environment: staging
state_dir: /var/lib/p
admin: { socket: /run/p.sock }
listeners: [{ address: 0.0.0.0:443, tls: { certificates: [{ cert: file:a, key: file:b }] } }]
policies: { p: { file: p.yaml } }
identity: { providers: { dev: { kind: static, issuer: i, audience: a, algorithms: [ES256], jwks: j } } }
backends: { b: { servers: [10.0.0.1:80], policy: p, assertion: true } }
hosts:
  a.example:
    routes:
      - { path: /, backend: b, identity: { any: [dev] } }
      - { path: /health, backend: b, identity: none }
";

/// From the listeners to the first host, and the same with a plain listener and a host that asks for certificates.
const BETWEEN: &str = "\
file:b }] } }]
policies: { p: { file: p.yaml } }
identity: { providers: { dev: { kind: static, issuer: i, audience: a, algorithms: [ES256], jwks: j } } }
backends: { b: { servers: [10.0.0.1:80], policy: p, assertion: true } }
hosts:
  a.example:
";
const BETWEEN_WITH_BOTH: &str = "\
file:b }] } }, { address: 127.0.0.1:80, plain: true }]
policies: { p: { file: p.yaml } }
identity: { providers: { dev: { kind: static, issuer: i, audience: a, algorithms: [ES256], jwks: j } } }
backends: { b: { servers: [10.0.0.1:80], policy: p, assertion: true } }
hosts:
  a.example:
    client_certificates: { ca: file:c }
";

/// A certificate from files, and one that is ordered by each challenge.
const FILES: &str = "cert: file:a, key: file:b";
const BY_HTTP: &str = "acme: { names: [a.example], directory: 'https://ca.example/d', terms_agreed: true, challenge: http-01 }";
const BY_HANDSHAKE: &str =
    "acme: { names: [a.example], directory: 'https://ca.example/d', terms_agreed: true }";

/// What stands in the small file, what stands there instead, and the codes that this brings.
const CASES: &[(&str, &str, &[&str])] = &[
    ("policy: p, ", "", &["unused", "no-policy", "no-policy"]),
    ("policy: p, ", "policy: p, no_store: true, ", &[]),
    ("{ any: [dev] }", "none", &["unused", "license-without-identity"]),
    (
        "path: /health, backend: b",
        "path: /api/v1/license/, backend: b",
        &["license-without-identity"],
    ),
    ("path: /health, backend: b", "path: /api/v1/auth/, backend: b", &[]),
    (
        "{ any: [dev] } }",
        "{ any: [dev] }, body: stream }",
        &["streamed-body-unsigned", "body-streamed"],
    ),
    ("{ any: [dev] } }", "{ any: [dev] }, body: skip }", &[]),
    (
        "{ any: [dev] } }",
        "{ any: [dev] }, body: { limit: 1MiB, inspect: 8KiB, oversize: pass } }",
        &["body-not-judged"],
    ),
    ("{ any: [dev] } }", "{ any: [dev] }, body: { limit: 1MiB, inspect: 8KiB } }", &[]),
    ("[10.0.0.1:80]", "[10.0.0.1:80, 10.0.0.2:80]", &["no-health"]),
    ("[10.0.0.1:80]", "[203.0.113.9:80]", &["plain-upstream"]),
    ("[10.0.0.1:80]", "[\"[fd00::1]:80\"]", &[]),
    ("/run/p.sock }", "/run/p.sock, metrics: 0.0.0.0:9443 }", &["metrics-open"]),
    ("/run/p.sock }", "/run/p.sock, metrics: 127.0.0.1:9443 }", &[]),
    ("staging", "production", &["per-node-limits"]),
    (
        "backends: { ",
        "log: { sinks: { s: { kind: syslog, to: \"udp:192.0.2.1:514\" } } }\nbackends: { ",
        &["syslog-plain"],
    ),
    (
        "backends: { ",
        "log: { sinks: { s: { kind: syslog, to: \"udp:127.0.0.1:514\" } } }\nbackends: { ",
        &[],
    ),
    ("policies: { ", "policies: { q: { file: q.yaml }, ", &["unused"]),
    ("backends: { ", "license: { embedded: true }\nbackends: { ", &["unused"]),
    ("[10.0.0.1:80]", "[embedded]", &["license-not-embedded"]),
    ("/run/p.sock }", "/run/p.sock, metrics: 0.0.0.0:443 }", &["duplicate", "metrics-open"]),
    (
        "[10.0.0.1:80], policy: p, assertion: true } }\n",
        "[embedded], policy: p } }\nlicense: { embedded: true, socket: /run/p.sock }\n",
        &["duplicate"],
    ),
    (
        "[10.0.0.1:80], policy: p, assertion: true } }\n",
        "[embedded], policy: p } }\nlicense: { embedded: true, socket: /run/q.sock }\n",
        &[],
    ),
    (
        "0.0.0.0:443, tls: { certificates: [{ cert: file:a, key: file:b }] }",
        "0.0.0.0:80, plain: true",
        &["plain-listener"],
    ),
    (
        "0.0.0.0:443, tls: { certificates: [{ cert: file:a, key: file:b }] }",
        "10.0.0.1:80, plain: true",
        &[],
    ),
    (
        "tls: { certificates: [{ cert: file:a, key: file:b }] }",
        "redirect_to_https: 308",
        &["no-tls"],
    ),
    (
        "identity: none }\n",
        "identity: none, body: { limit: 2MiB } }\nlimits: { body_buffer: 1MiB }\n",
        &["out-of-range"],
    ),
    ("identity: none }\n", "identity: none, body: { limit: 1MiB } }\n", &[]),
    ("    routes:\n", "    client_certificates: { ca: file:c }\n    routes:\n", &[]),
    (FILES, BY_HTTP, &["acme-unheard"]),
    (FILES, BY_HANDSHAKE, &[]),
    (BETWEEN, BETWEEN_WITH_BOTH, &["client-certificates-without-tls"]),
];

/// The codes of every problem that the cases bring.
pub(super) fn found() -> Vec<&'static str> {
    CASES.iter().flat_map(|case| codes(&changed(SMALL, case.0, case.1))).collect()
}

#[test]
fn each_lint_has_its_twin_without() {
    assert_eq!(codes(SMALL), [""; 0]);
    for (from, to, expected) in CASES {
        let decoded = decode_text(&changed(SMALL, from, to));
        let found: Vec<_> = decoded.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(found, *expected, "{to}\n{}", render_all(&decoded.problems, Style::Plain));
    }
}

#[test]
fn a_lint_does_not_stop_the_load() {
    let decoded = decode_text(&changed(SMALL, "policy: p, ", ""));
    assert!(decoded.config.is_some());
}

#[test]
fn a_file_with_ten_mistakes_is_told_all_ten() {
    let text = include_str!("../../../testdata/ten-mistakes.yaml");
    let decoded = decode(
        &SourceFile::new("ten-mistakes.yaml", text),
        Path::new("/etc/portcullis"),
        Files::MadeLater,
    );
    let drawn = render_all(&decoded.problems, Style::Plain);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/ten-mistakes.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &drawn).unwrap();
    }
    assert_eq!(decoded.problems.len(), 10, "{drawn}");
    assert_eq!(drawn.matches("ten-mistakes.yaml:").count(), 10, "each has its line");
    assert_eq!(drawn, std::fs::read_to_string(path).unwrap_or_default());
}

#[test]
fn a_secret_written_inline_is_never_shown() {
    for inline in [
        "s3cr3t",
        "'-----BEGIN PRIVATE KEY----- s3cr3t'",
        "'hex:s3cr3t'",
        "\"s3cr3t\"",
        "'s3cr3t\n  s3cr3t'",
    ] {
        // A second mistake in the same line must not show it either.
        let text = changed(SMALL, "key: file:b }", &format!("key: {inline}, x: y }}"));
        let decoded = decode_text(&text);
        let drawn = render_all(&decoded.problems, Style::Plain);
        assert!(drawn.contains("inline-secret") && drawn.contains("unknown key `x`"), "{drawn}");
        assert!(!drawn.contains("s3cr3t"), "{drawn}");
    }
    let block = "listeners:\n  - address: 0.0.0.0:443\n    tls:\n      certificates:\n        - cert: file:a\n          key: |\n            -----BEGIN KEY-----\n            s3cr3t\n";
    let drawn = render_all(&decode_text(block).problems, Style::Plain);
    assert!(drawn.contains("inline-secret") && !drawn.contains("s3cr3t"), "{drawn}");
}

#[test]
fn a_mistake_under_an_alias_is_told_once() {
    let text = changed(SMALL, "  a.example:\n", "  a.example: &a\n");
    let text = changed(&text, "{ any: [dev] }", "{ any: [dve] }") + "  b.example: *a\n";
    assert_eq!(codes(&text), ["unknown-name"]);
}

#[test]
fn a_mistake_in_a_backend_does_not_make_it_unknown() {
    assert_eq!(codes(&changed(SMALL, "10.0.0.1:80", "10.0.0.1")), ["wrong-value"]);
}

#[test]
fn duplicate_keys_and_other_mistakes_are_told_together() {
    assert_eq!(
        codes(&changed(SMALL, "version: 1\n", "version: 1\nversion: 1\ncolour: red\n")),
        ["duplicate-key", "unknown-key"]
    );
}
