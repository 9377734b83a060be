//! Expression and request to result: a table, each row with its source in Cloud Armor's documentation or here.

use serde_json::json;

use super::{Request, rule, verdict};
use crate::{ClientCertificate, Decision};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    True,
    False,
    Error,
}

fn check(expression: &str, request: &Request, expected: Is) {
    let found = verdict(&rule(1, "deny(403)", expression), request);
    let is = match found.decision {
        Decision::Deny { status: 403 } => Is::True,
        Decision::Allow if found.errors == [1] => Is::Error,
        Decision::Allow => Is::False,
        other @ (Decision::Deny { .. } | Decision::TooMany { .. } | Decision::Redirect { .. }) => {
            panic!("{expression}: {other:?}")
        }
    };
    assert_eq!(is, expected, "{expression}");
}

fn sample() -> Request {
    let mut request = Request::post("/Admin/%2e%2e/x?a=1&b=%27", b"{\"license_key\":\"K-1\"}")
        .from("192.0.2.77")
        .region("DE")
        .header("Content-Length", b"21")
        .header("X-Two", b"one")
        .header("x-two", b"two")
        .header("X-Raw", b"a\xffb")
        .header("Cookie", b"sid=abc; theme=dark; sid=zzz")
        .header("X-B64", b"aGVsbG8")
        .token("acme", "alice");
    request.asn = 64_500;
    request.certificate = Some(ClientCertificate {
        subject: "CN=node\\, a,O=example".to_owned(),
        issuer: "CN=clients".to_owned(),
        sha256: "00ff".to_owned(),
        names: vec!["dns:a.example".to_owned(), "uri:spiffe://example/a".to_owned()],
    });
    request.claims = json!({ "firebase": { "tenant": "t1" }, "level": 3, "paid": true, "groups": ["a", "b"], "none": null });
    request
}

#[test]
fn expressions_mean_what_the_documentation_says() {
    use Is::{Error, False, True};
    let request = sample();
    let cases = [
        // §2.1 attributes
        ("origin.ip == '192.0.2.77'", True),
        ("origin.ip == '192.0.2.78'", False),
        ("origin.ip.startsWith('192.0.')", True),
        ("origin.user_ip == origin.ip", True),
        ("origin.region_code == 'DE'", True),
        ("origin.region_code == 'de'", False),
        ("origin.asn == 64500", True),
        ("origin.asn > 64500", False),
        ("origin.tls_ja3_fingerprint == 'ja3'", True),
        ("origin.tls_ja4_fingerprint == ''", False),
        ("request.method == 'POST'", True),
        ("request.method == 'post'", False),
        ("request.path == '/Admin/%2e%2e/x'", True),
        ("request.path.contains('?')", False),
        ("request.query == 'a=1&b=%27'", True),
        ("request.scheme == 'https'", True),
        ("request.headers['content-length'] == '21'", True),
        ("request.headers['Content-Length'] == '21'", True),
        ("request.headers['x-two'] == 'one,two'", True),
        ("request.headers['host'] == 'licenses.example.com'", True),
        ("request.headers['absent'] == ''", Error),
        ("request.headers['absent'] != 'x'", Error),
        ("request.headers.cookie.contains('theme=dark')", True),
        ("has(request.headers['cookie'])", True),
        ("has(request.headers['absent'])", False),
        ("!has(request.headers.absent)", True),
        ("has(request.headers['absent']) && request.headers['absent'] == 'x'", False),
        // §2.1 extensions
        ("origin.tls_client_subject == 'CN=node\\\\, a,O=example'", True),
        ("origin.tls_client_issuer == 'CN=clients'", True),
        ("origin.tls_client_sha256 == '00ff'", True),
        ("'dns:a.example' in origin.tls_client_names", True),
        ("'a.example' in origin.tls_client_names", False),
        ("size(origin.tls_client_names) == 2", True),
        ("request.cookies['sid'] == 'abc'", True),
        ("request.cookies['theme'] == 'dark'", True),
        ("request.cookies['absent'] == 'x'", Error),
        ("request.body.contains('license_key')", True),
        ("request.body.size() == 21", True),
        ("token.valid", True),
        ("token.tenant == 'acme' && token.subject == 'alice' && token.issuer == 'issuer'", True),
        ("'admin' in token.roles", True),
        ("'root' in token.roles", False),
        ("token.claims['firebase']['tenant'] == 't1'", True),
        ("token.claims.firebase.tenant == 't1'", True),
        ("token.claims.level == 3", True),
        ("token.claims.level >= 4", False),
        ("token.claims.level == 'three'", Error),
        ("token.claims.paid", True),
        ("token.claims.paid == true", True),
        ("'b' in token.claims.groups", True),
        ("token.claims.absent == 'x'", Error),
        ("has(token.claims.firebase.tenant)", True),
        ("has(token.claims.none)", False),
        ("token.recaptcha_session.valid", False),
        ("token.recaptcha_session.score < 0.5", False),
        // §2.2 operators and CEL's errors
        ("true || request.headers['absent'] == 'x'", True),
        ("request.headers['absent'] == 'x' || true", True),
        ("false && request.headers['absent'] == 'x'", False),
        ("request.headers['absent'] == 'x' && false", False),
        ("request.headers['absent'] == 'x' || false", Error),
        ("request.headers['absent'] == 'x' && true", Error),
        ("!(request.headers['absent'] == 'x')", Error),
        ("true || false && false", True),
        ("(true || false) && false", False),
        ("!true || true", True),
        ("!(true || true)", False),
        ("1 + 2 * 3 == 7", True),
        ("-2 < -1", True),
        ("1.5 + 1.5 == 3.0", True),
        ("9223372036854775807 + 1 == 0", Error),
        ("request.method + request.scheme == 'POSThttps'", True),
        ("origin.region_code in ['FR', 'DE']", True),
        ("!(origin.region_code in ['FR', 'GB'])", True),
        ("origin.asn in [1, 64500]", True),
        ("origin.asn in [1, 2]", False),
        // §2.2 functions
        ("request.path.startsWith('/Admin')", True),
        ("request.path.startsWith('/admin')", False),
        ("request.path.lower().startsWith('/admin')", True),
        ("request.path.upper() == '/ADMIN/%2E%2E/X'", True),
        ("request.path.endsWith('/x')", True),
        ("request.path.urlDecode() == '/Admin/../x'", True),
        ("request.query.contains('')", True),
        ("'[CN, RU]'.contains(origin.region_code)", False),
        ("request.path.matches('dmi')", True),
        ("request.path.matches('^dmi')", False),
        ("request.path.matches('(?i:^/admin)')", True),
        (r"request.path.matches(r'^/\w+/%2e')", True),
        (r"request.headers['x-raw'].matches(r'^a\xffb$')", True),
        (r"request.headers['x-raw'].matches(r'^a.b$')", True),
        ("request.headers['x-b64'].base64Decode() == 'hello'", True),
        ("request.headers['x-two'].base64Decode() == ''", True),
        ("'%u0041'.urlDecodeUni() == 'A'", True),
        ("'%u0041'.urlDecode() == 'A'", False),
        ("'é'.utf8ToUnicode() == '%u00e9'", True),
        ("int(request.headers['content-length']) > 20", True),
        ("int(request.headers['content-length']) > 21", False),
        ("int(request.headers['x-two']) > 1", Error),
        ("int(2.9) == 2", True),
        ("size(request.method) == 4 && request.method.size() == 4", True),
        ("size(token.roles) == 1", True),
        ("string(origin.asn) == '64500'", True),
        ("inIpRange(origin.ip, '192.0.2.0/24')", True),
        ("inIpRange(origin.ip, '192.0.3.0/24')", False),
        ("inIpRange(origin.ip, '192.0.2.77')", True),
        ("inIpRange(request.headers['x-two'], '192.0.2.0/24')", Error),
        ("inIpRange(origin.ip, request.headers['x-two'])", Error),
        // §2.3
        ("evaluateAddressGroup('known-bad', origin.ip)", False),
        ("evaluateAddressGroup('known-bad', '198.51.100.9')", True),
        ("evaluateAddressGroup('known-bad', '198.51.100.9', ['198.51.100.8/30'])", False),
        ("evaluateThreatIntelligence('known-bad')", False),
        ("evaluateAdaptiveProtectionAutoDeploy()", False),
    ];
    for (expression, expected) in cases {
        check(expression, &request, expected);
    }
}

#[test]
fn without_a_token_the_token_is_empty_and_not_an_error() {
    let mut request = sample();
    request.token = None;
    for (expression, expected) in [
        ("token.valid", Is::False),
        ("!token.valid", Is::True),
        ("token.tenant == ''", Is::True),
        ("'admin' in token.roles", Is::False),
        ("token.claims.level == 3", Is::Error),
        ("has(token.claims.level)", Is::False),
    ] {
        check(expression, &request, expected);
    }
}

#[test]
fn an_unknown_country_passes_where_the_rule_says_so() {
    let outside = "origin.region_code != '' && !(origin.region_code in ['US', 'DE'])";
    for (region, expected) in
        [("", Is::False), ("DE", Is::False), ("US", Is::False), ("RU", Is::True)]
    {
        check(outside, &Request::get("/").region(region), expected);
    }
}
