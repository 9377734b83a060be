//! The metrics that a PromQL expression names.

use std::collections::BTreeSet;

/// Words of the language that stand where a metric could.
const WORDS: &[&str] = &[
    "absent",
    "and",
    "by",
    "changes",
    "count",
    "histogram_quantile",
    "ignoring",
    "increase",
    "le",
    "max",
    "min",
    "offset",
    "on",
    "or",
    "rate",
    "sum",
    "time",
    "topk",
    "unless",
    "vector",
    "without",
];

/// Returns the names; panics at a bracket that is not closed.
pub(super) fn metrics(expression: &str) -> BTreeSet<String> {
    let bare = without_labels(&without(&without(expression, '{', '}'), '[', ']'));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = bare.split(|c| !is_name(c)).filter(|word| !is_number(word));
    words.filter(|word| !WORDS.contains(word)).map(str::to_owned).collect()
}

/// Numbers and durations (`5m`).
fn is_number(word: &str) -> bool {
    word.chars().next().is_none_or(|first| first.is_ascii_digit())
}

/// Takes out what stands between two brackets.
fn without(text: &str, open: char, close: char) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once(open) {
        kept.push_str(before);
        rest = after.split_once(close).expect("every bracket is closed").1;
    }
    kept + rest
}

/// Takes out the labels of `by (…)`, `on (…)`, `ignoring (…)` and `without (…)`.
fn without_labels(text: &str) -> String {
    ["by", "on", "ignoring", "without"].iter().fold(text.to_owned(), |text, word| {
        let mut rest = text.as_str();
        let mut kept = String::new();
        while let Some(at) =
            rest.find(&format!(" {word} (")).or_else(|| rest.find(&format!(" {word}(")))
        {
            let (before, after) = rest.split_at(at);
            kept.push_str(before);
            kept.push(' ');
            rest = after.split_once(')').expect("every bracket is closed").1;
        }
        kept + rest
    })
}

#[test]
fn metrics_are_found_and_labels_and_functions_are_not() {
    let named = metrics(
        "sum by (job, le) (rate(a_total{code=~\"4..\", x=\"b_total\"}[5m])) / ignoring(state) c:d > 14.4 * 0.001 and on (job) changes(e[20m]) > 0",
    );
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["a_total", "c:d", "e"]);
}
