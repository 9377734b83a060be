//! Small programs and requests for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use seclang::{Diagnostic, Outcome, Program, Resolve, ResolveError, Source, Transaction};

/// Files in memory, by name.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) BTreeMap<&'static str, &'static str>);

impl Resolve for Memory {
    fn read(&self, path: &str, _from: &str) -> Result<Source, ResolveError> {
        match self.0.get(path) {
            Some(text) => Ok(Source { name: path.to_owned(), bytes: text.as_bytes().to_vec() }),
            None => Err(ResolveError::NotFound(path.to_owned())),
        }
    }

    fn expand(&self, pattern: &str, _from: &str) -> Result<Vec<String>, ResolveError> {
        let (before, after) = pattern.split_once('*').unwrap_or((pattern, ""));
        let whole = !pattern.contains('*');
        let taken = |name: &&&str| match whole {
            true => **name == pattern,
            false => name.starts_with(before) && name.ends_with(after),
        };
        Ok(self.0.keys().filter(taken).map(|name| (*name).to_owned()).collect())
    }
}

/// Compiles text that must be right.
pub(crate) fn program(text: &str) -> Arc<Program> {
    match Program::compile("test.conf", text, &Memory::default()) {
        Ok(compiled) => Arc::new(compiled.program),
        Err(errors) => panic!("{}", shown(&errors)),
    }
}

/// Compiles text that must be wrong.
pub(crate) fn errors(text: &str) -> Vec<Diagnostic> {
    Program::compile("test.conf", text, &Memory::default()).expect_err("it must not load")
}

pub(crate) fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Runs a GET through phases 1 and 2, once with the prefilter and once without; both must agree.
pub(crate) fn get(program: &Arc<Program>, uri: &str) -> Transaction {
    request(program, "GET", uri, &[], b"")
}

pub(crate) fn request(
    program: &Arc<Program>,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Transaction {
    let fast = run(program, method, uri, headers, body, true);
    let plain = run(program, method, uri, headers, body, false);
    assert_eq!(fast.matches(), plain.matches());
    assert_eq!(fast.intervention(), plain.intervention());
    fast
}

fn run(
    program: &Arc<Program>,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    prefilter: bool,
) -> Transaction {
    let mut transaction = Transaction::new(Arc::clone(program));
    transaction.set_prefilter(prefilter);
    transaction.request_line(method.as_bytes(), uri.as_bytes(), b"HTTP/1.1");
    for (name, value) in headers {
        transaction.request_header(name.as_bytes(), value.as_bytes());
    }
    let go = transaction.request_headers() == Outcome::Continue
        && transaction.request_body(body) == Outcome::Continue;
    if go {
        let outcome = transaction.request_body_end();
        assert_eq!(outcome == Outcome::Interrupted, transaction.intervention().is_some());
    }
    transaction
}

/// The ids of the rules that matched, once per match.
pub(crate) fn ids(transaction: &Transaction) -> Vec<u32> {
    let rules = transaction.program().rules();
    transaction.matches().iter().map(|found| rules[found.rule.get()].id).collect()
}

/// A `TX` variable as text.
pub(crate) fn tx(transaction: &Transaction, name: &str) -> Option<String> {
    transaction.tx(name).map(|text| text.escape_ascii().to_string())
}
