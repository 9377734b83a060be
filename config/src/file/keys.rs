//! The table of every key: what decoding accepts, what its default is, and what the documentation says.

/// One kind of mapping in the file.
#[derive(Debug)]
pub struct Section {
    /// Where it stands, such as `backends.<id>`; empty for the whole file.
    pub path: &'static str,
    /// What it decides.
    pub doc: &'static str,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key],
}

/// One key of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What is written there, in words.
    pub kind: &'static str,
    /// What holds when the key is not there.
    pub absent: Absent,
    /// What it decides.
    pub doc: &'static str,
}

/// What holds when a key is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// The file is refused.
    Refused,
    /// As if this text were written there.
    Default(&'static str),
    /// What the text says in words.
    Means(&'static str),
}

impl Section {
    /// Returns the row of `name`.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const fn must(name: &'static str, kind: &'static str, doc: &'static str) -> Key {
    Key { name, kind, absent: Absent::Refused, doc }
}

const fn or(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, kind, absent: Absent::Default(default), doc }
}

const fn may(
    name: &'static str,
    kind: &'static str,
    absent: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, kind, absent: Absent::Means(absent), doc }
}

/// Every section, in the order of the documentation.
pub const SECTIONS: &[&Section] = &[
    &ROOT,
    &ADMIN,
    &LISTENER,
    &TLS,
    &CERTIFICATE,
    &ACME,
    &SESSION_TICKETS,
    &GEO,
    &LIST,
    &BANS,
    &INCIDENTS,
    &RESPONSE,
    &NOTIFIER,
    &HEARTBEAT,
    &EGRESS,
    &RULESET,
    &POLICY,
    &IDENTITY,
    &ASSERTION,
    &OWNED_OBJECT,
    &PROVIDER,
    &CERTIFICATE_CLIENT,
    &BACKEND,
    &BACKEND_SERVER,
    &UPSTREAM_TLS,
    &HEALTH,
    &OUTLIERS,
    &RETRIES,
    &CAPACITY,
    &WEBSOCKET,
    &GRPC,
    &HOST,
    &CLIENT_CERTIFICATES,
    &LOGIN,
    &ROUTE,
    &REQUIRED_IDENTITY,
    &TENANT_PLACES,
    &SIGN_IN,
    &LICENSE_CALL,
    &CORS,
    &CSRF,
    &COOKIES,
    &BODY,
    &ANSWER_INSPECTION,
    &ANSWER_HEADERS,
    &REDIRECT,
    &HEADERS,
    &HEADER_PROFILE,
    &LOAD_TEST,
    &LOG,
    &KEEP,
    &EVENT_SINK,
    &CAPTURE,
    &LICENSE,
    &LIMITS,
];

/// The whole file.
pub const ROOT: Section = Section {
    path: "",
    doc: "The whole file.",
    keys: &[
        must("version", "`1`", "The version of the format."),
        must(
            "environment",
            "`development`, `staging` or `production`",
            "What the deployment is for.",
        ),
        must(
            "state_dir",
            "path",
            "The directory for bans, fetched lists, ordered certificates, keys made here and the embedded license service's database.",
        ),
        may(
            "workers",
            "number, 1 to 1024",
            "as many as there are processors, or as many as the process may use",
            "The threads that serve. It changes with a restart or `portcullis upgrade`; nothing in the environment changes it.",
        ),
        must("admin", "mapping", "How operators reach the process."),
        must("listeners", "list of mappings", "Where clients connect."),
        may(
            "session_tickets",
            "mapping",
            "the defaults below: keys that this process draws",
            "What tickets for the resumption of TLS sessions are sealed with.",
        ),
        may(
            "trusted_hops",
            "list of networks",
            "none: the peer is the client",
            "Networks whose word about a client's address is believed, read from the right.",
        ),
        or(
            "client_address_header",
            "header name",
            "X-Forwarded-For",
            "The header that trusted hops are believed by: `X-Forwarded-For`, `Forwarded` (RFC 7239), or another that lists addresses as `X-Forwarded-For` does. No other is read, and origins get `X-Forwarded-For` anew.",
        ),
        may("geo", "mapping", "no database", "The geo databases."),
        may(
            "lists",
            "mapping by name",
            "none",
            "Lists of addresses, by the name that policies ask for: address groups, `iplist-…` feeds, `sourceiplist-…` lists.",
        ),
        may("bans", "mapping", "nobody is spared", "Whom no ban is placed on."),
        may(
            "incidents",
            "mapping",
            "the defaults below",
            "What is done about incidents. `docs/incidents.md` tells what they are.",
        ),
        may(
            "egress",
            "mapping",
            "public addresses over HTTPS only",
            "Where the edge itself may connect to fetch lists and keys, and to order certificates.",
        ),
        may("rulesets", "mapping by name", "none", "WAF rule sets."),
        may("policies", "mapping by id", "none", "Security policies."),
        may(
            "tests",
            "list of paths",
            "none",
            "Files of cases as `portcullis test` takes them, whose `config` is this file or whose `policy` is a file of `policies`. `check` and every reload run them; a reload with a failing case is refused, a start warns. They have 30 s.",
        ),
        may("identity", "mapping", "no providers", "Who vouches for callers."),
        must("backends", "mapping by id", "Origins."),
        must(
            "hosts",
            "mapping by host name",
            "Hosts that are served; requests for any other are refused.",
        ),
        may("headers", "mapping", "`{ profile: api }`", "Response headers set on every answer."),
        may(
            "load_test",
            "mapping",
            "nothing lifts limits",
            "Who may load-test past the limits. Only with `environment: staging`.",
        ),
        may("log", "mapping", "everything to standard output", "Where the logs go."),
        may("license", "mapping", "`{ embedded: false }`", "The license service in this process."),
        may(
            "limits",
            "mapping",
            "the defaults below",
            "Caps on everything that a client can grow.",
        ),
    ],
};

/// `admin`
pub const ADMIN: Section = Section {
    path: "admin",
    doc: "How operators reach the process.",
    keys: &[
        must(
            "socket",
            "path",
            "The Unix socket of the command line, made with mode 0600; at most 107 bytes.",
        ),
        may(
            "metrics",
            "address:port",
            "no metrics listener",
            "The plain, read-only listener of `/metrics`.",
        ),
    ],
};

/// `listeners[]`
pub const LISTENER: Section = Section {
    path: "listeners[]",
    doc: "One listening address: `tls`, `plain` or `redirect_to_https`.",
    keys: &[
        must("address", "address:port", "Where to listen, such as `0.0.0.0:443` or `[::]:443`."),
        may("tls", "mapping", "not a TLS listener", "HTTP/2 and HTTP/1.1 over TLS."),
        may(
            "plain",
            "`true`",
            "not a plain listener",
            "HTTP/1.1 without TLS, for a balancer in front that ends TLS. Bind it where nobody else reaches it.",
        ),
        or(
            "backlog",
            "number, 1 to 65535",
            "1024",
            "Connections that the system holds until they are accepted.",
        ),
        or(
            "reuse_port",
            "`true` or `false`",
            "false",
            "Whether other processes of the same user may listen on the same address (`SO_REUSEPORT`).",
        ),
        may(
            "proxy_protocol",
            "list of networks",
            "nobody's connection begins with a header",
            "Networks of balancers whose connections begin with a header of the PROXY protocol (v1 or v2), which names the client. From there a connection without one is closed; from elsewhere one with it is.",
        ),
        or(
            "tcp_keepalive",
            "duration, 1s to 1h",
            "60s",
            "After how much silence the system asks whether the other end is still there; after three unanswered questions the connection is gone.",
        ),
        may(
            "redirect_to_https",
            "`308`",
            "not a redirecting listener",
            "Plain HTTP that answers nothing but this redirect to the same host and target under `https`.",
        ),
    ],
};

/// `listeners[].tls`
pub const TLS: Section = Section {
    path: "listeners[].tls",
    doc: "TLS of one listener.",
    keys: &[
        may(
            "versions",
            "list of `\"1.2\"`, `\"1.3\"`",
            "`[\"1.3\"]`",
            "The protocol versions that are offered: 1.3, or both.",
        ),
        must(
            "certificates",
            "list of mappings",
            "Certificates, chosen by the name the client asks for; the first serves a client that names none. Several may be for one name: one of an elliptic-curve key is shown before one of an RSA key, to every client that can check its signatures.",
        ),
    ],
};

/// `listeners[].tls.certificates[]`
pub const CERTIFICATE: Section = Section {
    path: "listeners[].tls.certificates[]",
    doc: "A certificate with its key: from files (`cert` and `key`), or ordered by this process (`acme`).",
    keys: &[
        may(
            "cert",
            "`file:PATH` or `credential:NAME`",
            "needed without `acme`",
            "The certificate chain in PEM, leaf first.",
        ),
        may("key", "secret", "needed beside `cert`", "The private key in PEM."),
        may(
            "acme",
            "mapping",
            "nothing is ordered",
            "The certificate is ordered from an authority by ACME (RFC 8555), kept in `state_dir`, and renewed.",
        ),
        may(
            "ocsp",
            "`file:PATH` or `credential:NAME`",
            "nothing is stapled",
            "An OCSP response for the certificate, in DER (RFC 6960), as `openssl ocsp -respout` writes it. It is stapled until its `nextUpdate` and left out after it, which `edge_ocsp_staples_left_out_total` counts and `edge_ocsp_staple_next_update_timestamp_seconds` tells before; one that does not say `good` is never sent. A new file is taken at once. Its signature is the client's to verify.",
        ),
    ],
};

/// `listeners[].tls.certificates[].acme`
pub const ACME: Section = Section {
    path: "listeners[].tls.certificates[].acme",
    doc: "A certificate that this process orders by ACME (RFC 8555). Account and certificate are kept in `state_dir/acme` with mode 0600. It is renewed at two thirds of its lifetime and up to a 24th of it later; after a failure it is tried again after 5 minutes, then after twice as long each time, up to 12 hours, and the last good certificate is served meanwhile; a restart tries at once. Until the first one is there, its names are answered with the listener's first certificate, and the handshake is refused where there is no other: a self-signed one would be refused by clients as well, and learnt by the careless. The directory is asked by the rules of `egress`, so an authority of one's own needs its network in `egress.networks` and its root in `egress.ca`. Two with the same names and directory are one, ordered as the first says.",
    keys: &[
        must(
            "names",
            "list of DNS names, at most 100",
            "What the certificate is for. Patterns (`*.example.com`) and addresses cannot be proved by these challenges.",
        ),
        must(
            "directory",
            "URL, `https://` only",
            "The authority's directory, such as `https://acme-v02.api.letsencrypt.org/directory`.",
        ),
        must(
            "terms_agreed",
            "`true`",
            "That the authority's terms of service are agreed to, which it asks for with the account.",
        ),
        may(
            "contact",
            "list of mail addresses",
            "none is given",
            "Whom the authority may write to. Other addresses make another account.",
        ),
        or(
            "challenge",
            "`tls-alpn-01` or `http-01`",
            "tls-alpn-01",
            "How the names are proved: `tls-alpn-01` (RFC 8737) on a TLS listener that the authority reaches on port 443, `http-01` on a plain or redirecting listener that it reaches on port 80.",
        ),
    ],
};

/// `session_tickets`
pub const SESSION_TICKETS: Section = Section {
    path: "session_tickets",
    doc: "The tickets by which clients resume TLS sessions. Each is sealed with the key of an interval (AES-256-GCM-SIV), and opens for `lifetime` after it: one that does not open costs a full handshake and nothing else. All of this changes with a reload.",
    keys: &[
        may(
            "keys",
            "secret",
            "each interval has a key drawn here, which `portcullis upgrade` hands on and a restart forgets",
            "The secrets of `portcullis tls ticket-key FILE`, from which the key of each interval is derived: nodes with the same file and the same `rotate` open each other's tickets. The first line seals, the others only open: a change of the file is taken at once, and a line that leaves it opens nothing any more. Who has read the file can open every ticket of its lines: exchange it as often as that matters to you (with TLS 1.3 a ticket opens no recorded traffic; with TLS 1.2 it does).",
        ),
        or(
            "rotate",
            "duration, 5m to 7d",
            "1h",
            "How long one key seals. Intervals begin at whole multiples, by UTC.",
        ),
        or(
            "lifetime",
            "duration, 5m to 7d",
            "12h",
            "How long a ticket opens at least, and what clients are told; at most `rotate` more. No more than 24 times `rotate` (RFC 8446, section 4.6.1, bounds it to 7 days).",
        ),
    ],
};

/// `geo`
pub const GEO: Section = Section {
    path: "geo",
    doc: "The geo databases. A new file is taken as soon as it is there; one that cannot be read changes nothing.",
    keys: &[
        may(
            "country",
            "path",
            "no database: rules that ask for a region are inactive",
            "A country or city database in MaxMind's format, or text ranges of IPv4 as in Debian's `tor-geoipdb` (`/usr/share/tor/geoip`).",
        ),
        may(
            "country_ipv6",
            "path",
            "none: with text ranges, IPv6 addresses have no country",
            "The IPv6 half of a country database in text ranges (`/usr/share/tor/geoip6`).",
        ),
        may(
            "asn",
            "path",
            "no database: rules that ask for a network's number are inactive",
            "A database of autonomous systems in MaxMind's format.",
        ),
        or(
            "required",
            "`true` or `false`",
            "false",
            "Whether a policy that asks for what no database answers is refused.",
        ),
    ],
};

/// `lists.<name>`
pub const LIST: Section = Section {
    path: "lists.<name>",
    doc: "A list of addresses and networks: either `file`, `url` or `include`. The format is seen from the content: text with one address or network per line (`#` and `;` start a comment), or JSON whose strings are taken wherever they are networks.",
    keys: &[
        may("file", "path", "not a file", "A file, taken again as soon as it changes."),
        may(
            "url",
            "URL",
            "not fetched",
            "Where it is fetched from. An answer that is no list, empty, cut off, or less than half of what was there changes nothing: the last good copy stands, also after a restart.",
        ),
        may(
            "include",
            "list of names in `lists`",
            "not composed",
            "The lists whose addresses are in this one.",
        ),
        or("refresh", "duration, 1m to 30d", "1h", "How often a `url` is fetched."),
        or(
            "max_age",
            "duration, 1m to 365d",
            "7d",
            "How old the copy of a `url` may become before it is stale; from then on a much shorter list is believed too.",
        ),
        or(
            "stale",
            "`keep` or `empty`",
            "keep",
            "What a stale copy is worth: it is kept, or the list is empty until it is fetched again.",
        ),
        or(
            "required",
            "`true` or `false`",
            "false",
            "Whether the configuration is refused before a first copy is there; otherwise the list is empty until then.",
        ),
    ],
};

/// `bans`
pub const BANS: Section = Section {
    path: "bans",
    doc: "Whom no ban is placed on.",
    keys: &[may(
        "allow",
        "list of names in `lists`",
        "nobody",
        "Lists whose addresses are never banned; bans that stand on them end at once. Policies apply to them all the same.",
    )],
};

/// `incidents`
pub const INCIDENTS: Section = Section {
    path: "incidents",
    doc: "What is done about incidents by itself. Each response ends by itself, is in the audit file and the incident's timeline, and is taken back by `portcullis incidents undo`. Whom `bans.allow` or `portcullis allow add` names, and every one of `trusted_hops`, no response touches.",
    keys: &[
        or(
            "dry_run",
            "`true` or `false`",
            "false",
            "Whether responses are only written down: what would be done, and why not.",
        ),
        or("respond_for", "duration, 1m to 7d", "1h", "How long a response lasts."),
        or(
            "limited_to",
            "number, 1 to 100000",
            "10",
            "Requests a minute of a user or a source that is limited.",
        ),
        or(
            "raised_to",
            "number, 1 to 100000",
            "60",
            "Requests a minute of each client on a route whose protection is raised.",
        ),
        or(
            "breach_objects",
            "number, 1 to 64",
            "3",
            "Objects of other tenants that a user must have asked for, by no other site's doing, before they are suspended.",
        ),
        or("responses_max", "number, 1 to 10000", "100", "Responses in ten minutes."),
        or(
            "learn",
            "duration, 0s to 1h",
            "1m",
            "How long after a start no source is banned: nobody knows yet whose valid sessions share one.",
        ),
        may(
            "responses",
            "list of mappings",
            "the table in `docs/incidents.md`",
            "What is done, in place of the usual for the categories that are named.",
        ),
        may(
            "scenarios",
            "path",
            "the built-in ones alone",
            "A folder of scenarios, one YAML file each, beside the built-in ones; one of the same name takes its place. `portcullis test FILE` runs the tests that it brings, and a configuration with a failing one is refused.",
        ),
        may(
            "runbooks",
            "URL that ends with `/`",
            "no link",
            "Where the pages of `docs/runbooks` stand, for links in what people are told.",
        ),
        may(
            "exits",
            "list of networks and of `AS64500`",
            "none",
            "Where many people come out, such as your own VPN: what a database says of its place says nothing of where they are.",
        ),
        may(
            "alerts_key",
            "secret",
            "alerts are taken on the admin socket only",
            "The bearer token with which Alertmanager posts alerts to `/alerts` of `admin.metrics` (docs/incidents.md).",
        ),
        may("notifiers", "mapping by name", "nobody is told", "Who is told of incidents, and how."),
        may(
            "heartbeat",
            "mapping",
            "none",
            "A dead man's switch: a service that is asked regularly tells somebody when that ends.",
        ),
    ],
};

/// One of `incidents.notifiers`
pub const NOTIFIER: Section = Section {
    path: "incidents.notifiers.<name>",
    doc: "Who is told of incidents. What is told waits on disk until it is delivered: a failure is tried again, less and less often, and told to the fallback. Everything goes out through the guard of `egress`.",
    keys: &[
        must(
            "kind",
            "`pagerduty`, `slack`, `webhook` or `smtp`",
            "PagerDuty's Events API v2, an incoming webhook of Slack, a signed webhook (Standard Webhooks 1.0), or mail (always with STARTTLS).",
        ),
        may(
            "for",
            "list of `P0` to `P3`",
            "`pagerduty` P0 and P1, `slack` P2, `smtp` P0 and P3, `webhook` all",
            "The priorities that it is told of. Whoever was told that something began is told of its end.",
        ),
        may(
            "key",
            "secret",
            "refused, but for `smtp` without `user`",
            "PagerDuty's routing key; Slack's whole URL; keys of a webhook, `whsec_` and base64, one per line, of which each signs; the password of `smtp`.",
        ),
        may(
            "url",
            "URL",
            "PagerDuty's; refused for `webhook`",
            "Where `pagerduty` and `webhook` are sent.",
        ),
        may("server", "`HOST:PORT`", "refused for `smtp`", "The server of `smtp`."),
        may("from", "address", "refused for `smtp`", "Who sends mail."),
        may("to", "list of addresses", "refused for `smtp`", "Who gets mail."),
        may("user", "text", "nobody signs in", "Who signs in at the server of `smtp`."),
        or(
            "digest",
            "duration, 1m to 24h",
            "4h",
            "How long mails about P3 are collected for. The others are sent at once.",
        ),
        or("rate", "number, 1 to 600", "30", "Messages a minute; further ones wait."),
        may(
            "fallback",
            "name in `notifiers`",
            "none",
            "Who is told as well where this one refuses, or fails three times.",
        ),
    ],
};

/// `incidents.heartbeat`
pub const HEARTBEAT: Section = Section {
    path: "incidents.heartbeat",
    doc: "A dead man's switch, asked with `POST` as long as the incident desk works.",
    keys: &[
        must("url", "URL", "What is asked."),
        or("every", "duration, 10s to 1h", "1m", "How often."),
    ],
};

/// One of `incidents.responses`
pub const RESPONSE: Section = Section {
    path: "incidents.responses[]",
    doc: "What is done about incidents of one category. No signature of the WAF bans a source or suspends a user, whatever is written here, and no source is banned that several users share.",
    keys: &[
        must("category", "category of events", "Whose incidents."),
        or("at", "`P0` to `P3`", "P3", "From which priority on."),
        must(
            "actions",
            "list of `ban`, `ban_fingerprint`, `limit`, `revoke`, `suspend`, `release`, `lockdown`, `raise`, `enforce`, `evidence`",
            "What is done, in this order. An empty list does nothing.",
        ),
    ],
};

/// `egress`
pub const EGRESS: Section = Section {
    path: "egress",
    doc: "Where the edge itself may connect to fetch something. Redirects are never followed.",
    keys: &[
        may(
            "networks",
            "list of networks",
            "public addresses only",
            "Private, loopback, link-local and metadata addresses that may be connected to all the same.",
        ),
        may(
            "plain_http",
            "list of host names",
            "none: HTTPS only",
            "Hosts that may be asked over plain HTTP.",
        ),
        may(
            "ca",
            "`file:PATH` or `credential:NAME`",
            "the system's authorities",
            "The authorities that are trusted in place of the system's, in PEM.",
        ),
    ],
};

/// `rulesets.<name>`
pub const RULESET: Section = Section {
    path: "rulesets.<name>",
    doc: "A WAF rule set: either `crs` or `builtin`.",
    keys: &[
        may("crs", "path", "not a CRS", "The directory of an OWASP CRS, 3.3 or 4."),
        may("builtin", "`core`", "not built in", "A rule set that is part of the binary."),
    ],
};

/// `policies.<id>`
pub const POLICY: Section = Section {
    path: "policies.<id>",
    doc: "A security policy: either `file` or `builtin`.",
    keys: &[
        may("file", "path", "not a file", "A policy in Cloud Armor's format, YAML or JSON."),
        may("builtin", "`license-api`", "not built in", "A policy that is part of the binary."),
    ],
};

/// `identity`
pub const IDENTITY: Section = Section {
    path: "identity",
    doc: "Who vouches for callers, and how the edge vouches for them inward.",
    keys: &[
        may("providers", "mapping by id", "none", "Issuers of tokens."),
        may(
            "assertion",
            "mapping",
            "a key made on the first start",
            "The edge's own signed assertion to backends with `assertion: true`.",
        ),
        may(
            "claim_headers",
            "mapping of headers to claim paths",
            "none",
            "Headers that tell origins of claims: text as it is, the items of a list with commas between; everything but plain ASCII, and commas and percent signs, escaped as `%2C`. A claim that is not there, an object, and what is above 4 KiB are left out. What clients send under these names, in any spelling, is taken away on every route.",
        ),
        may(
            "owners",
            "mapping by kind",
            "none",
            "Objects that belong to a tenant, such as sessions. Routes name them in `identity.owners`.",
        ),
        may(
            "revocations",
            "path",
            "none but those of `portcullis token revoke`",
            "A file of what is revoked, taken again as soon as it changes: one a line, `subject:PROVIDER/NAME`, `tenant:NAME`, `token:PROVIDER/ID`, `key:PROVIDER/ID` or `provider:NAME`, each with ` before 2026-01-31T12:00:00Z` behind it where only what was issued before that is meant. At most 1,000,000.",
        ),
    ],
};

/// `identity.assertion`
pub const ASSERTION: Section = Section {
    path: "identity.assertion",
    doc: "The edge's own signed assertion of who calls.",
    keys: &[
        may(
            "key",
            "secret",
            "made on the first start and kept as `edge-assertion.key` in `state_dir`",
            "The Ed25519 key in PKCS#8 PEM.",
        ),
        may(
            "jwks",
            "path",
            "`edge-keys.json` in `state_dir`",
            "The JWKS file that the edge writes its public keys to, for the backends to read.",
        ),
    ],
};

/// `identity.owners.<kind>`
pub const OWNED_OBJECT: Section = Section {
    path: "identity.owners.<kind>",
    doc: "An object that belongs to a tenant. Whose it is is learnt from good answers (2xx, JSON, up to 16 KiB) to the tenant's own requests, and remembered for 24 hours; the first tenant that it is seen with keeps it. A request of another tenant that names it is refused.",
    keys: &[
        must(
            "answer",
            "dotted path",
            "Where answers name it, such as `session_id`; lists on the way are gone through.",
        ),
        may("path", "path with one `{id}`", "not there", ID_PATH),
        may("query", "name", "not there", ID_QUERY),
        may("header", "name", "not there", ID_HEADER),
        may("body", "dotted path", "not there", ID_BODY),
    ],
};

/// `identity.providers.<id>`
pub const PROVIDER: Section = Section {
    path: "identity.providers.<id>",
    doc: "An issuer of tokens. `kind: static` has its keys in a file: either `jwks` or `pem`. `kind: identity_platform` is a project of Google Identity Platform: `project` decides issuer and audience, and its rules are Google's. `kind: oidc` is any issuer with OpenID Connect Discovery. Keys of these two are fetched by the rules of `egress`, renewed as the answer's `Cache-Control` or `Expires` says (at least once every 6 hours, at most once a minute, and soon after a token names a key that is not known), and kept in `state_dir/keys` for a start without the issuer. A new key is used without a reload. `kind: hmac` shares secrets with its issuer: whoever has one can sign tokens, so prefer the others where there is a choice. `kind: api_keys` are keys that `portcullis key issue` makes. `kind: certificates` are clients by the certificates that they show, on hosts with `client_certificates`.",
    keys: &[
        must(
            "kind",
            "`static`, `identity_platform`, `oidc`, `hmac`, `api_keys` or `certificates`",
            "What it is.",
        ),
        may(
            "issuer",
            "text",
            "refused for `static`, `oidc` and `hmac`",
            "The exact `iss` of its tokens.",
        ),
        may(
            "audience",
            "text",
            "refused for `static`, `oidc` and `hmac`",
            "The `aud` that its tokens must hold.",
        ),
        may(
            "algorithms",
            "list of `RS256` `RS384` `RS512` `PS256` `PS384` `PS512` `ES256` `ES384` `EdDSA`",
            "refused for `static` and `oidc`",
            "The signature algorithms that are accepted.",
        ),
        may("jwks", "path", "not a JWKS", "A file with its public keys as a JWK set."),
        may("pem", "path", "not PEM", "A file with its one public key in PEM."),
        may(
            "secrets",
            "secret",
            "refused for `hmac`",
            "Its secrets: a JWK set of `oct` keys, each with `kid`, `k` and one of `HS256` `HS384` `HS512` as `alg`, and at least as long as that hash. `portcullis token hmac-key FILE` makes such a file, and puts a new secret into it; the edge takes it as it is written. Several overlap while they are exchanged: a token names its own by `kid`, and may leave it out only where there is one.",
        ),
        may(
            "project",
            "text",
            "refused for `identity_platform`",
            "The project's id: the audience, and the end of the issuer.",
        ),
        may(
            "keys_url",
            "URL",
            "Google's, for `identity_platform`",
            "Where the keys of an `identity_platform` are fetched from: a map of ids to certificates, or a JWK set.",
        ),
        may(
            "discovery_url",
            "URL",
            "the `issuer` with `/.well-known/openid-configuration`, for `oidc`",
            "Where the discovery document of an `oidc` issuer is. Its `issuer` has to be the configured one, letter by letter.",
        ),
        or(
            "max_age",
            "duration, 10m to 30d",
            "24h",
            "How long a fetched key set is used after it was last fetched. From then on its tokens are answered 503 until the issuer is there again.",
        ),
        may(
            "tenant_claim",
            "list of claim paths",
            "`[tenant_id]`; for `identity_platform` `[firebase.tenant, tenant_id]`",
            "Where the tenant is in the claims: the first path that is there, such as `firebase.tenant`; a dot inside of a name is written `\\.`.",
        ),
        may("roles_claim", "claim path", "no roles", "Where the roles are in the claims."),
        may(
            "scopes_claim",
            "list of claim paths",
            "`[scope, scp]`",
            "Where the scopes are in the claims: the first path that is there, a list of texts or one text with spaces between.",
        ),
        or(
            "leeway",
            "duration, 0s to 60s",
            "30s",
            "How far the clocks of issuer and edge may be apart.",
        ),
        or(
            "max_lifetime",
            "duration, 1m to 30d",
            "24h",
            "The longest time from `iat` to `exp` that is accepted; an hour for `identity_platform`.",
        ),
        may(
            "header",
            "name that begins with `X-`",
            "`X-Api-Key`, for `api_keys`",
            "The header that carries a key. Origins do not see it.",
        ),
        may(
            "clients",
            "list of mappings",
            "refused for `certificates`",
            "Who shows which certificate.",
        ),
    ],
};

/// `identity.providers.<id>.clients[]`
pub const CERTIFICATE_CLIENT: Section = Section {
    path: "identity.providers.<id>.clients[]",
    doc: "Who shows a certificate. A certificate that is of several clients is ambiguous, and refused.",
    keys: &[
        must(
            "certificate",
            "`uri:…`, `dns:…`, `email:…`, `ip:…` or `sha256:…`",
            "One of its alternative names with its kind, or its SHA-256 in 64 hexadecimal digits.",
        ),
        must("tenant", "text", "The tenant that it speaks for."),
        must("subject", "text", "The subject that it is."),
        may("roles", "list of roles", "none", "Its roles."),
        may("scopes", "list of scopes", "none", "Its scopes."),
    ],
};

/// `backends.<id>`
pub const BACKEND: Section = Section {
    path: "backends.<id>",
    doc: "An origin with its servers.",
    keys: &[
        must(
            "servers",
            "list of `address:port`, `name:port`, `unix:PATH`, `embedded` or mappings",
            "Its servers; `embedded` is the license service in this process. Names are resolved in the background, every 30 seconds; a name that no longer resolves keeps its last addresses.",
        ),
        may(
            "policy",
            "policy id",
            "no policy, and a warning",
            "The security policy of its routes, unless a route names another.",
        ),
        or(
            "protocol",
            "`http1` or `http2`",
            "http1",
            "What its servers speak; HTTP/2 without `tls` is spoken by prior knowledge.",
        ),
        may(
            "tls",
            "mapping",
            "plain text",
            "TLS to its servers; their certificates are always verified. `{}` takes every default.",
        ),
        or(
            "balance",
            "`round_robin` or `least_connections`",
            "round_robin",
            "Which server is asked next: each in turn, or the one with the fewest requests in work; both in proportion to the weights.",
        ),
        may(
            "affinity",
            "`client_ip`, `path` or `header:NAME`",
            "none",
            "What keeps requests with one server while it is up (a consistent hash). A request without the header goes by `balance`.",
        ),
        or(
            "timeout",
            "duration, 1s to 24h",
            "30s",
            "How long an answer may take in all, further tries included. It is looked at with each part of the answer that comes, so a server that falls silent within its answer is left after `read_timeout`.",
        ),
        or(
            "connect_timeout",
            "duration, 10ms to 5m",
            "5s",
            "How long a connection to a server may take to stand, with its TLS handshake.",
        ),
        may(
            "read_timeout",
            "duration, 100ms to 24h",
            "`timeout`",
            "How long a server may be silent.",
        ),
        may(
            "write_timeout",
            "duration, 100ms to 24h",
            "`timeout`",
            "How long a server may take to read a part of a request.",
        ),
        or(
            "drain",
            "duration, 0s to 1h",
            "60s",
            "How long running requests get when a server is taken out or the process stops.",
        ),
        may(
            "health",
            "mapping",
            "no probes: every server counts as healthy",
            "How its servers are probed.",
        ),
        may(
            "outliers",
            "mapping",
            "no server is left out for its failures",
            "When a server that fails requests is left out for a while. `{}` takes every default.",
        ),
        may(
            "slow_start",
            "duration, 1s to 1h",
            "at once",
            "How long a server that comes back takes from a tenth of its share to the whole.",
        ),
        may(
            "retries",
            "mapping",
            "the defaults below",
            "How often a request that failed is sent to another server: one that no server has seen, or one whose method may be repeated (RFC 9110, section 9.2.2).",
        ),
        may(
            "capacity",
            "mapping",
            "no bound",
            "How many requests it may have in work; one more is answered 503 with `Retry-After`.",
        ),
        may("websocket", "mapping", "upgrades are refused with 501", "Upgrades to WebSocket."),
        may(
            "grpc",
            "mapping",
            "not gRPC",
            "Its requests are gRPC: HTTP/2 on both sides (`protocol: http2`), bodies and trailers pass as they come; anything else is answered 415.",
        ),
        may(
            "assertion",
            "`true` or `false`",
            "`true` with the `embedded` server, else `false`",
            "Whether each request carries the edge's signed assertion of who calls.",
        ),
        may(
            "no_store",
            "`true` or `false`",
            "`true` with the `embedded` server, else `false`",
            "Whether its answers are sent with `Cache-Control: no-store`.",
        ),
    ],
};

/// `backends.<id>.servers[]`
pub const BACKEND_SERVER: Section = Section {
    path: "backends.<id>.servers[]",
    doc: "A server with its weight; one that is written without a mapping has the weight 1.",
    keys: &[
        must("server", "as in `servers`", "Where it is."),
        or("weight", "number, 1 to 100", "1", "Its share, in proportion to the others'."),
    ],
};

/// `backends.<id>.tls`
pub const UPSTREAM_TLS: Section = Section {
    path: "backends.<id>.tls",
    doc: "TLS to the servers of a backend: 1.3 or 1.2, with verified certificates.",
    keys: &[
        may(
            "name",
            "host name",
            "each server's own name or address",
            "The name that is asked for and that the certificate must be for.",
        ),
        may(
            "ca",
            "`file:PATH` or `credential:NAME`",
            "those that the system believes",
            "Whose certificates are believed, in PEM.",
        ),
        may(
            "cert",
            "`file:PATH` or `credential:NAME`",
            "no client certificate",
            "The certificate that the edge shows, in PEM, leaf first; with `key`.",
        ),
        may("key", "secret", "no client certificate", "Its private key in PEM."),
    ],
};

/// `backends.<id>.outliers`
pub const OUTLIERS: Section = Section {
    path: "backends.<id>.outliers",
    doc: "When a server that fails requests is left out: a connection that fails or breaks off, a timeout, or 502, 503 or 504.",
    keys: &[
        or("failures", "number, 1 to 1000", "5", "Failures in a row until it is left out."),
        or(
            "eject",
            "duration, 1s to 1h",
            "30s",
            "For how long, the first time; each further time is longer by as much, up to ten times.",
        ),
        or(
            "max_percent",
            "number, 1 to 100",
            "50",
            "How many of the backend's servers may be left out at one time, in percent.",
        ),
    ],
};

/// `backends.<id>.retries`
pub const RETRIES: Section = Section {
    path: "backends.<id>.retries",
    doc: "How often a request that failed is sent to another server.",
    keys: &[
        or("attempts", "number, 0 to 3", "1", "Further tries of one request."),
        or(
            "budget_percent",
            "number, 0 to 100",
            "20",
            "Further tries of all requests together, in percent of the requests of the last ten seconds; ten a second are always granted.",
        ),
    ],
};

/// `backends.<id>.capacity`
pub const CAPACITY: Section = Section {
    path: "backends.<id>.capacity",
    doc: "How many requests a backend may have in work.",
    keys: &[
        must("in_flight", "number, 1 to 1000000", "Requests in work at one time."),
        or("queue", "number, 0 to 100000", "0", "Requests that wait for one to end."),
        or("queue_timeout", "duration, 10ms to 1m", "1s", "How long one waits; then 503."),
        may(
            "latency_target",
            "duration, 1ms to 1m",
            "`in_flight` holds always",
            "Where the head of an answer takes longer than this, fewer requests are let in, down to a tenth; where it does not, more, up to `in_flight`.",
        ),
    ],
};

/// `backends.<id>.websocket`
pub const WEBSOCKET: Section = Section {
    path: "backends.<id>.websocket",
    doc: "Upgrades to WebSocket. The request for the upgrade goes through policy and identity like any other; what the client sends then is counted.",
    keys: &[
        or("timeout", "duration, 1s to 24h", "24h", "How long a connection may last."),
        or(
            "message",
            "size, 1KiB to 64MiB",
            "1MiB",
            "One message of the client; a larger one ends the connection.",
        ),
        or(
            "messages_per_second",
            "number, 1 to 1000000",
            "100",
            "Messages of the client, control frames included; more end the connection.",
        ),
    ],
};

/// `backends.<id>.grpc`
pub const GRPC: Section = Section {
    path: "backends.<id>.grpc",
    doc: "gRPC over HTTP/2. The bodies of its routes are `stream`.",
    keys: &[
        may(
            "timeout",
            "duration, 1s to 24h",
            "the backend's `timeout`",
            "How long a call may last.",
        ),
        or(
            "message",
            "size, 1KiB to 64MiB",
            "4MiB",
            "One message of the client; a larger one ends the call.",
        ),
        or(
            "messages_per_second",
            "number, 1 to 1000000",
            "1000",
            "Messages of the client; more end the call.",
        ),
    ],
};

/// `backends.<id>.health`
pub const HEALTH: Section = Section {
    path: "backends.<id>.health",
    doc: "How the servers of a backend are probed.",
    keys: &[
        must("path", "path of a URL", "What is asked for with `GET`; 200 is healthy."),
        or("every", "duration, 1s to 1h", "10s", "The time between two probes of one server."),
        or(
            "timeout",
            "duration, 100ms to 5m",
            "5s",
            "How long a probe may take; less than `every`.",
        ),
        or(
            "healthy",
            "number, 1 to 100",
            "2",
            "Good probes in a row until a server is used again.",
        ),
        or(
            "unhealthy",
            "number, 1 to 100",
            "3",
            "Failed probes in a row until a server is left out.",
        ),
    ],
};

/// `hosts.<name>`
pub const HOST: Section = Section {
    path: "hosts.<name>",
    doc: "A host that clients ask for, by its DNS name or its address, without a port. `*.example.com` stands for every name one label below; a name of its own goes before it.",
    keys: &[
        must(
            "routes",
            "list of mappings",
            "Its routes; the longest path that fits is taken, whatever the order.",
        ),
        may(
            "client_certificates",
            "mapping",
            "clients are not asked for a certificate",
            "Mutual TLS of this host.",
        ),
        may(
            "csp_reports",
            "path of a URL",
            "browsers are not asked to report",
            "Where browsers report what a content security policy kept a page from: policies of this host's answers name it (`report-to`, `report-uri`), the edge takes what is sent there (POST, up to 16 KiB), and writes events of the type `csp_violation`, at most 20 in a second.",
        ),
        may(
            "login",
            "mapping",
            "people sign in at the origin, or bring tokens",
            "That people sign in to this host at the edge.",
        ),
    ],
};

/// `hosts.<name>.client_certificates`
pub const CLIENT_CERTIFICATES: Section = Section {
    path: "hosts.<name>.client_certificates",
    doc: "Mutual TLS of one host, for connections whose TLS server name is the host's. A certificate that does not verify (another authority, expired, not for clients) ends the handshake in either mode. Requests for the host on any other connection, for another name, without a name or without TLS, get 421 `client_certificate_required`, and so do those on connections from before these settings, the authorities or their lists changed, and on those whose certificate has expired since. Policies read `origin.tls_client_subject`, `…_issuer`, `…_sha256` and `…_names`. Such connections are never resumed, so that every certificate is verified anew. It changes with a reload.",
    keys: &[
        must(
            "ca",
            "`file:PATH` or `credential:NAME`",
            "The authorities that sign clients' certificates, in PEM. A new file is taken at once.",
        ),
        may(
            "crl",
            "`file:PATH` or `credential:NAME`",
            "no certificate counts as revoked",
            "The revocation lists of the authorities, in PEM. Each certificate of a chain has to be covered by one that is not past its `nextUpdate`: otherwise, as where it is revoked, the handshake fails. A new file is taken at once, and every connection is verified anew.",
        ),
        or(
            "mode",
            "`require` or `request`",
            "require",
            "Whether a client without a certificate gets no connection (`require`), or one whose certificate is `''` for policies (`request`).",
        ),
        may(
            "header",
            "name of a header",
            "origins are not told",
            "The header by which origins are told whose certificate it is: `Hash=…;Subject=\"…\";URI=\"…\";DNS=\"…\"`, as Envoy writes `X-Forwarded-Client-Cert`, up to 4 KiB. What clients send under this name, in any spelling, is taken away before policies look.",
        ),
    ],
};

/// `hosts.<name>.login`
pub const LOGIN: Section = Section {
    path: "hosts.<name>.login",
    doc: "Sign-in of people at the edge (docs/browsers.md): the authorization code flow of OpenID Connect with PKCE. On routes with `identity` that ask for `provider`, who asks for a page without a token is sent to the issuer and comes back with a session, a cookie that the edge alone can read and that origins never get; origins are told of the person as of the bearer of a token. `/.portcullis/callback` (the redirect URI to register, under `https://` and the host) and `/.portcullis/logout` (POST) are the edge's own.",
    keys: &[
        must(
            "provider",
            "id of a provider with `kind: oidc`",
            "Who says who people are. Its `audience` is the client's id.",
        ),
        may(
            "client_secret",
            "secret",
            "a public client: PKCE alone",
            "What the edge proves itself with when it exchanges a code.",
        ),
        must(
            "keys",
            "secret",
            "The file of `portcullis tls ticket-key FILE` whose keys seal the cookies; the first seals, all open. Not the file of `session_tickets.keys`. Nodes with one file know each other's sessions.",
        ),
        or("session", "duration, 5m to 24h", "8h", "How long a session lasts."),
        may("scopes", "list of scopes", "`[email]`", "What is asked for beside `openid`."),
    ],
};

/// `hosts.<name>.routes[]`
pub const ROUTE: Section = Section {
    path: "hosts.<name>.routes[]",
    doc: "Requests under one path: either `backend` with `identity`, or `redirect`.",
    keys: &[
        must(
            "path",
            "path of a URL",
            "The prefix, in whole segments: `/health` is for `/health` and `/health/live`, not for `/healthy`.",
        ),
        or(
            "path_form",
            "`as_sent`, `plain` or `normalized`",
            "as_sent",
            "How paths are read before they are judged and forwarded, in the same bytes. `plain` refuses with 400 what servers read in different ways: dot segments, empty segments, escaped slashes, percent signs and control characters, backslashes, `;` parameters, broken escapes, and what is no UTF-8. `normalized` resolves dot segments, drops empty ones and decodes escapes of letters, digits and `-._~` (RFC 3986, section 6.2.2), and refuses the rest.",
        ),
        may("backend", "backend id", "not forwarded", "Where requests go."),
        may(
            "policy",
            "policy id",
            "the backend's",
            "The security policy in place of the backend's.",
        ),
        may(
            "identity",
            "`none` or a mapping",
            "refused on a route with `backend`",
            "Whose token is asked for; there is no default.",
        ),
        may(
            "headers",
            "`api`, or a key of `headers.profiles`",
            "`headers.profile`",
            "The response headers of its answers, refusals included.",
        ),
        may(
            "cors",
            "mapping",
            "the origin's word stands",
            "Which other origins may read the answers.",
        ),
        may(
            "csrf",
            "mapping",
            "not looked at",
            "That requests which other sites send are refused.",
        ),
        may("cookies", "mapping", "as the origin sets them", "What becomes of cookies."),
        may(
            "sign_in",
            "mapping",
            "not a route on which accounts sign in",
            "That accounts sign in or register here: limits on failures, and events.",
        ),
        may(
            "license_call",
            "mapping",
            "not a route on which license keys are used",
            "Where a request names the license key and the device, for scenarios about abused licenses. Neither is kept: keyed digests stand for them.",
        ),
        may(
            "body",
            "`skip`, `stream` or a mapping",
            "read whole, up to `limits.body`",
            "What is done with the body: `skip` forwards it unread up to `limits.body`; `stream` passes it as it comes, so that the origin may see it before any verdict; a mapping reads it first.",
        ),
        may(
            "response_inspection",
            "`off` or a mapping",
            "off",
            "The rules that judge answers before the client hears anything (SecLang's phases 3 and 4).",
        ),
        may(
            "response_headers",
            "mapping",
            "the profile's alone",
            "Headers set on the origin's answers, and taken away from them.",
        ),
        or(
            "replace_errors",
            "`true` or `false`",
            "false",
            "Whether the body of an origin's error of the 500s is replaced by the edge's own, with the same status.",
        ),
        may("redirect", "mapping", "not redirected", "An answer that sends the client elsewhere."),
    ],
};

/// `hosts.<name>.routes[].identity`
pub const REQUIRED_IDENTITY: Section = Section {
    path: "hosts.<name>.routes[].identity",
    doc: "Whose token is asked for, either `any` or `all`, and what it must grant. A token that does not is answered 403 `insufficient_scope` (RFC 6750, section 3.1).",
    keys: &[
        may("any", "list of provider ids", "not this way", "A valid token of one of these."),
        may("all", "list of provider ids", "not this way", "A valid token of each of these."),
        may("scopes", "list of scopes", "none is asked for", "The token must have every one."),
        may("roles", "list of roles", "none is asked for", "The token must have one of them."),
        may(
            "tenant",
            "mapping",
            "not compared",
            "Where requests name a tenant. What is there must be the token's, or the answer is 403 `tenant_access_denied`.",
        ),
        may(
            "owners",
            "list of kinds of `identity.owners`",
            "nothing is learnt or compared",
            "The objects that answers of this route tell the owner of, and that requests must not name where they are another tenant's: 403 `tenant_access_denied` too. Name it on routes whose answers hold objects of the caller only.",
        ),
    ],
};

/// `hosts.<name>.routes[].identity.tenant`
pub const TENANT_PLACES: Section = Section {
    path: "hosts.<name>.routes[].identity.tenant",
    doc: "Where requests name a tenant; what is in a place must be the token's tenant, and a place that is not there is nothing. Every reading of a place is compared: escapes, repeated parameters and members, headers in every spelling.",
    keys: &[
        or(
            "host",
            "`true` or `false`",
            "false",
            "The label in place of the `*` of the host's name.",
        ),
        may("path", "path with one `{id}`", "not there", ID_PATH),
        may("query", "name", "not there", ID_QUERY),
        may("header", "name", "not there", ID_HEADER),
        may("body", "dotted path", "not there", ID_BODY),
    ],
};

const ID_PATH: &str =
    "The beginning of a path, in whole segments: `{id}` is the id, `*` any one segment.";
const ID_QUERY: &str = "A parameter of the query.";
const ID_HEADER: &str = "A header.";
const ID_BODY: &str = "A member of a JSON body, or a field of a form, such as `org.id`; lists on the way are gone through. The body is read, and one that is neither is answered 415, one that is broken 400.";

/// `hosts.<name>.routes[].sign_in`
pub const SIGN_IN: Section = Section {
    path: "hosts.<name>.routes[].sign_in",
    doc: "A route on which accounts sign in, are made, or change their password (docs/browsers.md). Failures are counted from the origin's answers, for each account and each address; every request but GET, HEAD and OPTIONS is an attempt, and one that names no account, or names it twice, is 400. An attempt counts as failed until the origin's answer is there. Routes to one backend share their counts. `X-Load-Test-Bypass` lifts nothing here.",
    keys: &[
        must("kind", "`sign_in`, `registration` or `password_change`", "What the route is for."),
        may(
            "account",
            "list of `json:NAME.NAME` and `form:NAME`",
            "with `password_change` the token's subject; otherwise refused",
            "Where a request names the account; the first that is there counts. Names are compared trimmed and in lower case.",
        ),
        or(
            "failed",
            "status, or list of them",
            "401",
            "The statuses by which the origin says that it failed.",
        ),
        or(
            "succeeded",
            "status, or list of them",
            "200, 201, 204",
            "The statuses by which it says that it succeeded.",
        ),
        or(
            "conflict",
            "status, or list of them",
            "409",
            "The statuses by which it says that the account is there already: a failure on a route for registration.",
        ),
        may(
            "reason",
            "`json:NAME.NAME` or `header:NAME`",
            "events have no `reason`",
            "Where the origin's answer says why it failed; the first 16 KiB are looked at.",
        ),
        may(
            "user",
            "`json:NAME.NAME` or `header:NAME`",
            "events have the token's subject as `userId`, or none",
            "Where the origin's answer says whose account it is.",
        ),
        or(
            "account_failures",
            "number, 1 to 1000",
            "5",
            "Failures of one account in `window`; a further attempt is 429, except from an address that has signed in to the account in the last 30 days.",
        ),
        or(
            "address_failures",
            "number, 1 to 10000",
            "20",
            "Failures of one address (of IPv6: one network of 64 bits) in `window`; a further attempt is 429.",
        ),
        or("window", "duration, 10s to 24h", "15m", "The time in which failures are counted."),
        or(
            "stuffing_accounts",
            "number, 2 to 64",
            "10",
            "Accounts that fail in `window` from one network (of IPv4: 24 bits; of IPv6: 48) before the event `credential_stuffing` is raised, once for each window.",
        ),
    ],
};

/// `hosts.<name>.routes[].license_call`
pub const LICENSE_CALL: Section = Section {
    path: "hosts.<name>.routes[].license_call",
    doc: "Where a call names the license key and the device. Nothing is refused by it: what the origin answers to which key and device is shown to scenarios (docs/incidents.md).",
    keys: &[
        must(
            "license_key",
            "list of `json:NAME.NAME` and `form:NAME`",
            "Where a request names the key; the first that is there counts.",
        ),
        may(
            "device",
            "list of `json:NAME.NAME` and `form:NAME`",
            "devices are not told apart",
            "Where a request names the device.",
        ),
    ],
};

/// `hosts.<name>.routes[].cors`
pub const CORS: Section = Section {
    path: "hosts.<name>.routes[].cors",
    doc: "Which other origins may read the answers (docs/browsers.md). The edge answers preflights by itself, behind the policy and without a token, and takes away what the origin says of other origins; answers say `Vary: Origin`. An origin is written as browsers do: `https://app.example.com`, with a port where it is not 443. `http` is for `localhost` and `127.0.0.1` only.",
    keys: &[
        may(
            "origins",
            "list of origins, of `https://*.example.com`, or `['*']`",
            "none beside `credentials`",
            "Origins that may read answers to requests without credentials. `*.` stands for exactly one label. `*` stands alone.",
        ),
        may(
            "credentials",
            "list of origins, no patterns",
            "none",
            "Origins that may send cookies too, and read what comes.",
        ),
        may("methods", "list of methods", "`[GET, HEAD, POST]`", "What these origins may ask for."),
        may("headers", "list of header names", "none", "Request headers that they may send."),
        may("expose", "list of header names", "none", "Answer headers that they may read."),
        or(
            "max_age",
            "duration, 0s to 24h",
            "10m",
            "How long a browser remembers the answer to a preflight.",
        ),
    ],
};

/// `hosts.<name>.routes[].csrf`
pub const CSRF: Section = Section {
    path: "hosts.<name>.routes[].csrf",
    doc: "Refuses with 403 `cross_site_request` what another site makes a browser send with a person's cookies: every method but GET, HEAD and OPTIONS, and every upgrade. `Sec-Fetch-Site` decides, where it is absent `Origin`; a request that says neither needs the token. Requests without such cookies are not looked at.",
    keys: &[
        may("cookies", "list of cookie names", "any cookie", "The cookies that carry credentials."),
        may(
            "origins",
            "list of origins, no patterns",
            "the request's own only",
            "Other origins whose pages may send them.",
        ),
        may(
            "token_cookie",
            "name that begins with `__Host-`",
            "no token is asked for",
            "A cookie whose value has to stand in `token_header` too. The edge sets it with the first page (`text/html`) that a browser without one gets.",
        ),
        or("token_header", "header name", "x-csrf-token", "Where scripts send the token back."),
    ],
};

/// `hosts.<name>.routes[].cookies`
pub const COOKIES: Section = Section {
    path: "hosts.<name>.routes[].cookies",
    doc: "Rewrites every cookie that the origin sets: `Secure`, `HttpOnly`, and `SameSite`. What the origin says more strictly stands.",
    keys: &[
        or("same_site", "`lax`, `strict` or `none`", "lax", "The least strict `SameSite`."),
        may(
            "script",
            "list of cookie names",
            "none",
            "Cookies that scripts read: no `HttpOnly` is added.",
        ),
    ],
};

/// `hosts.<name>.routes[].body`
pub const BODY: Section = Section {
    path: "hosts.<name>.routes[].body",
    doc: "A body that is read and judged before the origin sees a byte.",
    keys: &[
        may(
            "limit",
            "size, up to 64MiB",
            "`limits.body`",
            "The whole body; one byte more is answered with 413.",
        ),
        may("inspect", "size, up to `limit`", "`limit`", "How much of its start the policy reads."),
        or(
            "oversize",
            "`deny`, `pass` or `log`",
            "deny",
            "What happens to a body longer than `inspect`: 413, its start judged and the rest passed, or that with a line in the log. The length of a compressed body is that of its inflated form too.",
        ),
        or(
            "compressed",
            "`refuse` or `inflate`",
            "refuse",
            "What happens to a body with a `Content-Encoding`: 415, or inflated for the policy (gzip, deflate, br, zstd; one coding) while the origin gets it as it came.",
        ),
        or(
            "ratio",
            "number, 2 to 10000",
            "100",
            "With `compressed: inflate`: inflated bytes for each byte of the body; a body that grows beyond is answered with 413.",
        ),
    ],
};

/// `hosts.<name>.routes[].response_inspection`
pub const ANSWER_INSPECTION: Section = Section {
    path: "hosts.<name>.routes[].response_inspection",
    doc: "The rules that judge answers. They run at the highest level that a policy asks for; their own blocking evaluation decides.",
    keys: &[
        must("ruleset", "name of a rule set", "The rules: those of its phases 3 and 4."),
        may(
            "body",
            "size, 1KiB to 16MiB",
            "the head only",
            "How much of an answer's body is held and judged before any of it is sent; the rest of a longer one follows unjudged. Rules see bodies of the types that they name (`SecResponseBodyMimeType`; plain text, HTML and XML unless they say otherwise).",
        ),
        or(
            "on_match",
            "`deny` or `log`",
            "deny",
            "What happens to an answer that the rules refuse: the client gets 403 instead, or it is sent and the log says so.",
        ),
    ],
};

/// `hosts.<name>.routes[].response_headers`
pub const ANSWER_HEADERS: Section = Section {
    path: "hosts.<name>.routes[].response_headers",
    doc: "Headers of the origin's answers. The edge's own refusals keep the profile's.",
    keys: &[
        may(
            "set",
            "mapping of names to values",
            "none",
            "Set over whatever the origin and the profile say.",
        ),
        may("remove", "list of names", "none", "Taken away."),
    ],
};

/// `hosts.<name>.routes[].redirect`
pub const REDIRECT: Section = Section {
    path: "hosts.<name>.routes[].redirect",
    doc: "An answer that sends the client elsewhere.",
    keys: &[
        must("to", "URL or path", "The `Location`: a URL with `https://` or `http://`, or a path."),
        or(
            "status",
            "`301` or `308`",
            "308",
            "301 lets the client change the method to GET, 308 does not.",
        ),
        or(
            "keep_target",
            "`true` or `false`",
            "false",
            "Whether the path and query that were asked for follow `to`, which is then a URL such as `https://example.com`.",
        ),
    ],
};

/// `headers`
pub const HEADERS: Section = Section {
    path: "headers",
    doc: "Response headers set on every answer, refusals included.",
    keys: &[
        or(
            "profile",
            "`api`, or a key of `profiles`",
            "api",
            "What answers get where the route says nothing else. `api`: HSTS, CSP, `nosniff`, `DENY`, Permissions-Policy, COOP and CORP.",
        ),
        may(
            "profiles",
            "mapping by name",
            "`api` alone",
            "Other sets, each said by what it changes of `api`.",
        ),
    ],
};

/// `headers.profiles.<name>`
pub const HEADER_PROFILE: Section = Section {
    path: "headers.profiles.<name>",
    doc: "A set of response headers, for the routes that name it and for what the edge answers there.",
    keys: &[
        may(
            "set",
            "mapping by header name",
            "as `api`",
            "Headers that are set, in place of those of `api` or beside them, over whatever the origin says.",
        ),
        may(
            "remove",
            "list of header names",
            "none",
            "Headers of `api` that are left to the origin.",
        ),
    ],
};

/// `load_test`
pub const LOAD_TEST: Section = Section {
    path: "load_test",
    doc: "The header `X-Load-Test-Bypass` (docs/load-testing.md). What it lifts: the rate rules of policies and `limits.requests_per_client`; nothing else, and nothing on routes with `sign_in`. With any other `environment` than `staging` the section is refused, and the header lifts nothing. Origins never get the header.",
    keys: &[
        must(
            "keys",
            "secret",
            "The file of `portcullis dev bypass-key FILE`: keys that tokens of `portcullis dev bypass` are signed with, the first one signs; and hashes of static secrets, as `sha256:` and 64 hexadecimal digits. What leaves the file lifts nothing any more; a change is taken at once.",
        ),
        must(
            "from",
            "list of networks",
            "Where load generators stand: the header of any other client lifts nothing. A token narrows this further.",
        ),
    ],
};

/// `log`
pub const LOG: Section = Section {
    path: "log",
    doc: "Where the logs go, and what a line looks like.",
    keys: &[
        or(
            "requests",
            "`stdout`, `stderr`, `off` or `file:PATH`",
            "stdout",
            "One line per request. A file is opened anew on SIGUSR1.",
        ),
        or(
            "events",
            "`stdout`, `stderr`, `off` or `file:PATH`",
            "stdout",
            "One line per security event: the record that incidents rest on. A file is put aside when it is full, and opened anew on SIGUSR1.",
        ),
        or(
            "events_format",
            "`json`, `ecs`, `ocsf` or `cef`",
            "json",
            "How an event's line is written (docs/incidents.md#other-formats). `portcullis log` reads `json` only.",
        ),
        or(
            "events_file_max",
            "size, 64KiB to 16GiB",
            "64MiB",
            "Bytes of the events' file, after which it is put aside under a number and a new one begins.",
        ),
        or(
            "events_files_max",
            "number, 1 to 1000",
            "8",
            "Files of events that are kept, the one that is written among them; the oldest is removed.",
        ),
        or(
            "format",
            "`cloud_logging`, `json` or `combined`",
            "cloud_logging",
            "How a request's line is written: in the fields of Google's load balancer log, which `replay`, `tune` and Google's own tools read; as one flat JSON object; or in the Combined Log Format of Apache and nginx, which tells nothing of rules.",
        ),
        may(
            "redact",
            "list of names",
            "the usual names of credentials, `token` and `password` among them",
            "Parameters, headers and cookies whose values no log gives: in URLs, matched fields and rate keys.",
        ),
        may(
            "keep",
            "mapping",
            "by size and number alone",
            "How long each class of what is recorded is kept.",
        ),
        may("sinks", "mapping by name", "none", "Who else gets events, line by line."),
        may(
            "capture",
            "mapping",
            "nothing is captured",
            "Refused and sampled requests kept whole, for `portcullis replay --capture`.",
        ),
    ],
};

/// `log.keep`
pub const KEEP: Section = Section {
    path: "log.keep",
    doc: "How long each class of what is recorded is kept (docs/incidents.md#how-long-and-whose). Files are looked at every minute; one whose last line is older than this is deleted.",
    keys: &[
        may(
            "security",
            "duration, 1d to 3650d",
            "by `events_file_max` and `events_files_max` alone",
            "Files of the event log. With it the file that is written is put aside once a day at least.",
        ),
        may(
            "access",
            "duration, 1d to 3650d",
            "for ever",
            "Files of the request log that were put aside as `PATH.NUMBER`, by your own rotation.",
        ),
        may(
            "evidence",
            "duration, 1d to 3650d",
            "for ever",
            "What was put aside for who investigates an incident: `evidence` in the state directory.",
        ),
    ],
};

/// `log.sinks.<name>`
pub const EVENT_SINK: Section = Section {
    path: "log.sinks.<name>",
    doc: "Somebody else who gets every line of the event log, as it is written (docs/incidents.md#sinks). Up to 4096 lines wait for one that hangs or fails; no request does. It is reached through the guard of `egress`, a Unix socket aside. A change is taken with a reload.",
    keys: &[
        must("kind", "`syslog` or `http`", "Syslog (RFC 5424), or lines in the body of a POST."),
        or("format", "`json`, `ecs`, `ocsf` or `cef`", "json", "How a line is written."),
        may(
            "to",
            "`tls:HOST:PORT`, `tcp:HOST:PORT`, `udp:HOST:PORT` or `unix:PATH`",
            "refused for `syslog`",
            "The server of `syslog`: over TLS (RFC 5425) and TCP with counted octets, by UDP (RFC 5426) or to a Unix socket as one datagram each.",
        ),
        or(
            "facility",
            "`user`, `daemon`, `auth`, `authpriv` or `local0` to `local7`",
            "local0",
            "The facility of `syslog`. The severity is the event's.",
        ),
        may("url", "URL", "refused for `http`", "Where `http` posts up to 500 lines at once."),
        may(
            "authorization",
            "secret",
            "none",
            "The whole value of the header `Authorization` for `http`, such as `Bearer …` or `Splunk …`.",
        ),
    ],
};

/// `log.capture`
pub const CAPTURE: Section = Section {
    path: "log.capture",
    doc: "Requests that the edge refuses, and a sample of the others, kept whole: head, inspected body, what was decided. They hold credentials, `redact` does not reach them, and so each is encrypted to the operator's public key (HPKE, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM).",
    keys: &[
        must(
            "key",
            "public key",
            "What `portcullis capture key FILE` prints. The private half in `FILE` is for `replay`, and has no business on the edge.",
        ),
        must("directory", "path", "Where the files go, each with mode 0600; made with mode 0700."),
        may(
            "sample_one_in",
            "number, 1 to 1000000",
            "refused requests only",
            "One request in so many is captured, besides every refused one.",
        ),
        or(
            "body_max",
            "size, 1KiB to 8MiB",
            "256KiB",
            "A larger body is left out; the rest of its request is kept.",
        ),
        or(
            "file_max",
            "size, 32MiB to 4GiB",
            "64MiB",
            "A file of this size is followed by a new one.",
        ),
        or(
            "files_max",
            "number, 1 to 1000",
            "8",
            "How many files are kept; the oldest is removed.",
        ),
    ],
};

/// `license`
pub const LICENSE: Section = Section {
    path: "license",
    doc: "The license service in this process. The other keys are for `embedded: true` only.",
    keys: &[
        must(
            "embedded",
            "`true` or `false`",
            "Whether it runs here, for backends with the server `embedded`.",
        ),
        may("database", "path", "`license.db` in `state_dir`", "Its SQLite database."),
        may(
            "socket",
            "path",
            "`license.sock` in `state_dir`",
            "Its Unix socket, made with mode 0600; at most 107 bytes.",
        ),
        may(
            "wrapping_key",
            "path",
            "`license-wrapping.key` in `state_dir`",
            "The key that seals its signing keys in the database, made with mode 0600 at the first start. A copy of the database is of use only with it: keep it in another place than the backups.",
        ),
        may(
            "lease",
            "duration, 1m to 24h",
            "`360s`",
            "How long a seat is held without a heartbeat.",
        ),
    ],
};

/// `limits`
pub const LIMITS: Section = Section {
    path: "limits",
    doc: "Caps on everything that a client can grow. `docs/limits.md` says where each is counted and what it can cost.",
    keys: super::limits::KEYS,
};
