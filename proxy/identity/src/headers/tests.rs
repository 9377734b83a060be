use super::*;

const HEADERS: [&str; 5] =
    ["X-Edge-Subject", "X-Edge-Tenant", "X-Edge-Roles", "X-Edge-Request-Id", "X-Edge-Assertion"];

/// Ways in which somebody may hope that a name passes the edge and is understood behind it.
fn spellings(name: &str) -> Vec<Vec<u8>> {
    let with = |from: &str, to: &str| name.replace(from, to).into_bytes();
    let mut mixed = name.to_lowercase().replacen('-', "_", 1).into_bytes();
    mixed.extend(b" ");
    vec![
        name.as_bytes().to_vec(),
        name.to_lowercase().into_bytes(),
        name.to_uppercase().into_bytes(),
        with("-", "_"),
        with("-", "."),
        with("-", "~"),
        with("-", "!"),
        with("-", "--"),
        with("-", "__"),
        with("-", "-_"),
        with("-", "_-."),
        with("-", " "),
        with("-", "\t"),
        with("-", "\0"),
        with("-", "\u{2010}"),
        with("-", "+"),
        with("-", "'"),
        with("-", "|"),
        mixed,
        format!("-{name}").into_bytes(),
        format!("_{name}_").into_bytes(),
        format!("{name}-").into_bytes(),
        format!("{name}\u{a0}").into_bytes(),
        format!("{name}-X").into_bytes(),
        format!("{name}_copy").into_bytes(),
    ]
}

#[test]
fn every_spelling_of_the_edges_own_headers_is_reserved() {
    let all: Vec<_> = HEADERS.iter().flat_map(|name| spellings(name)).collect();
    assert!(all.len() >= 60, "{}", all.len());
    for name in all {
        assert!(is_reserved(&name), "{}", name.escape_ascii());
    }
}

#[test]
fn identity_headers_of_other_gateways_are_reserved_too() {
    for name in [
        "X-User",
        "X-User-Id",
        "x_user_id",
        "X-Tenant-ID",
        "X.Tenant.Id",
        "X-Roles",
        "X-Auth-Request-Email",
        "X.Authenticated.User",
        "X-Forwarded-User",
        "X_Forwarded_Access_Token",
        "Remote-User",
        "REMOTE_USER",
        "X-Goog-Authenticated-User-Email",
        "X-Goog-IAP-JWT-Assertion",
        "X-SSL-Client-Verify",
        "X-Client-Cert",
        "X-JWT-Claims",
        "X-WebAuth-User",
    ] {
        assert!(is_reserved(name.as_bytes()), "{name}");
    }
}

#[test]
fn other_headers_pass() {
    for name in [
        "",
        "-",
        "X",
        "Host",
        "Authorization",
        "Accept",
        "Cookie",
        "X-Edgy",
        "XEdge",
        "Edge-Subject",
        "X-Useful",
        "X-Tenants",
        "X-Requested-With",
        "X-Request-Id",
        "X-Load-Test-Bypass",
        "User-Agent",
        "X-Forwarded-For",
        "X-Rolex",
        "Traceparent",
    ] {
        assert!(!is_reserved(name.as_bytes()), "{name}");
    }
}

#[test]
fn every_spelling_of_a_forwarding_header_is_known() {
    for name in [
        "X-Forwarded-For",
        "x_forwarded_for",
        "X.Forwarded.Proto",
        "X-Forwarded_Host",
        "Forwarded",
        "X-Real-IP",
        "x_real_ip",
        "True-Client-IP",
        "X-Original-URL",
        "X-Rewrite-Url",
    ] {
        assert!(is_forwarding(name.as_bytes()), "{name}");
    }
    for name in ["X-Forwarded", "X-Forwarded-Format", "X-Real", "Forward", "Via", "X-Edge-Subject"]
    {
        assert!(!is_forwarding(name.as_bytes()), "{name}");
    }
}

#[test]
fn what_connection_nominates_is_listed() {
    let headers: [(&[u8], &[u8]); 4] = [
        (b"Connection", b"close, X-Edge-Subject ,,"),
        (b"CONNECTION", b"te"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"X-Connection", b"x-other"),
    ];
    let names: Vec<_> = connection_nominated(headers).collect();
    assert_eq!(names, [b"close".as_slice(), b"X-Edge-Subject", b"te", b"keep-alive"]);
}

#[test]
fn nominating_a_header_that_decides_is_told_from_plain_use() {
    for (value, expected) in [
        ("close", false),
        ("keep-alive, Upgrade", false),
        ("TE", false),
        ("x-trace", false),
        ("X-Edge-Assertion", true),
        ("close, x_edge_tenant", true),
        ("X-Forwarded-For", true),
        ("Authorization", true),
        ("cookie", true),
        ("Content-Length", true),
        ("host", true),
    ] {
        let headers = [(b"connection".as_slice(), value.as_bytes())];
        assert_eq!(nominates_a_deciding_header(headers), expected, "{value}");
    }
}
