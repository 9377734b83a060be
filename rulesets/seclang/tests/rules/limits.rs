//! What bounds a transaction, one under, at and over.

use crate::engine::{get, ids, program, request};
use seclang::{Outcome, Transaction};
use std::sync::Arc;

#[test]
fn a_body_over_its_limit_is_refused_or_cut() {
    let run = |action: &str, length: usize| {
        let rules = program(&format!(
            "SecRequestBodyLimit 10\nSecRequestBodyLimitAction {action}\n\
             SecRule REQUEST_BODY \"@rx x$\" \"id:1,log,pass\"\nSecRule INBOUND_DATA_ERROR \"@eq 1\" \"id:2,log,pass\""
        ));
        let body = vec![b'x'; length];
        let found = request(&rules, "POST", "/", &[("Content-Type", "text/plain")], &body);
        (found.intervention().map(|i| i.status), ids(&found))
    };
    assert_eq!(run("Reject", 9), (None, vec![1]));
    assert_eq!(run("Reject", 10), (None, vec![1]));
    assert_eq!(run("Reject", 11), (Some(413), vec![]));
    assert_eq!(run("ProcessPartial", 10), (None, vec![1]));
    assert_eq!(run("ProcessPartial", 11), (None, vec![1, 2]));
}

#[test]
fn too_many_arguments_are_told() {
    let rules = program(
        "SecArgumentsLimit 2\nSecRule REQBODY_ERROR \"@eq 1\" \"id:1,log,pass\"\nSecRule &ARGS \"@eq 2\" \"id:2,log,pass\"",
    );
    assert_eq!(ids(&get(&rules, "/?a=1")), [0; 0]);
    assert_eq!(ids(&get(&rules, "/?a=1&b=2")), [2]);
    assert_eq!(ids(&get(&rules, "/?a=1&b=2&c=3")), [1, 2]);
}

#[test]
fn the_step_budget_ends_a_transaction_that_costs_too_much() {
    let rules =
        program("SecRule ARGS \"@rx ^(a|b|ab)*c\" \"id:1,log,pass,t:lowercase,t:urlDecode\"");
    let run = |budget: u64| {
        let mut transaction = Transaction::new(Arc::clone(&rules));
        transaction.set_budget(budget);
        let uri = format!("/?q={}c", "AB%2561".repeat(200));
        transaction.request_line(b"GET", uri.as_bytes(), b"HTTP/1.1");
        let outcome = match transaction.request_headers() {
            Outcome::Continue => transaction.request_body_end(),
            Outcome::Interrupted => Outcome::Interrupted,
        };
        (outcome, transaction.budget_exhausted())
    };
    assert_eq!(run(1_000_000), (Outcome::Continue, false));
    assert_eq!(run(100), (Outcome::Interrupted, true));
}

#[test]
fn a_transaction_can_be_used_again() {
    let rules =
        program("SecRule ARGS \"@rx x\" \"id:1,log,deny,setvar:tx.n=+1,ctl:ruleRemoveById=1\"");
    let mut transaction = get(&rules, "/?a=x");
    assert!(transaction.intervention().is_some());
    for _ in 0..2 {
        transaction.reset();
        assert!(transaction.intervention().is_none() && transaction.tx("n").is_none());
        transaction.request_line(b"GET", b"/?a=x", b"HTTP/1.1");
        assert_eq!(transaction.request_headers(), Outcome::Continue);
        assert_eq!(transaction.request_body_end(), Outcome::Interrupted);
        assert_eq!(transaction.tx("n").as_deref(), Some(b"1".as_slice()));
    }
}
