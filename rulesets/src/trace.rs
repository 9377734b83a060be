//! One request through a set with everything written down: which rules ran, what each matched and where, the scores,
//! and what each rule cost.

use crate::RuleSet;
use crate::ftw::Request;
use seclang::{Clock, EngineMode, Outcome, Transaction};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// Every rule that ran, in order.
    pub ran: Vec<RanRule>,
    /// Every (rule, variable) match, in order.
    pub matches: Vec<Matched>,
    /// The set variables of `TX` that hold scores.
    pub scores: Vec<(String, String)>,
    /// The rule that would have refused the request, and with which status; rule 0 is a limit.
    pub verdict: Option<(u32, u16)>,
    /// Steps of the budget that were taken.
    pub steps: u64,
    /// Whether a limit kept rules from seeing everything.
    pub gave_up: bool,
}

/// A rule that ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RanRule {
    /// Its id.
    pub id: u32,
    /// The phase.
    pub phase: u8,
    /// Whether it matched.
    pub matched: bool,
    /// Steps of the budget.
    pub steps: u64,
    /// How long it took, if a clock was given.
    pub nanos: Option<u64>,
}

/// One match of one value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matched {
    /// The rule's id.
    pub id: u32,
    /// The link of its chain, counted from 1.
    pub link: u8,
    /// The variable as the rule names it.
    pub variable: &'static str,
    /// The name inside a collection.
    pub name: Vec<u8>,
    /// The value that the operator read, cut after 512 bytes.
    pub value: Vec<u8>,
    /// Its length before that.
    pub value_bytes: usize,
    /// Whether the rule logs.
    pub logs: bool,
}

impl RuleSet {
    /// Runs the request's phases, detecting only. Nothing is read but what is given.
    pub fn trace(&self, request: &Request, client: IpAddr, clock: Option<Arc<dyn Clock>>) -> Trace {
        let mut transaction = Transaction::new(Arc::clone(self.program()));
        transaction.set_engine(EngineMode::DetectionOnly);
        transaction.set_trace(true);
        transaction.watch(clock);
        let budget = transaction.steps_left();
        transaction.connection(client, 0, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        transaction.request_line(&request.method, &request.uri, &request.version);
        for (name, value) in &request.headers {
            transaction.request_header(name, value);
        }
        let _ = transaction.request_headers() == Outcome::Continue
            && transaction.request_body(&request.body) == Outcome::Continue
            && transaction.request_body_end() == Outcome::Continue;
        Trace {
            ran: self.ran(&transaction),
            matches: self.matched(&transaction),
            scores: scores(&transaction),
            verdict: transaction.detected().map(|found| (found.rule_id, found.status)),
            steps: budget.saturating_sub(transaction.steps_left()),
            gave_up: transaction.budget_exhausted() || transaction.overflowed(),
        }
    }

    fn ran(&self, transaction: &Transaction) -> Vec<RanRule> {
        let rules = self.program().rules();
        let ran = transaction.ran().iter().filter_map(|ran| {
            let id = rules.get(ran.rule.get())?.id;
            let seclang::Ran { phase, matched, steps, nanos, .. } = *ran;
            Some(RanRule { id, phase, matched, steps, nanos })
        });
        ran.collect()
    }

    fn matched(&self, transaction: &Transaction) -> Vec<Matched> {
        let rules = self.program().rules();
        let matched = transaction.matches().iter().filter_map(|found| {
            let rule = rules.get(found.rule.get())?;
            Some(Matched {
                id: rule.id,
                link: found.link.saturating_add(1),
                variable: found.variable.as_str(),
                name: found.name.clone(),
                value: found.value.clone(),
                value_bytes: found.value_len,
                logs: rule.log,
            })
        });
        matched.collect()
    }
}

fn scores(transaction: &Transaction) -> Vec<(String, String)> {
    let variables = transaction.tx_variables();
    let mut scores: Vec<(String, String)> = variables
        .into_iter()
        .map(|(name, value)| {
            (name.escape_ascii().to_string().to_lowercase(), value.escape_ascii().to_string())
        })
        .filter(|(name, value)| name.contains("score") && value != "0")
        .collect();
    scores.sort();
    scores
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that moves by ten at each look.
    #[derive(Debug, Default)]
    struct Ticking(AtomicU64);

    impl Clock for Ticking {
        fn nanos(&self) -> u64 {
            self.0.fetch_add(10, Ordering::Relaxed)
        }
    }

    #[test]
    fn a_trace_says_what_ran_what_matched_and_what_it_scored() {
        let folder = tempfile::tempdir().unwrap();
        let text = "SecRule ARGS \"@contains bad\" \"id:1,phase:1,pass,log,setvar:tx.score=+5\"\n\
            SecRule ARGS \"@contains worse\" \"id:2,phase:2,pass,log\"\n\
            SecRule TX:score \"@ge 5\" \"id:3,phase:2,deny,status:403,nolog\"\n";
        std::fs::write(folder.path().join("a.conf"), text).unwrap();
        let set = RuleSet::load("x", &Source::Directory(folder.path().to_owned()), 1).unwrap().set;
        let request = Request::from_bytes(b"GET /?a=bad&b=%00bad HTTP/1.1\r\nHost: x\r\n\r\n");
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let trace = set.trace(&request, client, Some(Arc::new(Ticking::default())));
        let ran: Vec<(u32, bool)> = trace.ran.iter().map(|ran| (ran.id, ran.matched)).collect();
        assert_eq!(ran, [(9_599_001, true), (1, true), (2, false), (3, true)]);
        assert!(trace.ran.iter().all(|ran| ran.nanos == Some(10)));
        let matched: Vec<(u32, &[u8], bool)> =
            trace.matches.iter().map(|m| (m.id, m.name.as_slice(), m.logs)).collect();
        assert_eq!(matched, [(1, b"a".as_slice(), true), (1, b"b", true), (3, b"score", false)]);
        assert_eq!(trace.scores, [("score".to_owned(), "10".to_owned())]);
        assert_eq!(trace.verdict, Some((3, 403)));
        assert!(trace.steps > 0 && !trace.gave_up);
        assert_eq!(set.trace(&request, client, None).ran[1].nanos, None);
    }
}
