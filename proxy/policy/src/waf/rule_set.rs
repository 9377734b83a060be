//! The real rule sets, asked through the engine: one transaction per rule set and request, detecting only.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use portcullis_config::expr::{SetVersion, WafSet};
use portcullis_rulesets::{Family, RuleSet, parse_set_name};
use seclang::{EngineMode, Match, Outcome, Program, RuleInfo, Transaction, Variable};

use super::body_shape::{Shape, readings};
use super::{Signature, WafField, WafMatch, WafRules, WafRun};
use crate::request::{BodyEnd, RequestHead};
use crate::state::Memory;

/// How many matches of one run are kept; a request that has more is refused by the first of them already.
const MATCHES_MAX: usize = 512;
/// How many bytes of a matched part are kept.
const VALUE_BYTES_MAX: usize = 64;

impl WafRules for RuleSet {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn serves(&self, set: &WafSet) -> Option<u8> {
        match (set.version, family_of(self)) {
            (SetVersion::Core, Family::Core) => Some(4),
            (SetVersion::Core, _) => None,
            (SetVersion::Crs30 | SetVersion::Crs33, Family::Crs33 | Family::Crs30) => Some(4),
            (SetVersion::Crs422, Family::Crs422) => Some(4),
            // A policy of Google's is served by the other generation, and at last by our own rules.
            (SetVersion::Crs30 | SetVersion::Crs33, Family::Crs422) => Some(3),
            (SetVersion::Crs422, Family::Crs33 | Family::Crs30) => Some(2),
            (SetVersion::Crs30 | SetVersion::Crs33 | SetVersion::Crs422, Family::Core) => Some(1),
        }
    }

    fn signatures(&self, set: &WafSet) -> Vec<Signature> {
        let Some(name) = parse_set_name(&set.name) else { return Vec::new() };
        self.ids(name.category)
            .filter(|(id, _)| name.only.is_empty() || name.only.contains(id))
            .map(|(id, level)| Signature { id, level, score: self.score(id) })
            .collect()
    }

    fn level(&self) -> u8 {
        self.run_level()
    }

    fn begin(&self, head: &RequestHead<'_>, memory: Memory) -> Box<dyn WafRun> {
        Box::new(EngineRun::begin(Arc::clone(self.program()), head, None, memory))
    }
}

/// Tells the generations apart by the version that their rules name; rules without one are our own or the operator's.
fn family_of(set: &RuleSet) -> Family {
    let version = |prefix: &str| {
        let mut versions = set.program().rules().iter().filter_map(|rule| rule.version.as_deref());
        versions.any(|version| version.starts_with(prefix))
    };
    if version("OWASP_CRS/4") {
        Family::Crs422
    } else if version("OWASP_CRS/3") {
        Family::Crs33
    } else {
        Family::Core
    }
}

/// One transaction, and a second one for a body that is read in two ways.
#[derive(Debug)]
struct EngineRun {
    program: Arc<Program>,
    memory: Memory,
    transaction: Transaction,
    matches: Vec<WafMatch>,
    read: usize,
    gave_up: bool,
}

impl EngineRun {
    /// Runs phase 1. The body is read as `labelled`, where that is said, whatever the client's Content-Type.
    fn begin(
        program: Arc<Program>,
        head: &RequestHead<'_>,
        labelled: Option<Shape>,
        memory: Memory,
    ) -> Self {
        let mut transaction = Transaction::new(Arc::clone(&program));
        transaction.set_engine(EngineMode::DetectionOnly);
        transaction.unique_id(head.id.as_bytes());
        remember(&mut transaction, &program, &memory);
        transaction.connection(head.client_ip, 0, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        if !head.region_code.is_empty() {
            transaction.country(head.region_code.as_bytes());
        }
        transaction.request_line(head.method, head.uri, head.version);
        for header in head.headers {
            transaction.request_header(header.name, header.value);
        }
        if head.header_values(b"host").next().is_none() && !head.host.is_empty() {
            transaction.request_header(b"Host", head.host);
        }
        if let Some(shape) = labelled {
            transaction.body_type(shape.media_type());
        }
        let mut run =
            Self { program, memory, transaction, matches: Vec::new(), read: 0, gave_up: false };
        let outcome = run.transaction.request_headers();
        run.collect(outcome);
        if let Some(shape) = labelled {
            // Rules may have chosen again, by the client's label.
            run.transaction.body_type(shape.media_type());
        }
        run
    }

    /// Runs phase 2.
    fn inspect(&mut self, body: &[u8]) {
        if !body.is_empty() {
            let appended = self.transaction.request_body(body);
            self.collect(appended);
        }
        let outcome = self.transaction.request_body_end();
        self.collect(outcome);
    }

    /// Takes over what matched since the last phase. Interruptions are recorded by the engine, not applied.
    fn collect(&mut self, _outcome: Outcome) {
        for found in self.transaction.matches().iter().skip(self.read) {
            if self.matches.len() < MATCHES_MAX
                && let Some(info) = self.program.rules().get(found.rule.get())
            {
                self.matches.push(kept(info, found));
            }
        }
        self.read = self.transaction.matches().len();
        self.gave_up |= self.transaction.budget_exhausted() || self.transaction.overflowed();
    }

    /// Takes over what another reading of the same request found beyond this one.
    fn join(&mut self, other: Self) {
        self.gave_up |= other.gave_up;
        for found in other.matches {
            if self.matches.len() < MATCHES_MAX && !self.matches.contains(&found) {
                self.matches.push(found);
            }
        }
    }
}

impl WafRun for EngineRun {
    fn body(&mut self, head: &RequestHead<'_>, body: &[u8], _end: BodyEnd) {
        let readings = readings(Shape::of_label(head), body);
        if let Some(shape) = readings.first {
            self.transaction.body_type(shape.media_type());
        }
        self.inspect(body);
        if let Some(shape) = readings.second {
            // It counts nothing a second time.
            let memory = self.memory.clone().read_only();
            let mut again = Self::begin(Arc::clone(&self.program), head, Some(shape), memory);
            again.inspect(body);
            self.join(again);
        }
    }

    fn matches(&self) -> &[WafMatch] {
        &self.matches
    }

    fn gave_up(&self) -> bool {
        self.gave_up
    }
}

/// Tells a transaction the time, and gives it what collections hold where its rules open one.
pub(super) fn remember(transaction: &mut Transaction, program: &Program, memory: &Memory) {
    transaction.received(memory.now().as_secs());
    if program.opens_collections() {
        transaction.set_store(Arc::new(memory.clone()));
    }
}

fn kept(info: &RuleInfo, found: &Match) -> WafMatch {
    let part = found.value.get(found.offset..).unwrap_or(&found.value);
    let length = if found.len == 0 { part.len() } else { found.len };
    WafMatch {
        id: info.id,
        field: field(found.source),
        name: found.name.clone(),
        value: part.iter().take(length.min(VALUE_BYTES_MAX)).copied().collect(),
        length: found.value_len,
        offset: found.offset,
        matched_length: found.len,
        link: found.link,
        is_chained: info.links.len() > 1,
    }
}

fn field(variable: Variable) -> WafField {
    match variable.as_str() {
        "ARGS" | "ARGS_GET" | "ARGS_POST" => WafField::ArgValue,
        "ARGS_NAMES" | "ARGS_GET_NAMES" | "ARGS_POST_NAMES" => WafField::ArgName,
        "REQUEST_COOKIES" => WafField::CookieValue,
        "REQUEST_COOKIES_NAMES" => WafField::CookieName,
        "REQUEST_HEADERS" => WafField::HeaderValue,
        "REQUEST_HEADERS_NAMES" => WafField::HeaderName,
        "REQUEST_URI" | "REQUEST_URI_RAW" | "QUERY_STRING" => WafField::Uri,
        "REQUEST_LINE" => WafField::RequestLine,
        "REQUEST_FILENAME" | "REQUEST_BASENAME" | "PATH_INFO" => WafField::Filename,
        "REQUEST_BODY" | "XML" | "FILES" | "FILES_NAMES" | "MULTIPART_PART_HEADERS" => {
            WafField::Body
        }
        "REQUEST_METHOD" => WafField::Method,
        _ => WafField::Other,
    }
}
