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

/// A multipart body with files of these lengths and one field.
fn upload(files: &[usize]) -> Vec<u8> {
    let mut body = b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n".to_vec();
    for length in files {
        let head = b"--B\r\nContent-Disposition: form-data; name=f; filename=n\r\n\r\n";
        body.extend_from_slice(head);
        body.extend(vec![b'-'; *length]);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--B--\r\n");
    body
}

const UPLOAD: [(&str, &str); 1] = [("Content-Type", "multipart/form-data; boundary=B")];

#[test]
fn the_content_of_files_does_not_count_for_a_body_without_files() {
    let bare = upload(&[0, 0]).len();
    let run = |limit: usize, files: &[usize]| {
        let rules =
            program(&format!("SecRequestBodyNoFilesLimit {limit}\nSecAction \"id:1,pass\""));
        let found = request(&rules, "POST", "/", &UPLOAD, &upload(files));
        found.intervention().map(|i| i.status)
    };
    assert_eq!(run(bare + 1, &[0, 0]), None);
    assert_eq!(run(bare, &[5000, 100]), None);
    assert_eq!(run(bare - 1, &[5000, 100]), Some(413));
}

#[test]
fn more_files_than_the_limit_are_told() {
    let rules = program(
        "SecUploadFileLimit 2\nSecRule MULTIPART_FILE_LIMIT_EXCEEDED \"@eq 1\" \"id:1,log,pass\"\n\
         SecRule &FILES \"@eq 2\" \"id:2,log,pass\"\nSecRule FILES_COMBINED_SIZE \"@eq 7\" \"id:3,log,pass\"",
    );
    let run = |files: &[usize]| ids(&request(&rules, "POST", "/", &UPLOAD, &upload(files)));
    assert_eq!(run(&[7]), [3]);
    assert_eq!(run(&[3, 4]), [2, 3]);
    assert_eq!(run(&[3, 4, 9]), [1, 2, 3]);
}

#[test]
fn a_form_that_arrives_in_pieces_is_the_form() {
    let rules = program(
        "SecRule ARGS_POST|ARGS_POST_NAMES|REQUEST_BODY|URLENCODED_ERROR \"@unconditionalMatch\" \"id:1,log,pass\"",
    );
    let run = |pieces: &[&[u8]]| {
        let mut transaction = Transaction::new(Arc::clone(&rules));
        transaction.request_line(b"POST", b"/", b"HTTP/1.1");
        transaction.request_header(b"Content-Type", b"application/x-www-form-urlencoded");
        assert_eq!(transaction.request_headers(), Outcome::Continue);
        for piece in pieces {
            assert_eq!(transaction.request_body(piece), Outcome::Continue);
        }
        assert_eq!(transaction.request_body_end(), Outcome::Continue);
        transaction.matches().to_vec()
    };
    let body = b"&a=1&&b=%41+%4&=c&d&e=1=2&%66=";
    let whole = run(&[body]);
    assert_eq!(whole.len(), 6 + 6 + 1 + 1, "{whole:?}");
    for at in 0..=body.len() {
        let (left, right) = body.split_at(at);
        assert_eq!(run(&[left, right]), whole, "{at}");
    }
    assert_eq!(run(&body.chunks(1).collect::<Vec<_>>()), whole);
}

#[test]
fn a_response_body_over_its_limit_is_refused_or_cut() {
    let run = |action: &str, length: usize| {
        let rules = program(&format!(
            "SecResponseBodyLimit 10\nSecResponseBodyLimitAction {action}\n\
             SecRule RESPONSE_BODY \"@rx ^x+$\" \"id:1,phase:4,log,pass\"\n\
             SecRule OUTBOUND_DATA_ERROR \"@eq 1\" \"id:2,phase:4,log,pass\""
        ));
        let mut transaction = get(&rules, "/");
        transaction.response_status(200, b"HTTP/1.1");
        transaction.response_header(b"Content-Type", b"text/html; charset=utf-8");
        let body = vec![b'x'; length];
        let _ = transaction.response_headers() == Outcome::Continue
            && transaction.response_body(&body) == Outcome::Continue
            && transaction.response_body_end() == Outcome::Continue;
        (transaction.intervention().map(|i| i.status), ids(&transaction))
    };
    assert_eq!(run("Reject", 10), (None, vec![1]));
    assert_eq!(run("Reject", 11), (Some(500), vec![]));
    assert_eq!(run("ProcessPartial", 9), (None, vec![1]));
    assert_eq!(run("ProcessPartial", 11), (None, vec![1, 2]));
}

#[test]
fn json_deeper_than_its_limit_is_told_and_duplicate_keys_are_seen() {
    let rules = program(
        "SecRequestBodyJsonDepthLimit 3\nSecRule REQBODY_ERROR \"@eq 1\" \"id:1,log,pass\"\n\
         SecRule ARGS:json.a \"@rx .\" \"id:2,log,pass\"",
    );
    let run = |body: &str| {
        let headers = [("Content-Type", "application/json")];
        ids(&request(&rules, "POST", "/", &headers, body.as_bytes()))
    };
    assert_eq!(run(r#"{"a":1,"a":2}"#), [2, 2]);
    assert_eq!(run("[[[1]]]"), [0; 0]);
    assert_eq!(run("[[[[1]]]]"), [1]);
    assert_eq!(run("[[["), [1]);
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
