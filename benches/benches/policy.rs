//! What does a request pay for its policy? Conditions without WAF, a limit's check on few and on a million keys, an
//! address in a list of a million, the shipped policy on a clean request.
//!
//! Every figure is processor time of one thread, the least of several rounds. The peer of the limiter is `governor`
//! with a key of its own: one moment per key (GCRA) where ours keeps a window of 33 slots.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::{Quota, RateLimiter};
use ipnet::{IpNet, Ipv4Net};
use portcullis_benches::mode::Mode;
use portcullis_benches::{machine, record};
use portcullis_config::{SourceFile, Timestamp, armor};
use portcullis_policy::waf::WafRules;
use portcullis_policy::{
    GeoState, Header, Input, IpSet, Limit, LimitKey, Limits, Materials, Policy, RequestHead,
    Scheme, State, Step, Threshold,
};
use portcullis_rulesets::{RuleSet, Source};

const DEFAULT: &str = "- { priority: 2147483647, action: allow, match: { srcIpRanges: ['*'] } }\n";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const MILLION: u32 = 1_000_000;

/// What was measured, in nanoseconds, and the peer's figure.
struct Row {
    what: String,
    ours: f64,
    peer: Option<f64>,
}

fn main() -> io::Result<()> {
    let bench = Bench { mode: Mode::from_args(), machine: machine::describe() };
    let mut rows = bench.conditions();
    rows.extend(bench.limits());
    rows.extend(bench.lists());
    let mut text = format!("# The policy\n\n{}; nanoseconds, minima.\n\n", bench.machine);
    text.push_str("| what | ns | governor, ns | times |\n|---|---|---|---|\n");
    for row in rows {
        let peer = row.peer.map_or_else(|| "–".to_owned(), |peer| format!("{peer:.0}"));
        let times =
            row.peer.map_or_else(|| "–".to_owned(), |peer| format!("{:.1}", row.ours / peer));
        writeln!(text, "| {} | {:.0} | {peer} | {times} |", row.what, row.ours)
            .expect("text takes all");
    }
    writeln!(text, "\n{}", memory(bench.mode)).expect("text takes all");
    record::publish(bench.mode, "policy", text.trim_end())
}

struct Bench {
    mode: Mode,
    machine: String,
}

impl Bench {
    /// Returns the least time of one call, in nanoseconds, over rounds of so many.
    #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
    fn least(&self, calls: u32, mut once: impl FnMut(u32)) -> f64 {
        let calls = if self.mode == Mode::OnePass { 1 } else { calls };
        let mut least = f64::INFINITY;
        for round in 0..self.mode.rounds(7) {
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
        let repeated = |count: u32, expression: &str| -> String {
            (0..count).map(|n| rule(n, &expression.replace("{n}", &n.to_string()))).collect()
        };
        let texts = [
            ("no rule but the default", String::new()),
            ("1 comparison rule", repeated(1, "request.path == '/never/{n}'")),
            ("50 comparison rules", repeated(50, "request.path == '/never/{n}'")),
            (
                "50 rules by country and network",
                repeated(50, "origin.region_code == 'X{n}' || origin.asn == {n}"),
            ),
            (
                "50 rules on a header",
                repeated(
                    50,
                    "has(request.headers['user-agent']) && request.headers['user-agent'].contains('never{n}')",
                ),
            ),
            (
                "50 rules on the path, decoded",
                repeated(50, "request.path.urlDecode().lower().startsWith('/never/{n}')"),
            ),
        ];
        let mut rows: Vec<Row> = texts
            .into_iter()
            .map(|(what, rules)| {
                let policy = policy(&format!("name: p\nrules:\n{rules}{DEFAULT}"));
                Row { what: what.to_owned(), ours: self.evaluation(&policy, 100_000), peer: None }
            })
            .collect();
        let shipped = armor::builtin("license-api").expect("it is built in");
        let ours = self.evaluation(&policy(shipped.text()), 3_000);
        rows.push(Row { what: "the shipped policy, a clean GET".to_owned(), ours, peer: None });
        rows
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
        let keys: Vec<LimitKey> = (0..MILLION)
            .map(|n| LimitKey::address(Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761)).into()))
            .collect();
        [("16 keys", 16_u32), ("10,000 keys", 10_000), ("1,000,000 keys", MILLION)]
            .into_iter()
            .map(|(what, count)| {
                let limit = limit(200);
                let state = State::new(Limits::default());
                let quota = Quota::per_minute(NonZeroU32::new(200).expect("not zero"));
                let governor = RateLimiter::keyed(quota);
                let chosen = |call: u32| {
                    let at = call.wrapping_mul(2_246_822_519) % count;
                    keys.get(usize::try_from(at).unwrap_or(0)).expect("below the million")
                };
                let fill = if self.mode == Mode::OnePass { 1 } else { count };
                for key in keys.iter().take(usize::try_from(fill).unwrap_or(1)) {
                    state.check(&limit, key, NOW);
                    black_box(governor.check_key(key).is_ok());
                }
                let ours = self.least(500_000, |call| {
                    black_box(state.check(&limit, chosen(call), NOW));
                });
                let peer = self.least(500_000, |call| {
                    black_box(governor.check_key(chosen(call)).is_ok());
                });
                Row { what: format!("a limit's check, {what} at random"), ours, peer: Some(peer) }
            })
            .collect()
    }

    fn lists(&self) -> Vec<Row> {
        let net = |n: u32| {
            let address = Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761));
            IpNet::V4(Ipv4Net::new_assert(address, 32))
        };
        let count = if self.mode == Mode::OnePass { 1_000 } else { MILLION };
        let set = IpSet::new((0..count).map(net));
        let ours = self.least(500_000, |call| {
            black_box(set.contains(Ipv4Addr::from_bits(call.wrapping_mul(40_503)).into()));
        });
        vec![Row { what: "an address in a list of 1,000,000".to_owned(), ours, peer: None }]
    }
}

fn limit(count: u32) -> Limit {
    let threshold = Threshold::new(count, Duration::from_secs(60)).expect("a limit that counts");
    Limit::new("bench/1", "IP", threshold, None)
}

/// How much the process grows by a million keys, for each width of slot.
fn memory(mode: Mode) -> String {
    let count = if mode == Mode::OnePass { 1_000 } else { MILLION };
    let widths = [("counts up to 255", 200), ("up to 65,535", 60_000), ("above", 1_000_000)];
    let grown: Vec<String> = widths
        .iter()
        .map(|(what, most)| {
            let (state, limit) = (State::new(Limits::default()), limit(*most));
            let before = resident_kib();
            for n in 0..count {
                let address = Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761));
                state.check(&limit, &LimitKey::address(address.into()), NOW);
            }
            let mib = resident_kib().saturating_sub(before) / 1024;
            let figures = state.figures();
            format!("{mib} MiB for {} live keys with {what}", figures.keys_live)
        })
        .collect();
    format!("Memory of a million keys: {}.", grown.join(", "))
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
