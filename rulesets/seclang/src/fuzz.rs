//! What the fuzz targets of `tests/fuzz` run: one plain function per target, total on any bytes. Each panics when the
//! engine breaks a promise, which is the finding. The tests beside run them on the seeds and on what was found once.

use std::sync::{Arc, LazyLock};

use crate::body::{Kind, Limits, Parsed, Parser};
use crate::byte_set::ByteSet;
use crate::operator::injection;
use crate::program::Program;
use crate::transformation::{self, Changed};
use crate::{Fired, Intervention, Match, Outcome, Resolve, ResolveError, Source, Transaction};

/// Steps that rules made of any bytes may take.
const STEPS_MAX: u64 = 20_000_000;

/// Bytes of an input that are looked at: the work of a target stays in proportion.
const INPUT_BYTES_MAX: usize = 64 * 1024;

const LIMITS: Limits =
    Limits { arguments: 200, files: 20, depth: 32, bytes: 4096, bytes_per_byte: 4 };

/// Arguments of a form that are looked at.
const FORM_ARGUMENTS_MAX: usize = 200;

static FORM: LazyLock<Arc<Program>> = LazyLock::new(|| {
    let rules = b"SecArgumentsLimit 200\nSecRule ARGS|ARGS_NAMES|REQUEST_BODY|REQBODY_ERROR|URLENCODED_ERROR|\
ARGS_COMBINED_SIZE \"@unconditionalMatch\" \"id:1,phase:2,pass,log\"";
    let compiled = crate::compile::compile("form.conf", rules, &OneFile);
    Arc::new(compiled.expect("the rules are right").program)
});

/// A target by its name, which is the name of its file and of its folder of seeds.
pub type Target = (&'static str, fn(&[u8]));

/// Every target but `transactions`, which needs rules.
pub const TARGETS: &[Target] = &[
    ("parser", parser),
    ("transformations", transformations),
    ("urlencoded", urlencoded),
    ("multipart", multipart),
    ("json", json),
    ("xml", xml),
    ("libinjection", libinjection),
];

/// Any bytes as rule text: it compiles or it is refused with places inside the text; what compiles runs.
pub fn parser(input: &[u8]) {
    let input = input.get(..INPUT_BYTES_MAX).unwrap_or(input);
    match crate::compile::compile("fuzz.conf", input, &OneFile) {
        Ok(compiled) => {
            let mut transaction = Transaction::new(Arc::new(compiled.program));
            transaction.set_budget(STEPS_MAX);
            transaction.request_line(b"POST", b"/a?b=c%20d&e", b"HTTP/1.1");
            transaction.request_header(b"Content-Type", b"application/x-www-form-urlencoded");
            let _ = transaction.request_headers() == Outcome::Continue
                && transaction.request_body(b"f=g&h=%27") == Outcome::Continue
                && transaction.request_body_end() == Outcome::Continue;
            transaction.logging();
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "a refusal says why");
            for error in errors {
                assert!(error.column >= 1 && error.span >= 1, "a caret stands somewhere");
                drop(error.to_string());
            }
        }
    }
}

/// Every transformation: total, bounded, honest about whether it changed anything and about its trigger bytes.
pub fn transformations(input: &[u8]) {
    let input = input.get(..INPUT_BYTES_MAX).unwrap_or(input);
    let present = ByteSet::of(input);
    let (mut out, mut again) = (Vec::new(), b"left over".to_vec());
    for row in transformation::all() {
        let changed = row.apply(input, &mut out);
        assert_eq!(row.apply(input, &mut again), changed, "{}", row.name);
        if changed == Changed::No {
            continue;
        }
        assert!(out == again && out != input, "{}", row.name);
        assert!(out.len() <= 3 * input.len() + 48, "{} grew to {}", row.name, out.len());
        let triggered = row.trigger.is_none_or(|trigger| trigger.meets(&present));
        assert!(triggered, "{} changed a value without a trigger byte", row.name);
    }
}

/// Urlencoded bodies, whole and in pieces: cut while they arrive, where rules see them.
pub fn urlencoded(input: &[u8]) {
    let input = input.get(..INPUT_BYTES_MAX).unwrap_or(input);
    let run = |pieces: &[&[u8]]| {
        let mut transaction = Transaction::new(Arc::clone(&FORM));
        transaction.request_line(b"POST", b"/", b"HTTP/1.1");
        transaction.request_header(b"Content-Type", b"application/x-www-form-urlencoded");
        assert_eq!(transaction.request_headers(), Outcome::Continue);
        for piece in pieces {
            assert_eq!(transaction.request_body(piece), Outcome::Continue);
        }
        assert_eq!(transaction.request_body_end(), Outcome::Continue);
        transaction.matches().to_vec()
    };
    let whole = run(&[input]);
    assert!(whole.len() <= 4 + 2 * FORM_ARGUMENTS_MAX);
    assert!(whole == run(&pieces(input)), "pieces differ");
}

/// Multipart bodies; the first line is the content type.
pub fn multipart(input: &[u8]) {
    let end = memchr::memchr(b'\n', input).unwrap_or(input.len());
    let (content_type, body) = input.split_at_checked(end).unwrap_or_default();
    body_of(Kind::Multipart, content_type, body.get(1..).unwrap_or_default());
}

/// JSON bodies.
pub fn json(input: &[u8]) {
    body_of(Kind::Json, b"", input);
}

/// XML bodies.
pub fn xml(input: &[u8]) {
    body_of(Kind::Xml, b"", input);
}

/// The gates before libinjection say no only where the detector does.
pub fn libinjection(input: &[u8]) {
    let input = input.get(..4096).unwrap_or(input);
    injection::assert_gates(input);
}

/// A whole request through real rules: within the budget, twice the same outcome, fast equals plain, in pieces as
/// whole.
pub fn transaction(program: &Arc<Program>, input: &[u8]) {
    let input = input.get(..8192).unwrap_or(input);
    let fast = outcome(program, input, true, false);
    assert!(!fast.exhausted, "the budget of a request ran out on {} bytes", input.len());
    assert!(fast == outcome(program, input, true, false), "two runs differ");
    assert!(fast == outcome(program, input, false, false), "the prefilter changes the outcome");
    assert!(fast == outcome(program, input, true, true), "pieces of the body change the outcome");
}

fn body_of(kind: Kind, content_type: &[u8], body: &[u8]) {
    let body = body.get(..INPUT_BYTES_MAX).unwrap_or(body);
    let whole = read(kind, content_type, &[body]);
    assert!(whole.arguments.len() <= LIMITS.arguments && whole.files.len() <= LIMITS.files);
    let sizes = whole.arguments.iter().map(|(name, value)| name.len() + value.len());
    let most = LIMITS.bytes.max(body.len() * LIMITS.bytes_per_byte);
    assert!(sizes.sum::<usize>() <= most, "the limit of bytes holds");
    assert_eq!(whole, read(kind, content_type, &pieces(body)), "pieces differ");
}

fn read(kind: Kind, content_type: &[u8], pieces: &[&[u8]]) -> Parsed {
    let Some(mut parser) = Parser::new(kind, content_type, LIMITS) else {
        return Parsed::default();
    };
    pieces.iter().for_each(|piece| parser.push(piece));
    parser.finish()
}

/// Cuts a text at places that its own bytes choose.
fn pieces(text: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut cut) = (text, Vec::new());
    let mut at = 0_usize;
    while !rest.is_empty() {
        let length = 1 + usize::from(text.get(at).copied().unwrap_or(3)) % 17;
        let (piece, tail) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        cut.push(piece);
        rest = tail;
        at += length;
    }
    cut
}

/// What came of one transaction.
#[derive(PartialEq)]
struct Ended {
    matches: Vec<Match>,
    fired: Vec<Fired>,
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    intervention: Option<Intervention>,
    detected: Option<Intervention>,
    exhausted: bool,
}

fn outcome(program: &Arc<Program>, input: &[u8], prefilter: bool, chunked: bool) -> Ended {
    let mut transaction = Transaction::new(Arc::clone(program));
    if !prefilter {
        // The plain way costs more than a request may.
        transaction.set_budget(u64::MAX);
    }
    transaction.set_prefilter(prefilter);
    transaction.set_trace(true);
    let (head, body) = cut_head(input);
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut words = lines.next().unwrap_or_default().splitn(2, |byte| *byte == b' ');
    let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    transaction.request_line(method, uri, b"HTTP/1.1");
    for line in lines {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        transaction.request_header(name, value.get(1..).unwrap_or_default().trim_ascii());
    }
    let chunks = if chunked { pieces(body) } else { vec![body] };
    let goes_on = transaction.request_headers() == Outcome::Continue
        && chunks.iter().all(|chunk| transaction.request_body(chunk) == Outcome::Continue)
        && transaction.request_body_end() == Outcome::Continue;
    if goes_on {
        transaction.response_status(200, b"HTTP/1.1");
        transaction.response_header(b"Content-Type", b"text/html");
        let _ = transaction.response_headers() == Outcome::Continue
            && chunks.iter().all(|chunk| transaction.response_body(chunk) == Outcome::Continue)
            && transaction.response_body_end() == Outcome::Continue;
    }
    transaction.logging();
    let mut variables = transaction.tx_variables();
    variables.sort();
    Ended {
        matches: transaction.matches().to_vec(),
        fired: transaction.fired().to_vec(),
        variables,
        intervention: transaction.intervention().cloned(),
        detected: transaction.detected().cloned(),
        exhausted: transaction.budget_exhausted(),
    }
}

/// Cuts at the first empty line; line ends are LF.
fn cut_head(input: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::find(input, b"\n\n") {
        Some(at) => (input.get(..at).unwrap_or_default(), input.get(at + 2..).unwrap_or_default()),
        None => (input, b""),
    }
}

/// One file of phrases, whatever is asked for.
struct OneFile;

impl Resolve for OneFile {
    fn read(&self, path: &str, _from: &str) -> Result<Source, ResolveError> {
        if path.ends_with(".data") {
            return Ok(Source {
                name: path.to_owned(),
                bytes: b"one\n10.0.0.0/8\n# two\n".to_vec(),
            });
        }
        Err(ResolveError::NotFound(path.to_owned()))
    }

    fn expand(&self, _pattern: &str, _from: &str) -> Result<Vec<String>, ResolveError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests;
