//! What does a request pay for its policy? Fifty rules without WAF, one comparison, a million prefixes, the shipped
//! policy on a clean request. Run with `cargo bench -p portcullis-policy`; `BENCH_ONCE=1` runs each once.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net};
use portcullis_config::{SourceFile, Timestamp, armor};
use portcullis_policy::waf::WafRules;
use portcullis_policy::{
    GeoState, Header, Input, IpSet, Limits, Materials, Policy, RequestHead, Scheme, State, Step,
};
use portcullis_rulesets::{RuleSet, Source};

const DEFAULT: &str = "- { priority: 2147483647, action: allow, match: { srcIpRanges: ['*'] } }\n";

fn main() {
    let fifty: String =
        (0..50).map(|n| rule(n, &format!("request.path == '/never/{n}'"))).collect();
    evaluation(
        "50 comparison rules",
        &policy(&format!("name: p\nrules:\n{fifty}{DEFAULT}")),
        200_000,
    );
    let none = format!("name: p\nrules:\n{DEFAULT}");
    evaluation("no rule but the default", &policy(&none), 1_000_000);
    let shipped = armor::builtin("license-api").expect("it is built in");
    evaluation("the shipped policy, clean GET", &policy(shipped.text()), 5_000);
    prefixes();
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
    rulesets.insert("core".into(), Arc::new(core.set));
    let lists = BTreeMap::from([("known-bad".to_owned(), Arc::new(IpSet::default()))]);
    let materials = Materials {
        rulesets: &rulesets,
        lists: &lists,
        geo: GeoState::Loaded,
        asn: GeoState::Absent,
    };
    let (policy, _) =
        Policy::compile(&definition, &materials).expect("the bench's policy compiles");
    Arc::new(policy)
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn timed(name: &str, iterations: u32, mut once: impl FnMut(u32)) {
    let iterations = if std::env::var_os("BENCH_ONCE").is_some() { 1 } else { iterations };
    let start = Instant::now();
    for iteration in 0..iterations {
        once(iteration);
    }
    let each = start.elapsed() / iterations;
    println!("{name}: {each:?} each of {iterations}");
}

fn evaluation(name: &str, policy: &Arc<Policy>, iterations: u32) {
    let state = State::new(Limits::default());
    let headers = [
        Header { name: b"host", value: b"licenses.example.com" },
        Header {
            name: b"user-agent",
            value: b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        },
        Header { name: b"accept", value: b"application/json" },
    ];
    timed(name, iterations, |iteration| {
        let head = RequestHead {
            client_ip: IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + iteration)),
            region_code: "DE",
            asn: 0,
            sni: None,
            ja3: "",
            ja4: "",
            scheme: Scheme::Https,
            host: b"licenses.example.com",
            method: b"GET",
            path: b"/api/v1/licenses/42/",
            query: b"expand=seats&page=2",
            uri: b"/api/v1/licenses/42/?expand=seats&page=2",
            version: b"HTTP/2",
            headers: &headers,
            bypass_limits: false,
        };
        let now = Timestamp::from_secs(1_800_000_000);
        let mut cursor = policy.start();
        let mut step = cursor.advance(&head, &state, now);
        loop {
            step = match step {
                Step::NeedIdentity => cursor.resume(Input::Identity(None), &head, &state, now),
                Step::NeedBody => cursor.resume(Input::NoBody, &head, &state, now),
                Step::Done(verdict) => {
                    black_box(verdict);
                    return;
                }
            };
        }
    });
}

fn prefixes() {
    let net = |n: u32| {
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761)), 32))
    };
    let mut set = IpSet::default();
    timed("a list of 1,000,000 prefixes, built", 1, |_| set = IpSet::new((0..1_000_000).map(net)));
    timed("a question to it", 2_000_000, |n| {
        black_box(set.contains(IpAddr::V4(Ipv4Addr::from_bits(n.wrapping_mul(40_503)))));
    });
}
