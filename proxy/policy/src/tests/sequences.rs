//! The table of policies and sequences of requests; see `testdata/sequences.txt`.

use std::sync::Arc;
use std::time::Duration;

use super::conformance::read;
use super::{NOON, policy, state};
use crate::{Decision, Policy, State, Verdict};

/// How many lines with requests there are at least.
const LINES_MIN: usize = 100;

/// A policy that is being asked.
struct Case {
    policy: Arc<Policy>,
    state: State,
    secs: u64,
}

#[test]
fn every_sequence_of_the_table_holds() {
    let table = include_str!("../../testdata/sequences.txt");
    let (mut asked, mut wrong) = (0, Vec::new());
    for (title, rules, lines) in cases(table) {
        let source = title.split(':').next().unwrap();
        assert!(source == "ext" || source.starts_with(|c: char| c.is_ascii_digit()), "{title}");
        let mut case = Case { policy: policy(&rules), state: state(), secs: 0 };
        for line in lines {
            asked += 1;
            if let Err(found) = case.ask(line) {
                wrong.push(format!("{title}: {line}: {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked >= LINES_MIN, "{asked}");
}

/// Title, rules and lines with requests of each case.
fn cases(table: &str) -> Vec<(&str, String, Vec<&str>)> {
    let mut cases: Vec<(&str, String, Vec<&str>)> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix("== ") {
            cases.push((title, String::new(), Vec::new()));
            continue;
        }
        let (_, rules, lines) = cases.last_mut().expect("a case begins with its title");
        if line.starts_with("- ") {
            rules.push_str(line);
            rules.push('\n');
        } else {
            lines.push(line);
        }
    }
    cases
}

impl Case {
    fn ask(&mut self, line: &str) -> Result<(), String> {
        let (words, expected) = line.split_once(" => ").expect(line);
        let mut words: Vec<&str> = words.split(' ').collect();
        if let Some(secs) = words[0].strip_prefix('+') {
            self.secs += secs.parse::<u64>().unwrap();
            words.remove(0);
        }
        let times = words[0].strip_suffix('x').and_then(|times| times.parse().ok());
        if times.is_some() {
            words.remove(0);
        }
        let request = read(&words.join(" "));
        let now = NOON.plus(Duration::from_secs(self.secs));
        for number in 1..=times.unwrap_or(1) {
            let found = said(&request.through(&self.policy, &self.state, now).0);
            if found != expected {
                return Err(format!("request {number} gets {found}"));
            }
        }
        Ok(())
    }
}

fn said(verdict: &Verdict) -> String {
    let decision = match &verdict.decision {
        Decision::Allow => "allow".to_owned(),
        Decision::Deny { status } | Decision::TooMany { status, .. } => format!("deny({status})"),
        Decision::Redirect { status, .. } => format!("redirect({status})"),
    };
    format!("{decision} {}", verdict.enforced.priority)
}
