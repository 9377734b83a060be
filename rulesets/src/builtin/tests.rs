//! Our own rules against their cases in `testdata/core`: what each must catch, in every place where an attacker
//! can put it, and what none may catch.

use crate::{RuleSet, Source};
use seclang::{EngineMode, Outcome, Program, Transaction};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    rule: u32,
    #[serde(default = "anywhere")]
    places: Vec<Place>,
    #[serde(rename = "match", default)]
    matches: Vec<String>,
    #[serde(default)]
    pass: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ordinary {
    values: Vec<String>,
    paths: Vec<String>,
    user_agents: Vec<String>,
    bodies: Vec<String>,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Place {
    Query,
    Form,
    Json,
    Cookie,
    Name,
    UserAgent,
    Header,
    HeaderName,
    Path,
    RawPath,
    NoUserAgent,
    Upload,
    Body,
    Xml,
    XmlAttribute,
    Method,
}

const ANYWHERE: [Place; 6] =
    [Place::Query, Place::Form, Place::Json, Place::Cookie, Place::Xml, Place::XmlAttribute];

fn anywhere() -> Vec<Place> {
    ANYWHERE.to_vec()
}

fn program(level: u8) -> Arc<Program> {
    let source = Source::Builtin("core".to_owned());
    Arc::clone(RuleSet::load("core", &source, level).unwrap().set.program())
}

fn escape(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(
            |byte| {
                if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            },
        )
        .collect()
}

/// Sends a request with `text` at a place and returns the detection rules that fired.
fn fired(program: &Arc<Program>, place: Place, text: &str) -> BTreeSet<u32> {
    let mut request = Transaction::new(Arc::clone(program));
    request.set_engine(EngineMode::DetectionOnly);
    let client = "192.0.2.1".parse().unwrap();
    request.connection(client, 40_000, "192.0.2.2".parse().unwrap(), 443);
    let encoded = escape(text);
    let uri = if place == Place::Query {
        format!("/api/v1/license/status?key={encoded}")
    } else if place == Place::Name {
        format!("/api/v1/license/status?{encoded}=1")
    } else if place == Place::Path {
        format!("/{}", text.split('/').map(escape).collect::<Vec<_>>().join("/"))
    } else if place == Place::RawPath {
        text.to_owned()
    } else {
        "/api/v1/license/acquire".to_owned()
    };
    let body = if place == Place::Form {
        Some(("application/x-www-form-urlencoded", format!("key={encoded}")))
    } else if place == Place::Json {
        Some(("application/json", json_with(text)))
    } else if place == Place::Xml {
        Some(("application/xml", format!("<a><b>{}</b></a>", xml(text))))
    } else if place == Place::XmlAttribute {
        Some(("text/xml", format!("<a><b c=\"{}\"/></a>", xml(text))))
    } else if place == Place::Upload {
        let part = format!("Content-Disposition: form-data; name=\"f\"; filename=\"{text}\"");
        Some(("multipart/form-data; boundary=B", format!("--B\r\n{part}\r\n\r\nx\r\n--B--\r\n")))
    } else if place == Place::Body {
        Some(("application/json", text.to_owned()))
    } else {
        None
    };
    let method: &[u8] = match (place, &body) {
        (Place::Method, _) => text.as_bytes(),
        (_, Some(_)) => b"POST",
        (_, None) => b"GET",
    };
    request.request_line(method, uri.as_bytes(), b"HTTP/1.1");
    request.request_header(b"Host", b"licenses.example.com");
    request.request_header(b"Accept", b"application/json, text/plain, */*;q=0.8");
    request.request_header(b"Accept-Language", b"en-US,en;q=0.9");
    request.request_header(
        b"Authorization",
        b"Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl",
    );
    if place == Place::UserAgent {
        request.request_header(b"User-Agent", text.as_bytes());
    } else if place != Place::NoUserAgent {
        request.request_header(b"User-Agent", b"license-client/2.4 (linux; x86_64)");
    }
    if place == Place::Cookie {
        request.request_header(b"Cookie", format!("theme={encoded}").as_bytes());
    } else if place == Place::Header {
        request.request_header(b"X-Forwarded-For", text.as_bytes());
    } else if place == Place::HeaderName {
        request.request_header(text.as_bytes(), b"1");
    }
    if let Some((media_type, body)) = &body {
        request.request_header(b"Content-Type", media_type.as_bytes());
        request.request_header(b"Content-Length", body.len().to_string().as_bytes());
    }
    assert_eq!(request.request_headers(), Outcome::Continue);
    if let Some((_, body)) = &body {
        assert_eq!(request.request_body(body.as_bytes()), Outcome::Continue);
    }
    assert_eq!(request.request_body_end(), Outcome::Continue);
    assert!(!request.budget_exhausted());
    let infos = program.rules();
    let ids = request.matches().iter().map(|found| &infos[found.rule.get()]);
    ids.filter(|info| info.paranoia.is_some()).map(|info| info.id).collect()
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn json_with(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|character| match character {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            other if (other as u32) < 0x20 => format!("\\u{:04x}", other as u32),
            other => other.to_string(),
        })
        .collect();
    format!("{{\"license\":{{\"note\":\"{escaped}\",\"seats\":5}}}}")
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/core");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const FILES: [&str; 12] = [
    "methods.yaml",
    "generic.yaml",
    "fixation.yaml",
    "scanners.yaml",
    "lfi.yaml",
    "protocol.yaml",
    "rfi.yaml",
    "rce.yaml",
    "php.yaml",
    "xss.yaml",
    "java.yaml",
    "sqli.yaml",
];

#[test]
fn every_rule_catches_its_cases_and_lets_the_others_pass() {
    let program = program(4);
    let mut wrong = Vec::new();
    let (mut cases, mut caught, mut passed) = (0, BTreeSet::new(), BTreeSet::new());
    for rule in FILES.into_iter().flat_map(read::<Vec<Rule>>) {
        caught.extend((!rule.matches.is_empty()).then_some(rule.rule));
        passed.extend((!rule.pass.is_empty()).then_some(rule.rule));
        for (texts, expected) in [(&rule.matches, true), (&rule.pass, false)] {
            for text in texts {
                for place in &rule.places {
                    cases += 1;
                    if fired(&program, *place, text).contains(&rule.rule) != expected {
                        let verb = if expected { "misses" } else { "catches" };
                        wrong.push(format!("{} {verb} {place:?} {text:?}", rule.rule));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let detection = program.rules().iter().filter(|info| info.paranoia.is_some());
    assert_eq!(caught, detection.map(|info| info.id).collect(), "every rule has a case to catch");
    assert_eq!(caught, passed, "and one to let pass");
    assert_eq!(cases, CASES);
}

#[test]
fn ordinary_traffic_is_caught_by_no_rule_of_level_1() {
    let program = program(1);
    let ordinary: Ordinary = read("ordinary.yaml");
    let mut requests: Vec<(Place, &str)> = Vec::new();
    for value in &ordinary.values {
        requests.extend(ANYWHERE.map(|place| (place, value.as_str())));
        requests.push((Place::Name, value));
    }
    requests.extend(ordinary.paths.iter().map(|path| (Place::RawPath, path.as_str())));
    requests.extend(ordinary.user_agents.iter().map(|agent| (Place::UserAgent, agent.as_str())));
    requests.extend(ordinary.bodies.iter().map(|body| (Place::Body, body.as_str())));
    let mut wrong = Vec::new();
    for (place, text) in &requests {
        let rules = fired(&program, *place, text);
        if !rules.is_empty() {
            wrong.push(format!("{place:?} {text:?} is caught by {rules:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        requests.len(),
        wrong.join("\n")
    );
    assert_eq!(requests.len(), ORDINARY);
}

#[test]
fn a_program_that_runs_alone_refuses_an_attack_and_nothing_else() {
    for (uri, expected) in [("/?q=1%27%20OR%20%271%27=%271", Some(403)), ("/?q=hello", None)] {
        let mut request = Transaction::new(program(1));
        request.set_engine(EngineMode::On);
        request.request_line(b"GET", uri.as_bytes(), b"HTTP/1.1");
        request.request_header(b"User-Agent", b"client/1");
        assert_eq!(request.request_headers(), Outcome::Continue);
        assert_eq!(request.request_body_end() == Outcome::Interrupted, expected.is_some());
        assert_eq!(request.intervention().map(|found| found.status), expected, "{uri}");
    }
}

const CASES: usize = 2676;
const ORDINARY: usize = 576;
