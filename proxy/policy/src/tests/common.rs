//! Values that rules share are worked out once for a request: what each rule makes of them must stay what it makes alone.

use proptest::prelude::*;

use super::{Request, rule, verdict};

/// Expressions that read the same few values, in more than one way.
const EXPRESSIONS: &[&str] = &[
    "has(request.headers['x-a'])",
    "request.headers['x-a'].contains('evil')",
    "request.headers['x-a'].lower().contains('evil')",
    "request.headers['x-a'].lower().urlDecode().startsWith('evil')",
    "request.headers['x-a'].urlDecode().lower().startsWith('evil')",
    "request.headers['x-a'] == 'evil,twice'",
    "size(request.headers['x-a']) > 6",
    "int(request.headers['x-a']) == 7",
    "int(request.headers['x-a']) < 7 || request.path.startsWith('/a')",
    "request.headers['x-b'] == request.headers['x-a']",
    "!has(request.headers['x-b'])",
    "request.headers['cookie'].contains('sid')",
    "request.cookies['sid'] == 'evil'",
    "request.cookies['sid'].contains(request.headers['x-b'])",
    "request.path.lower().endsWith('evil')",
    "request.path.urlDecode().lower().endsWith('evil')",
    "request.path.contains('')",
    "request.query.urlDecode().contains('evil')",
    "request.params['q'] == 'evil'",
    "has(request.params['q']) && request.params['q'].lower() == 'evil'",
    "has(request.params['r'])",
];

/// Returns which of the rules matched and which met an error.
fn outcome(rules: &str, request: &Request) -> (Vec<u32>, Vec<u32>) {
    let found = verdict(rules, request);
    (found.previews.iter().map(|hit| hit.priority).collect(), found.errors)
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["evil", "EVIL", "%65vil", "%45VIL", "7", "6", "", "twice"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rules_that_share_values_find_what_each_finds_alone(
        chosen in prop::sample::subsequence((0..EXPRESSIONS.len()).collect::<Vec<_>>(), 1..EXPRESSIONS.len()),
        headers in prop::collection::vec((prop::sample::select(vec!["x-a", "X-A", "x-b"]), value()), 0..4),
        cookie in prop::option::of(value()),
        path in value(),
        query in value(),
        body in prop::option::of(value()),
    ) {
        let uri = format!("/a/{path}?q={query}");
        let body = body.map(|value| format!("q={value}&r=1"));
        let mut request = match &body {
            Some(body) => Request::post(&uri, body.as_bytes()),
            None => Request::get(&uri),
        };
        for (name, value) in &headers {
            request = request.header(name, value.as_bytes());
        }
        if let Some(cookie) = cookie {
            request = request.header("cookie", format!("sid={cookie}").as_bytes());
        }
        let rules: Vec<String> = chosen
            .iter()
            .filter_map(|at| Some(rule(u32::try_from(*at).ok()?, "log", EXPRESSIONS.get(*at)?)))
            .collect();
        let mut alone = (Vec::new(), Vec::new());
        for rule in &rules {
            let (matched, errors) = outcome(rule, &request);
            alone.0.extend(matched);
            alone.1.extend(errors);
        }
        prop_assert_eq!(outcome(&rules.concat(), &request), alone);
    }
}
