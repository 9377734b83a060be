//! A file of tests: requests, each with the verdict that it must get.
//!
//! ```yaml
//! policy: license-api.yaml            # or `config: portcullis.yaml`
//! lists: { known-bad: [198.51.100.0/24] }
//! attacks: [sqli, xss]                # the built-in attacks of these categories are all refused
//! cases:
//!   - name: an injection is refused
//!     request: GET /?id=1%27%20UNION%20SELECT%201-- HTTP/1.1
//!     from: 203.0.113.7
//!     country: DE
//!     expect: { verdict: deny(403), rule: 2000 }
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use portcullis_config::yaml::{self, Entry, Node};
use portcullis_config::{Diagnostic, Location, SourceFile};
use portcullis_policy::{IpSet, Scheme};
use serde_json::Map;

use super::attacks::CATEGORIES;
use super::parts::{Parts, get, json};
use super::{Ask, Body, Caller, google, stated};

/// A file of tests.
#[derive(Debug)]
pub struct Suite {
    /// What it calls itself, or the file's name.
    pub name: String,
    /// What is tested.
    pub subject: Subject,
    /// Categories whose built-in attacks must all be refused.
    pub attacks: Vec<String>,
    /// The cases in their order.
    pub cases: Vec<Case>,
}

/// What a suite tests.
#[derive(Debug)]
pub enum Subject {
    /// A whole configuration.
    Config(PathBuf),
    /// A policy on its own.
    Policy {
        /// Its file.
        file: PathBuf,
        /// The lists that it asks.
        lists: BTreeMap<String, Arc<IpSet>>,
    },
    /// One expression, in Google's format: it matches where a rule with it denies.
    Expression(SourceFile),
}

/// One case.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Its requests; counters and bans are shared by them and by nobody else.
    pub steps: Vec<Step>,
    /// Why it cannot be judged here, if it cannot.
    pub skipped: Option<&'static str>,
    /// Where it stands.
    pub at: Location,
}

/// One step of a case: a request, as often as it says.
#[derive(Debug)]
pub struct Step {
    /// What is asked.
    pub ask: Ask,
    /// How much time passes before.
    pub wait: Duration,
    /// How often it is asked.
    pub repeat: u32,
    /// What the last one must get; the ones before must pass where `repeat` is more than one.
    pub expect: Expectation,
}

/// What a request must get. What is not stated may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// `allow`, `deny`, `deny(403)`, `redirect`, `unauthenticated`, ….
    pub verdict: Option<String>,
    /// The priority of the rule that decides.
    pub rule: Option<u32>,
    /// Signatures that are among those that matched.
    pub signatures: Vec<String>,
    /// Preview rules that match.
    pub previews: Vec<u32>,
    /// Whether the expression must meet an error.
    pub error: bool,
}

const WORDS: &[&str] = &[
    "allow",
    "deny",
    "redirect",
    "unauthenticated",
    "body too large",
    "no route",
    "no host",
    "no policy",
];
const REPEAT_MAX: u32 = 1_000_000;

/// Reads a file of tests, ours or Google's (`expr` at its top). Files that it names are relative to it.
///
/// # Errors
/// Everything that is wrong with it, with its place.
pub fn read_suite(source: &SourceFile) -> Result<Suite, Vec<Diagnostic>> {
    let (root, mut problems) = yaml::read(source);
    let Some(root) = root.filter(|_| problems.is_empty()) else {
        if problems.is_empty() {
            problems.push(Diagnostic::error("not-yaml", "the file is empty"));
        }
        return Err(problems);
    };
    let mut parts = Parts { source, problems };
    let suite = if root.get("expr").is_some() {
        google::suite(&mut parts, &root)
    } else {
        suite(&mut parts, &root)
    };
    match suite {
        Some(suite) if parts.problems.is_empty() => Ok(suite),
        Some(_) | None => Err(parts.problems),
    }
}

fn suite(parts: &mut Parts<'_>, root: &Node) -> Option<Suite> {
    let known = ["name", "policy", "config", "lists", "attacks", "cases"];
    let entries = parts.fields(root, "a test file", &known)?;
    let name = get(entries, "name").and_then(|node| parts.text(node, "the name"));
    let attacks = get(entries, "attacks").map(|node| attacks(parts, node)).unwrap_or_default();
    let subject = subject(parts, root, entries);
    let nodes = get(entries, "cases").map_or(&[][..], |node| parts.list(node, "`cases`"));
    let cases: Vec<Case> = nodes.iter().filter_map(|node| case(parts, node)).collect();
    if cases.is_empty() && attacks.is_empty() && parts.problems.is_empty() {
        parts.report(
            "no-cases",
            root.place(),
            "the file tests nothing: give it `cases` or `attacks`".to_owned(),
        );
    }
    let name = name.unwrap_or_else(|| parts.source.name().to_owned());
    Some(Suite { name, subject: subject?, attacks, cases })
}

fn attacks(parts: &mut Parts<'_>, node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    for item in parts.list(node, "`attacks`") {
        let Some(word) = parts.text(item, "a category") else { continue };
        if CATEGORIES.contains(&word.as_str()) {
            found.push(word);
            continue;
        }
        let problem = Diagnostic::error(
            "unknown-value",
            format!("there are no built-in attacks of `{word}`"),
        )
        .help(format!("one of {}", CATEGORIES.join(", ")))
        .in_source(parts.source, item.value_place());
        parts.problems.push(problem);
    }
    found
}

fn subject(parts: &mut Parts<'_>, root: &Node, entries: &[Entry]) -> Option<Subject> {
    let base = Path::new(parts.source.name()).parent().unwrap_or_else(|| Path::new("")).to_owned();
    let lists = get(entries, "lists").map(|node| lists(parts, node));
    match (get(entries, "policy"), get(entries, "config")) {
        (Some(policy), None) => {
            let file = base.join(parts.text(policy, "the policy's file")?);
            Some(Subject::Policy { file, lists: lists.unwrap_or_default() })
        }
        (None, Some(config)) => {
            if let Some(lists) = root.get("lists") {
                parts.report(
                    "conflicting-keys",
                    lists.place(),
                    "the configuration has its own lists".to_owned(),
                );
            }
            Some(Subject::Config(base.join(parts.text(config, "the configuration's file")?)))
        }
        (Some(_), Some(config)) => {
            parts.report(
                "conflicting-keys",
                config.place(),
                "either `policy` or `config`, not both".to_owned(),
            );
            None
        }
        (None, None) => {
            let at = entries.first().map_or(0..0, |entry| entry.span.clone());
            parts.report(
                "missing-key",
                at,
                "say what is tested: `policy: FILE` or `config: FILE`".to_owned(),
            );
            None
        }
    }
}

fn lists(parts: &mut Parts<'_>, node: &Node) -> BTreeMap<String, Arc<IpSet>> {
    let mut lists = BTreeMap::new();
    for entry in node.as_map().unwrap_or_default() {
        let mut nets = Vec::new();
        for item in parts.list(&entry.node, "a list") {
            let Some(text) = parts.text(item, "an address") else { continue };
            let net = text.parse::<IpNet>().ok();
            match net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
                Some(net) => nets.push(net),
                None => parts.report(
                    "wrong-value",
                    item.value_place(),
                    format!("`{text}` is no address or network"),
                ),
            }
        }
        lists.insert(entry.key.clone(), Arc::new(IpSet::new(nets)));
    }
    lists
}

const STEP_KEYS: &[&str] = &[
    "request", "headers", "body", "from", "country", "asn", "scheme", "token", "wait", "repeat",
    "expect",
];

fn case(parts: &mut Parts<'_>, node: &Node) -> Option<Case> {
    let mut known = vec!["name", "steps"];
    known.extend(STEP_KEYS);
    let entries = parts.fields(node, "a case", &known)?;
    let (at, name) = named(parts, node, entries);
    let steps = match get(entries, "steps") {
        None => vec![step(parts, node, entries)?],
        Some(steps) => {
            let alone = entries.iter().find(|entry| STEP_KEYS.contains(&entry.key.as_str()));
            if let Some(alone) = alone {
                let message = format!("`{}` belongs to a step of `steps`", alone.key);
                parts.report("conflicting-keys", alone.span.clone(), message);
            }
            let mut read = Vec::new();
            for one in parts.list(steps, "`steps`") {
                if let Some(entries) = parts.fields(one, "a step", STEP_KEYS) {
                    read.extend(step(parts, one, entries));
                }
            }
            read
        }
    };
    Some(Case { name, steps, skipped: None, at })
}

/// Where a case stands, and what it is called: after its line, if it has no name.
pub(super) fn named(parts: &mut Parts<'_>, node: &Node, entries: &[Entry]) -> (Location, String) {
    let name = get(entries, "name");
    let at = parts.source.location(name.map_or_else(|| node.place(), Node::value_place));
    let name = name.and_then(|node| parts.text(node, "the name"));
    let name = name.unwrap_or_else(|| format!("line {}", at.line));
    (at, name)
}

fn step(parts: &mut Parts<'_>, node: &Node, entries: &[Entry]) -> Option<Step> {
    let Some(request) = get(entries, "request") else {
        parts.report(
            "missing-key",
            node.place(),
            "`request` is missing, as in `GET /path HTTP/1.1`".to_owned(),
        );
        return None;
    };
    let mut ask = request_of(parts, request)?;
    if let Some(headers) = get(entries, "headers") {
        for entry in headers.as_map().unwrap_or_default() {
            let value = parts.text(&entry.node, "a header")?;
            ask.headers.push((entry.key.clone().into_bytes(), value.into_bytes()));
        }
    }
    if let Some(body) = get(entries, "body") {
        ask.body = Body::Whole(parts.text(body, "the body")?.into_bytes());
    }
    who(parts, entries, &mut ask);
    let repeat = match get(entries, "repeat") {
        Some(node) => parts.parsed(node, "number")?,
        None => 1,
    };
    if !(1..=REPEAT_MAX).contains(&repeat) {
        parts.report("wrong-value", node.place(), format!("`repeat` is 1 to {REPEAT_MAX}"));
    }
    let wait = get(entries, "wait").map_or(Some(Duration::ZERO), |node| duration(parts, node))?;
    let Some(expect) = get(entries, "expect") else {
        parts.report(
            "missing-key",
            node.place(),
            "`expect` is missing, as in `expect: deny(403)`".to_owned(),
        );
        return None;
    };
    Some(Step { ask, wait, repeat, expect: expectation(parts, expect)? })
}

/// `GET /path`, with or without a version; or a whole raw request of several lines.
fn request_of(parts: &mut Parts<'_>, node: &Node) -> Option<Ask> {
    let text = parts.text(node, "the request")?;
    let (line, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        parts.report(
            "wrong-value",
            node.value_place(),
            "a request begins with a method and a target: `GET /path`".to_owned(),
        );
        return None;
    };
    let version = words.next().unwrap_or("HTTP/1.1");
    let raw = format!("{method} {target} {version}\n{rest}");
    let ask = Ask::parse(raw.as_bytes());
    if ask.is_none() || words.next().is_some() {
        parts.report(
            "wrong-value",
            node.value_place(),
            "the request has a line that is no header: `Name: value`".to_owned(),
        );
    }
    ask
}

fn who(parts: &mut Parts<'_>, entries: &[Entry], ask: &mut Ask) {
    if let Some(node) = get(entries, "from")
        && let Some(client) = parts.parsed(node, "address")
    {
        ask.client = client;
    }
    if let Some(node) = get(entries, "country") {
        ask.region = parts.text(node, "the country");
    }
    if let Some(node) = get(entries, "asn") {
        ask.asn = parts.parsed(node, "number").unwrap_or(0);
    }
    if let Some(node) = get(entries, "scheme") {
        match node.as_text() {
            Some("https") => ask.scheme = Scheme::Https,
            Some("http") => ask.scheme = Scheme::Http,
            Some(_) | None => {
                parts.report("unknown-value", node.place(), "`scheme` is https or http".to_owned())
            }
        }
    }
    if let Some(node) = get(entries, "token") {
        ask.caller = token(parts, node);
    }
}

fn token(parts: &mut Parts<'_>, node: &Node) -> Caller {
    if node.as_text() == Some("none") {
        return Caller::Nobody;
    }
    let known = ["subject", "tenant", "roles", "scopes", "claims"];
    let Some(entries) = parts.fields(node, "a token", &known) else { return Caller::Nobody };
    let text =
        |parts: &mut Parts<'_>, key| get(entries, key).and_then(|node| parts.text(node, key));
    let subject = text(parts, "subject").unwrap_or_else(|| "somebody".to_owned());
    let tenant = text(parts, "tenant");
    let roles = get(entries, "roles").map(|node| parts.texts(node, "a role")).unwrap_or_default();
    let scopes =
        get(entries, "scopes").map(|node| parts.texts(node, "a scope")).unwrap_or_default();
    let claims = match get(entries, "claims").map(json) {
        Some(serde_json::Value::Object(claims)) => claims,
        Some(_) | None => Map::new(),
    };
    Caller::Stated(stated(&subject, tenant.as_deref(), roles, scopes, claims))
}

fn duration(parts: &mut Parts<'_>, node: &Node) -> Option<Duration> {
    let text = parts.text(node, "a time")?;
    match crate::cli::duration(&text) {
        Ok(time) => Some(time),
        Err(message) => {
            parts.report("wrong-value", node.value_place(), message);
            None
        }
    }
}

fn expectation(parts: &mut Parts<'_>, node: &Node) -> Option<Expectation> {
    if node.as_text().is_some() {
        return Some(Expectation {
            verdict: Some(verdict(parts, node)?),
            ..Expectation::default()
        });
    }
    let known = ["verdict", "rule", "signatures", "previews"];
    let entries = parts.fields(node, "an expectation", &known)?;
    if entries.is_empty() {
        parts.report("missing-key", node.place(), "nothing is expected".to_owned());
    }
    let verdict = match get(entries, "verdict") {
        Some(node) => Some(verdict(parts, node)?),
        None => None,
    };
    let rule = match get(entries, "rule") {
        Some(node) => Some(parts.parsed(node, "priority")?),
        None => None,
    };
    let signatures = get(entries, "signatures").map(|node| parts.texts(node, "a signature"));
    let previews = get(entries, "previews").map(|node| {
        parts
            .list(node, "`previews`")
            .iter()
            .filter_map(|item| parts.parsed(item, "priority"))
            .collect()
    });
    Some(Expectation {
        verdict,
        rule,
        signatures: signatures.unwrap_or_default(),
        previews: previews.unwrap_or_default(),
        error: false,
    })
}

/// A word, or a word with its status: `deny(403)`.
fn verdict(parts: &mut Parts<'_>, node: &Node) -> Option<String> {
    let text = parts.text(node, "a verdict")?;
    let word = text.split('(').next().unwrap_or_default();
    let status = text.strip_prefix(word).unwrap_or_default();
    let number = status.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let status_fits = status.is_empty()
        || (matches!(word, "deny" | "redirect")
            && number.is_some_and(|n| n.parse::<u16>().is_ok()));
    if WORDS.contains(&word) && status_fits {
        return Some(text);
    }
    let problem = Diagnostic::error("unknown-value", format!("`{text}` is no verdict"))
        .suggest(word, WORDS.iter().copied())
        .in_source(parts.source, node.value_place());
    let problem = match problem.help {
        Some(_) => problem,
        None => problem.help("allow, deny, deny(403), redirect, unauthenticated, body too large, no route, no host or no policy"),
    };
    parts.problems.push(problem);
    None
}
