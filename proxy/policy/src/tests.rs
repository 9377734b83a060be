//! Whole policies against requests, with a rule set that finds what the test put there.

mod common;
mod conformance;
mod crs;
mod cursor;
mod evasion;
mod extensions;
mod imported;
mod language;
mod rates;
mod request;
mod sequences;
mod shipped;
mod waf;

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_config::armor::{self, SecurityPolicy};
use portcullis_config::expr::WafSet;
use portcullis_config::{Diagnostic, SourceFile, Timestamp};

use crate::request::{BodyEnd, RequestHead};
use crate::state::Memory;
use crate::waf::{Signature, WafField, WafMatch, WafRules, WafRun};
use crate::{GeoState, IpSet, Limits, Materials, Policy, State, Verdict};
pub(crate) use request::Request;

pub(crate) const DEFAULT_ALLOW: &str = "- { priority: 2147483647, action: allow, match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } } }\n";

/// A moment that no test depends on.
pub(crate) const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Finds `attack-ID` in the URI, in header values, and in the body.
#[derive(Debug)]
pub(crate) struct Marker;

impl WafRules for Marker {
    fn name(&self) -> &str {
        "marker"
    }

    fn serves(&self, set: &WafSet) -> Option<u8> {
        let _any = set;
        Some(1)
    }

    fn signatures(&self, set: &WafSet) -> Vec<Signature> {
        let of = |base: u32| {
            (1..=4)
                .map(move |level| Signature {
                    id: base + u32::from(level),
                    level,
                    score: 6 - u32::from(level),
                })
                .collect()
        };
        match set.category {
            "sqli" => of(942_000),
            "xss" => of(941_000),
            "scannerdetection" => of(913_000),
            _ => Vec::new(),
        }
    }

    fn level(&self) -> u8 {
        4
    }

    fn begin(&self, head: &RequestHead<'_>, _memory: Memory) -> Box<dyn WafRun> {
        let mut run = MarkerRun {
            matches: Vec::new(),
            gave_up: memchr::memmem::find(head.uri, b"give-up").is_some(),
            bodies: 0,
        };
        run.look(head.uri, WafField::Uri, b"");
        for pair in head.query.split(|byte| *byte == b'&') {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = parts.next().unwrap_or_default();
            run.look(parts.next().unwrap_or_default(), WafField::ArgValue, name);
        }
        for header in head.headers {
            run.look(header.value, WafField::HeaderValue, header.name);
        }
        Box::new(run)
    }
}

#[derive(Debug)]
struct MarkerRun {
    matches: Vec<WafMatch>,
    gave_up: bool,
    bodies: usize,
}

impl MarkerRun {
    fn look(&mut self, value: &[u8], field: WafField, name: &[u8]) {
        for id in [913_001, 941_001, 941_002, 942_001, 942_002, 942_003, 942_004] {
            let marker = format!("attack-{id}").into_bytes();
            if let Some(offset) = memchr::memmem::find(value, &marker) {
                self.matches.push(WafMatch {
                    id,
                    field,
                    name: name.to_vec(),
                    matched_length: marker.len(),
                    value: marker,
                    length: value.len(),
                    offset,
                    link: 0,
                    is_chained: false,
                });
            }
        }
    }
}

impl WafRun for MarkerRun {
    fn body(&mut self, _head: &RequestHead<'_>, body: &[u8], _end: BodyEnd) {
        self.bodies += 1;
        assert_eq!(self.bodies, 1, "a body is inspected once");
        self.look(body, WafField::Body, b"");
    }

    fn matches(&self) -> &[WafMatch] {
        &self.matches
    }

    fn gave_up(&self) -> bool {
        self.gave_up
    }
}

pub(crate) fn definition(text: &str) -> SecurityPolicy {
    match armor::parse(&SourceFile::new("policy.yaml", text)) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{}", shown(&problems)),
    }
}

pub(crate) fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().map(|problem| format!("{problem} ({:?})\n", problem.help)).collect()
}

/// Compiles a policy of these rules and a default allow.
pub(crate) fn policy(rules: &str) -> Arc<Policy> {
    let text = format!("name: p\nrules:\n{rules}{DEFAULT_ALLOW}");
    compiled(&text, GeoState::Loaded).unwrap_or_else(|problems| panic!("{}", shown(&problems))).0
}

pub(crate) fn compiled(
    text: &str,
    geo: GeoState,
) -> Result<(Arc<Policy>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut rulesets: BTreeMap<String, Arc<dyn WafRules>> = BTreeMap::new();
    rulesets.insert("marker".into(), Arc::new(Marker));
    let mut lists = BTreeMap::new();
    let nets = ["198.51.100.0/24", "2001:db8:bad::/48"];
    lists.insert(
        "known-bad".to_owned(),
        Arc::new(IpSet::new(nets.iter().map(|net| net.parse().unwrap()))),
    );
    let materials = Materials { rulesets: &rulesets, lists: &lists, geo, asn: geo };
    let (policy, warnings) = Policy::compile(&definition(text), &materials)?;
    Ok((Arc::new(policy), warnings))
}

pub(crate) fn state() -> State {
    State::new(Limits { keys_max: 10_000, bans_max: 1_000, ..Limits::default() })
}

/// One rule with an expression.
pub(crate) fn rule(priority: u32, action: &str, expression: &str) -> String {
    let quoted = expression.replace('\'', "''");
    format!(
        "- {{ priority: {priority}, action: {action}, match: {{ expr: {{ expression: '{quoted}' }} }} }}\n"
    )
}

/// Runs one request through a policy of its own.
pub(crate) fn verdict(rules: &str, request: &Request) -> Verdict {
    request.through(&policy(rules), &state(), NOON).0
}
