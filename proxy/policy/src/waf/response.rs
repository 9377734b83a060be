//! The answer's side of a rule set: phases 3 and 4 of its rules over one answer, held whole or in part.
//!
//! A policy decides about requests and asks many questions of one run; an answer is judged by the rules' own word, so the
//! engine runs here as its authors meant it: what they refuse is refused.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use portcullis_rulesets::RuleSet;
use seclang::{EngineMode, Outcome, Program, RuleIndex, Transaction};

use super::rule_set::remember;
use crate::request::{Header, RequestHead};
use crate::state::Memory;

/// The rules that answers are judged by.
#[derive(Clone, Debug)]
pub struct AnswerRules {
    program: Arc<Program>,
}

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// The status.
    pub status: u16,
    /// `HTTP/1.1`, `HTTP/2`, ….
    pub version: &'a [u8],
    /// The headers in their order.
    pub headers: &'a [Header<'a>],
}

/// What the rules say of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFinding {
    /// The rules that matched in the answer, in their order; those with `nolog` are left out.
    pub matched: Vec<u32>,
    /// Why it is not to be sent.
    pub refusal: Option<AnswerRefusal>,
}

/// Why an answer is not to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRefusal {
    /// The rule that refused; 0 for a limit of the engine's.
    pub rule_id: u32,
    /// What it says, for the log.
    pub message: String,
}

/// How many matched rules are told.
const MATCHED_MAX: usize = 16;

impl AnswerRules {
    /// Takes the rules of a set.
    #[must_use]
    pub fn of(set: &RuleSet) -> Self {
        Self { program: Arc::clone(set.program()) }
    }

    /// Judges an answer to `request`; `body` is what is looked at of its body, empty where only the head is.
    ///
    /// Phase 1 runs first, and refuses nothing: it sets what the later phases compare with. An inspection that runs out
    /// of its budget refuses.
    #[must_use]
    pub fn judge(
        &self,
        request: &RequestHead<'_>,
        answer: &AnswerHead<'_>,
        body: &[u8],
        memory: &Memory,
    ) -> AnswerFinding {
        let mut run = Transaction::new(Arc::clone(&self.program));
        // The request's own run has counted what phase 1 counts.
        remember(&mut run, &self.program, &memory.clone().read_only());
        run.set_engine(EngineMode::DetectionOnly);
        run.unique_id(request.id.as_bytes());
        run.connection(request.client_ip, 0, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        if !request.region_code.is_empty() {
            run.country(request.region_code.as_bytes());
        }
        run.request_line(request.method, request.uri, request.version);
        for header in request.headers {
            run.request_header(header.name, header.value);
        }
        let early = run.request_headers() == Outcome::Interrupted;
        let before = run.fired().len();
        let id_of =
            |rule: RuleIndex| self.program.rules().get(rule.get()).map_or(0, |info| info.id);
        run.set_engine(EngineMode::On);
        remember(&mut run, &self.program, memory);
        run.response_status(answer.status, answer.version);
        for header in answer.headers {
            run.response_header(header.name, header.value);
        }
        let refused = early
            || run.response_headers() == Outcome::Interrupted
            || run.response_body(body) == Outcome::Interrupted
            || run.response_body_end() == Outcome::Interrupted;
        let matched = run.fired().iter().skip(before).map(|fired| id_of(fired.rule));
        let intervention = run.intervention().filter(|_| refused);
        let refusal = intervention.map(|intervention| AnswerRefusal {
            rule_id: intervention.rule_id,
            message: intervention.message.escape_ascii().to_string(),
        });
        AnswerFinding { matched: matched.take(MATCHED_MAX).collect(), refusal }
    }
}

#[cfg(test)]
mod tests {
    use seclang::{Resolve, ResolveError};

    use super::*;
    use crate::request::Scheme;
    use crate::{Limits, State};
    use portcullis_config::Timestamp;

    const RULES: &str = "SecRuleEngine On\n\
        SecAction \"id:1,phase:1,pass,nolog,setvar:tx.limit=5\"\n\
        SecRule RESPONSE_STATUS \"@streq 500\" \"id:2,phase:3,pass,log,setvar:tx.score=+3\"\n\
        SecRule RESPONSE_HEADERS:X-Leak \"@contains secret\" \"id:3,phase:3,deny,log,msg:'a leak'\"\n\
        SecRule RESPONSE_BODY \"@contains stack trace\" \"id:4,phase:4,pass,log,setvar:tx.score=+3\"\n\
        SecRule TX:score \"@ge %{tx.limit}\" \"id:5,phase:4,deny,log,msg:'score'\"\n";

    #[derive(Debug)]
    struct NoFiles;

    impl Resolve for NoFiles {
        fn read(&self, path: &str, _from: &str) -> Result<seclang::Source, ResolveError> {
            Err(ResolveError::NotFound(path.to_owned()))
        }

        fn expand(&self, _pattern: &str, _from: &str) -> Result<Vec<String>, ResolveError> {
            Ok(Vec::new())
        }
    }

    fn rules() -> AnswerRules {
        let compiled = Program::compile("t.conf", RULES, &NoFiles).unwrap();
        AnswerRules { program: Arc::new(compiled.program) }
    }

    fn request() -> RequestHead<'static> {
        RequestHead {
            id: "018cc251-f400-7000-8000-000000000000",
            client_ip: [192, 0, 2, 1].into(),
            region_code: "",
            asn: 0,
            sni: None,
            ja3: "",
            ja4: "",
            certificate: None,
            scheme: Scheme::Https,
            host: b"a.test",
            method: b"GET",
            path: b"/",
            query: b"",
            uri: b"/",
            version: b"HTTP/1.1",
            headers: &[],
            bypass_limits: false,
        }
    }

    fn memory(secs: u64) -> Memory {
        State::new(Limits::default()).memory(Timestamp::from_secs(secs))
    }

    #[test]
    fn an_answer_is_judged_by_its_status_its_headers_and_its_body_together() {
        let rules = rules();
        for (status, leak, body, expected) in [
            (200, "none", "hello", (None, vec![])),
            (500, "none", "hello", (None, vec![2])),
            (200, "none", "a stack trace", (None, vec![4])),
            (500, "none", "a stack trace", (Some(5), vec![2, 4, 5])),
            (200, "a secret", "hello", (Some(3), vec![3])),
        ] {
            let headers = [
                Header { name: b"content-type", value: b"text/plain" },
                Header { name: b"x-leak", value: leak.as_bytes() },
            ];
            let answer = AnswerHead { status, version: b"HTTP/1.1", headers: &headers };
            let found = rules.judge(&request(), &answer, body.as_bytes(), &memory(0));
            let found = (found.refusal.map(|refusal| refusal.rule_id), found.matched);
            assert_eq!(found, expected, "{status} {leak} {body}");
        }
    }

    /// What the request's phase counts is the request's own run's to keep; what the answer's phases count is kept here.
    #[test]
    fn answers_are_counted_across_requests_by_client_and_time() {
        const COUNTING: &str = "SecRuleEngine On\n\
            SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.asked=+1\"\n\
            SecRule RESPONSE_STATUS \"@streq 401\" \"id:2,phase:3,pass,nolog,setvar:ip.failed=+1,expirevar:ip.failed=60\"\n\
            SecRule IP:failed \"@gt 2\" \"id:3,phase:3,deny,log,msg:'too many'\"\n\
            SecRule IP:asked \"@gt 1\" \"id:4,phase:3,deny,log,msg:'counted twice'\"\n";
        let compiled = Program::compile("t.conf", COUNTING, &NoFiles).unwrap();
        let rules = AnswerRules { program: Arc::new(compiled.program) };
        let state = State::new(Limits::default());
        let refused = |client: u8, secs: u64| {
            let request = RequestHead { client_ip: [192, 0, 2, client].into(), ..request() };
            let answer = AnswerHead { status: 401, version: b"HTTP/1.1", headers: &[] };
            let memory = state.memory(Timestamp::from_secs(secs));
            rules.judge(&request, &answer, b"", &memory).refusal.map(|refusal| refusal.rule_id)
        };
        assert_eq!([refused(1, 0), refused(1, 1), refused(1, 2)], [None, None, Some(3)]);
        assert_eq!(refused(2, 2), None);
        assert_eq!(refused(1, 62), None);
    }
}
