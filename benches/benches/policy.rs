//! What does a request pay for its policy? Conditions without WAF, the shipped policy on a clean request, a limit's
//! check on few and on a million keys, an address in a list of a million prefixes, and that list's loading.
//!
//! `cargo bench -p portcullis-benches --no-default-features --features policy --bench policy -- [NAME] [--record]` runs
//! one of `conditions`, `limits`, `lists` and `memory`, or all of them; `--once` makes every call once, for counting
//! instructions.
//!
//! Every figure is the time of one thread, the least of many short rounds. What a rule costs is a policy of fifty of
//! them less one of none, by fifty. The peer of the limiter is `governor` with the same key: one moment per key (GCRA)
//! where ours keeps a window of 33 slots. Keys are made for each call, as the edge makes them for each request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::{Quota, RateLimiter};
use portcullis_benches::mode::Mode;
use portcullis_benches::{machine, record};
use portcullis_config::{SourceFile, Timestamp, armor};
use portcullis_policy::waf::WafRules;
use portcullis_policy::{
    GeoState, Header, Input, IpSet, Limit, LimitKey, Limits, Materials, Policy, RequestHead,
    Scheme, State, Step, Threshold,
};
use portcullis_rulesets::{RuleSet, Source};

/// The product's, so that allocations cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEFAULT: &str = "- { priority: 2147483647, action: allow, match: { srcIpRanges: ['*'] } }\n";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const MILLION: u32 = 1_000_000;
/// Asks for one part of `memory`.
const ALONE: &str = "--grow-by";
/// How many rules of one kind are measured together.
const RULES: u32 = 50;

/// What was measured, in nanoseconds, and the peer's figure.
struct Row {
    what: String,
    ours: f64,
    /// What one rule of them costs.
    each: Option<f64>,
    peer: Option<f64>,
}

impl Row {
    fn new(what: &str, ours: f64) -> Self {
        Self { what: what.to_owned(), ours, each: None, peer: None }
    }

    fn write(&self) -> String {
        let or_dash = |figure: Option<String>| figure.unwrap_or_else(|| "–".to_owned());
        let each = or_dash(self.each.map(|each| format!("{each:.1}")));
        let peer = or_dash(self.peer.map(|peer| format!("{peer:.0}")));
        let times = or_dash(self.peer.map(|peer| format!("{:.1}", self.ours / peer)));
        format!("| {} | {:.0} | {each} | {peer} | {times} |\n", self.what, self.ours)
    }
}

fn main() -> io::Result<()> {
    let asked: Vec<String> = std::env::args().collect();
    if let [.., flag, most] = asked.as_slice()
        && flag == ALONE
    {
        let most = most.parse().map_err(io::Error::other)?;
        return record::publish(Mode::OnePass, "policy", &growth(Mode::from_args(), most));
    }
    let has = |name: &str| asked.iter().any(|arg| arg == name);
    let is_all = !["conditions", "limits", "lists", "memory"].into_iter().any(has);
    let bench = Bench { mode: Mode::from_args(), once: has("--once") };
    let mut text = format!("# The policy\n\n{}; nanoseconds, minima.\n\n", machine::describe());
    text.push_str("| what | ns | each rule, ns | governor, ns | times |\n|---|---|---|---|---|\n");
    if is_all || has("conditions") {
        text.extend(bench.conditions().iter().map(Row::write));
    }
    if is_all || has("limits") {
        text.extend(bench.limits().iter().map(Row::write));
    }
    if is_all || has("lists") {
        let (row, loading) = bench.lists()?;
        write!(text, "{}\n{loading}\n", row.write()).expect("text takes all");
    }
    if is_all || has("memory") {
        writeln!(text, "\n{}", memory()?).expect("text takes all");
    }
    record::publish(bench.mode, "policy", text.trim_end())
}

struct Bench {
    mode: Mode,
    once: bool,
}

impl Bench {
    /// Returns the least time of one call, in nanoseconds, over rounds of so many: short ones, of which some are not
    /// interrupted.
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    fn least(&self, calls: u32, mut once: impl FnMut(u32)) -> f64 {
        let calls = if self.mode == Mode::OnePass || self.once { 1 } else { calls };
        let mut least = f64::INFINITY;
        for round in 0..self.mode.rounds(300) {
            let first = u32::try_from(round).unwrap_or(0).wrapping_mul(calls);
            let start = Instant::now();
            for call in 0..calls {
                once(first.wrapping_add(call));
            }
            least = least.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
        }
        least
    }

    fn conditions(&self) -> Vec<Row> {
        let cases = [
            ("rules that compare the path", "request.path == '/never/{n}'"),
            (
                "rules that compare the method and the path",
                "request.method == 'POST' && request.path.startsWith('/never/{n}')",
            ),
            ("rules on the path by regex", "request.path.matches('^/never/{n}[a-z]+/')"),
            ("rules by country and network", "origin.region_code == 'X{n}' || origin.asn == {n}"),
            ("rules by address", "inIpRange(origin.ip, '192.0.{n}.0/24')"),
            (
                "rules on a header",
                "has(request.headers['user-agent']) && request.headers['user-agent'].contains('never{n}')",
            ),
            (
                "rules on a header of their own that is absent",
                "has(request.headers['x-never-{n}']) && request.headers['x-never-{n}'] == 'a'",
            ),
            (
                "rules on the path, decoded",
                "request.path.urlDecode().lower().startsWith('/never/{n}')",
            ),
        ];
        let (none, one) = (self.rules(0, ""), self.rules(1, cases[0].1));
        let mut rows = vec![Row::new("no rule but the default", none)];
        rows.push(Row { each: Some(one - none), ..Row::new("1 rule that compares the path", one) });
        rows.extend(cases.into_iter().map(|(what, expression)| {
            let ours = self.rules(RULES, expression);
            let each = Some((ours - none) / f64::from(RULES));
            Row { each, ..Row::new(&format!("{RULES} {what}"), ours) }
        }));
        let shipped = armor::builtin("license-api").expect("it is built in");
        let ours = self.evaluation(&policy(shipped.text()), 100);
        rows.push(Row::new("the shipped policy, a clean GET", ours));
        rows
    }

    fn rules(&self, count: u32, expression: &str) -> f64 {
        let rules: String =
            (0..count).map(|n| rule(n, &expression.replace("{n}", &n.to_string()))).collect();
        self.evaluation(&policy(&format!("name: p\nrules:\n{rules}{DEFAULT}")), 1_000)
    }

    fn evaluation(&self, policy: &Arc<Policy>, calls: u32) -> f64 {
        let state = State::new(Limits::default());
        let headers = [
            Header { name: b"host", value: b"licenses.example.com" },
            Header {
                name: b"user-agent",
                value: b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            },
            Header { name: b"accept", value: b"application/json" },
        ];
        self.least(calls, |call| {
            let client_ip = IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + call));
            evaluate(policy, &state, &head(client_ip, &headers));
        })
    }

    fn limits(&self) -> Vec<Row> {
        [
            ("16 keys at random", 16, 16),
            ("10,000 keys at random", 10_000, 10_000),
            ("10,000 of 1,000,000 keys at random", MILLION, 10_000),
            ("1,000,000 keys at random", MILLION, MILLION),
        ]
        .into_iter()
        .map(|(what, live, asked)| self.limit(what, live, asked))
        .collect()
    }

    /// Checks keys at random of the first `asked`, of which `live` are in the table.
    fn limit(&self, what: &str, live: u32, asked: u32) -> Row {
        let limit = limit(200);
        let state = State::new(Limits::default());
        let quota = Quota::per_minute(NonZeroU32::new(200).expect("not zero"));
        let governor = RateLimiter::keyed(quota);
        let chosen = |call: u32| key(call.wrapping_mul(2_246_822_519) % asked);
        for n in 0..if self.mode == Mode::OnePass { 1 } else { live } {
            state.check(&limit, &key(n), NOW);
            black_box(governor.check_key(&key(n)).is_ok());
        }
        let ours = self.least(5_000, |call| {
            black_box(state.check(&limit, &chosen(call), NOW));
        });
        let peer = self.least(5_000, |call| {
            black_box(governor.check_key(&chosen(call)).is_ok());
        });
        Row { peer: Some(peer), ..Row::new(&format!("a limit's check, {what}"), ours) }
    }

    /// A list is read from its file as a configuration's is, then asked.
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    fn lists(&self) -> io::Result<(Row, String)> {
        let count = if self.mode == Mode::OnePass { 1_000 } else { MILLION };
        let mut file = tempfile::NamedTempFile::new()?;
        let mut lines = String::new();
        for n in 0..count {
            // Of each length from /25 to /32, so that most do not touch.
            let length = 25 + n % 8;
            let net = spread(n).to_bits() & (u32::MAX << (32 - length));
            writeln!(lines, "{}/{length}", Ipv4Addr::from_bits(net)).expect("text takes all");
        }
        file.write_all(lines.as_bytes())?;
        let load = || -> io::Result<IpSet> {
            let text = std::fs::read_to_string(file.path())?;
            Ok(IpSet::read(&SourceFile::new("list", text)).expect("every line is a network"))
        };
        let mut least = f64::INFINITY;
        for _ in 0..self.mode.rounds(5) {
            let start = Instant::now();
            black_box(load()?);
            least = least.min(start.elapsed().as_secs_f64());
        }
        let set = load()?;
        let ours = self.least(5_000, |call| {
            black_box(set.contains(Ipv4Addr::from_bits(call.wrapping_mul(2_246_822_519)).into()));
        });
        let loading = format!(
            "A list of {} prefixes is read from its file in {:.0} ms.",
            set.len(),
            least * 1e3
        );
        Ok((Row::new("an address at random in a list of 1,000,000", ours), loading))
    }
}

fn limit(count: u32) -> Limit {
    let threshold = Threshold::new(count, Duration::from_secs(60)).expect("a limit that counts");
    Limit::new("bench/1", "IP", threshold, None)
}

fn key(n: u32) -> LimitKey {
    LimitKey::address(spread(n).into())
}

/// Spreads numbers over all addresses; no two share one.
fn spread(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761))
}

/// How much a process grows by a million keys, for each width of slot: each in a process of its own, where nothing is
/// left of what was measured before.
fn memory() -> io::Result<String> {
    let grown = |most: &str| -> io::Result<String> {
        let mut alone = Command::new(std::env::current_exe()?);
        let output = alone.args(std::env::args().skip(1)).args([ALONE, most]).output()?;
        let text = String::from_utf8(output.stdout).map_err(io::Error::other)?;
        Ok(text.trim().to_owned())
    };
    let (small, large) = (grown("200")?, grown("1000000")?);
    Ok(format!("Memory of a million keys: {small} with counts up to 255, {large} with any above."))
}

/// Says how much this process grows by a million keys of a limit of so many.
fn growth(mode: Mode, most: u32) -> String {
    let count = if mode == Mode::OnePass { 1_000 } else { MILLION };
    let (state, limit) = (State::new(Limits::default()), limit(most));
    let before = resident_kib();
    for n in 0..count {
        state.check(&limit, &key(n), NOW);
    }
    let mib = resident_kib().saturating_sub(before) / 1024;
    format!("{mib} MiB for {} live keys", state.figures().keys_live)
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn rule(priority: u32, expression: &str) -> String {
    format!(
        "- {{ priority: {priority}, action: deny(403), match: {{ expr: {{ expression: \"{expression}\" }} }} }}\n"
    )
}

fn policy(text: &str) -> Arc<Policy> {
    let parsed = armor::parse(&SourceFile::new("bench", text));
    let (definition, _) = parsed.expect("the bench's policy loads");
    let core = RuleSet::load("core", &Source::Builtin("core".into()), 1)
        .expect("the built-in rules compile");
    let mut rulesets: BTreeMap<String, Arc<dyn WafRules>> = BTreeMap::new();
    rulesets.insert("core".into(), core.set);
    let lists = BTreeMap::from([("known-bad".to_owned(), Arc::new(IpSet::default()))]);
    let (geo, asn) = (GeoState::Loaded, GeoState::Loaded);
    let materials = Materials { rulesets: &rulesets, lists: &lists, geo, asn };
    let (policy, _) =
        Policy::compile(&definition, &materials).expect("the bench's policy compiles");
    Arc::new(policy)
}

fn head<'a>(client_ip: IpAddr, headers: &'a [Header<'a>]) -> RequestHead<'a> {
    RequestHead {
        id: "",
        client_ip,
        region_code: "DE",
        asn: 64_500,
        sni: None,
        ja3: "",
        ja4: "",
        certificate: None,
        scheme: Scheme::Https,
        host: b"licenses.example.com",
        method: b"GET",
        path: b"/api/v1/licenses/42/",
        query: b"expand=seats&page=2",
        uri: b"/api/v1/licenses/42/?expand=seats&page=2",
        version: b"HTTP/2",
        headers,
        bypass_limits: false,
    }
}

fn evaluate(policy: &Arc<Policy>, state: &State, head: &RequestHead<'_>) {
    let mut cursor = policy.start();
    let mut step = cursor.advance(head, state, NOW);
    loop {
        step = match step {
            Step::NeedIdentity => cursor.resume(Input::Identity(None), head, state, NOW),
            Step::NeedBody => cursor.resume(Input::NoBody, head, state, NOW),
            Step::Done(verdict) => {
                black_box(verdict);
                return;
            }
        };
    }
}
