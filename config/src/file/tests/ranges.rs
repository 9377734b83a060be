//! Every key with a range takes what stands at its ends and refuses what stands one beyond, with a caret under the value.

use super::super::keys::SECTIONS;
use super::rejections::CASES;
use super::*;
use crate::diagnostic::Diagnostic;

/// A range as its key's row says it.
struct Range {
    unit: &'static str,
    low: &'static str,
    high: &'static str,
}

impl Range {
    /// `number, 1 to 100`, `duration, 1s to 1h`, `size, 1KiB to 1MiB`; `None` for what is none of these.
    fn of(kind: &'static str) -> Option<Self> {
        let (what, range) = kind.split_once(", ")?;
        let (low, high) = range.split_once(" to ")?;
        let unit = match what {
            "number" => "",
            "duration" => "ms",
            "size" => "B",
            _ => return None,
        };
        let are_values =
            [low, high].iter().all(|bound| bound.starts_with(|c: char| c.is_ascii_digit()));
        are_values.then_some(Self { unit, low, high })
    }

    /// A bound in the smallest unit.
    fn amount(bound: &str) -> i64 {
        let digits = bound.trim_end_matches(char::is_alphabetic);
        let factor = match bound.trim_start_matches(digits) {
            "" | "ms" | "B" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            unit => panic!("`{unit}` is no unit"),
        };
        digits.parse::<i64>().expect("a number") * factor
    }

    /// What is tried: its name, the value as it is written, and whether it is taken.
    fn values(&self) -> [(&'static str, String, bool); 4] {
        let (low, high) = (Self::amount(self.low), Self::amount(self.high));
        let write = |amount: i64| format!("{amount}{}", self.unit);
        [
            ("one under", write(low - 1), false),
            ("at its least", write(low), true),
            ("at its most", write(high), true),
            ("one over", write(high + 1), false),
        ]
    }

    /// Whether the problem is that a value is not in the range; what is below zero is no duration and no size at all.
    fn is_named_by(&self, problem: &Diagnostic) -> bool {
        let range = format!("from {} to {}", self.low, self.high);
        let help = problem.help.as_deref().unwrap_or_default();
        let is_below_zero = problem.message.contains("`-1");
        problem.message.contains(&range) || help.contains(&range) || is_below_zero
    }
}

/// The reference sample with another value of this key, and where it begins. The case of the key's rejection knows where
/// the key stands.
fn with(case_from: &str, key: &str, value: &str) -> (String, usize) {
    let (head, behind) = REFERENCE.split_once(case_from).expect("the case stands in the sample");
    let (before, old) = case_from.split_once(&format!("{key}: ")).expect("the case has the key");
    let start = format!("{head}{before}{key}: ");
    let rest = format!("{old}{behind}");
    let end = rest.find([',', ' ', '\n', '}']).expect("the old value ends");
    (format!("{start}{value}{}", rest.split_at(end).1), start.len())
}

#[test]
fn every_range_is_taken_to_its_ends_and_no_further() {
    let mut rows = 0;
    let mut missed = Vec::new();
    for section in SECTIONS {
        for key in section.keys {
            let Some(range) = Range::of(key.kind) else { continue };
            let case = CASES.iter().find(|case| {
                (case.0, case.1) == (section.path, key.name)
                    && case.2.contains(&format!("{}: ", key.name))
            });
            let Some(case) = case else {
                missed.push(format!(
                    "`{}` of `{}` has no case with its value",
                    key.name, section.path
                ));
                continue;
            };
            for (what, value, is_taken) in range.values() {
                let (text, at) = with(case.2, key.name, &value);
                let decoded = decode_text(&text);
                let problem = decoded.problems.iter().find(|problem| range.is_named_by(problem));
                let caret =
                    problem.and_then(|problem| problem.at.as_ref()).map(|place| place.span.clone());
                let expected = (!is_taken).then_some(at..at + value.len());
                if caret != expected || problem.is_some_and(|problem| !problem.is_error()) {
                    missed.push(format!(
                        "`{}` of `{}`, {what}, `{value}`: {}",
                        key.name,
                        section.path,
                        render_all(&decoded.problems, Style::Plain)
                    ));
                }
            }
            rows += 1;
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(rows > 55, "{rows} keys with a range");
}
