//! The table of every kind of problem that reading a configuration can find: what the documentation explains.

use crate::diagnostic::Severity;

/// One kind of problem.
#[derive(Debug)]
pub struct Problem {
    /// The code that stands above the message.
    pub code: &'static str,
    /// Whether the file is refused.
    pub severity: Severity,
    /// What it means, and what to do.
    pub meaning: &'static str,
}

const fn error(code: &'static str, meaning: &'static str) -> Problem {
    Problem { code, severity: Severity::Error, meaning }
}

const fn lint(code: &'static str, meaning: &'static str) -> Problem {
    Problem { code, severity: Severity::Warning, meaning }
}

/// Every kind, errors first, each by its code.
pub const PROBLEMS: &[Problem] = &[
    error(
        "acme-unheard",
        "A certificate is to be proved by `http-01`, and there is no plain listener to answer on.",
    ),
    error(
        "conflicting-keys",
        "Two keys are there of which only one makes sense, or one has no meaning beside another.",
    ),
    error(
        "duplicate",
        "One address or socket for two listeners, two spellings of one host, or one path or name twice.",
    ),
    error(
        "duplicate-key",
        "A mapping has a key twice; YAML readers differ in which of them holds.",
    ),
    error("empty-list", "Nothing stands where at least one is needed."),
    error(
        "file-too-large",
        "The text is larger than 8 MiB, or its aliases written out have more than a million values.",
    ),
    error("geo-missing", "`geo.required` is set and no database is named."),
    error(
        "inline-secret",
        "A secret, or what may be one, stands in the file itself; its text is never shown.",
    ),
    error("key-not-text", "A key of a mapping is a list or a mapping."),
    error(
        "license-not-embedded",
        "A backend uses the embedded license service, and `license.embedded` is not set.",
    ),
    error("list-cycle", "A list includes itself, straight or by way of others."),
    error(
        "load-test-outside-staging",
        "`load_test` stands in a file whose `environment` is not `staging`: limits are lifted nowhere else.",
    ),
    error("missing-key", "A key without a default is not there."),
    error("not-yaml", "The text is no YAML. Nothing after the mistake is looked at."),
    error("out-of-range", "A duration or size is below or above what is allowed."),
    error(
        "plain-http",
        "Something is fetched over plain HTTP from a host that `egress.plain_http` does not list.",
    ),
    error("several-documents", "A `---` begins a second document."),
    error("socket-path-too-long", "The system allows 107 bytes for the path of a Unix socket."),
    error("tag", "A YAML tag, such as `!!binary`."),
    error(
        "trusts-everyone",
        "A trusted network holds every address, so that any client could forge its own, or lift its limits.",
    ),
    error("unknown-key", "No such key here; a misspelt key is never ignored."),
    error(
        "unknown-name",
        "A backend, policy, provider or list is named that the file does not define.",
    ),
    error("unknown-value", "A word that is none of those that can stand here."),
    error("unknown-version", "The format's version is not the one that this program reads."),
    error(
        "unreadable-file",
        "A file or directory that is named is not there, or cannot be opened, or is no text.",
    ),
    error(
        "unreadable-secret",
        "A secret cannot be had: not there, empty, or a file that others than its owner may touch.",
    ),
    error("wrong-kind", "A list where a mapping belongs, and the like."),
    error("wrong-name", "A name or host name with characters that it cannot have."),
    error(
        "wrong-value",
        "A value that cannot be read: a duration without a unit, an address without a port.",
    ),
    lint(
        "body-not-judged",
        "`oversize: pass` or `log` lets through what follows the inspected start of a body.",
    ),
    lint("body-streamed", "`body: stream`: the origin may see a body before any verdict on it."),
    lint(
        "streamed-body-unsigned",
        "`body: stream` to a backend with `assertion`: it is signed before the body is there, over the hash of none, and a receiver that compares refuses every request with a body.",
    ),
    lint(
        "client-certificates-without-tls",
        "A host asks for client certificates, and a listener without TLS serves it: there every request for it is refused.",
    ),
    lint(
        "license-without-identity",
        "A route takes license requests to a license backend without asking for a token.",
    ),
    lint("metrics-open", "The metrics listener is reachable from other machines."),
    lint("syslog-plain", "Events go to another machine in plain text."),
    lint("no-health", "A backend with several servers does not probe them."),
    lint("no-policy", "No security policy guards a route."),
    lint("no-tls", "Every listener only redirects, so that no host can be reached."),
    lint(
        "per-node-limits",
        "In production: limits are counted, and bans, revocations and API keys held, by each node for itself.",
    ),
    lint("plain-listener", "A listener without TLS has an address that other networks may reach."),
    lint("plain-upstream", "Requests to a server with a public address travel in plain text."),
    lint(
        "unused",
        "A backend, policy or provider that no route uses, or an embedded license service without a backend.",
    ),
];
