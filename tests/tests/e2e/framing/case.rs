//! A case of the corpus, what may be wrong with its outcome, and the strict reading of what an origin got.

use portcullis_tests::{Field, Recorded};
use serde::Deserialize;

/// One HTTP/1 case; the corpus says what its keys mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    send: String,
    pub(super) sees: u16,
    #[serde(default)]
    pub(super) origin: Option<String>,
    #[serde(default)]
    pub(super) body: String,
    #[serde(default)]
    pub(super) has: Option<String>,
    #[serde(default)]
    pub(super) alone: bool,
    #[serde(default)]
    pub(super) held: bool,
    #[serde(default)]
    pub(super) breaks_off: bool,
}

/// One HTTP/2 case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http2Case {
    pub(super) name: String,
    #[serde(default)]
    fields: Vec<(String, String)>,
    #[serde(default)]
    data: Vec<String>,
    #[serde(default)]
    trailers: Vec<(String, String)>,
    /// Whole frames in hexadecimal, in place of all that.
    #[serde(default)]
    frames: String,
    pub(super) sees: Sees,
    #[serde(default)]
    pub(super) origin: Option<String>,
    #[serde(default)]
    pub(super) body: String,
    #[serde(default)]
    pub(super) has: Option<String>,
    #[serde(default)]
    pub(super) held: bool,
    #[serde(default)]
    pub(super) breaks_off: bool,
}

/// What an HTTP/2 client sees.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Sees {
    /// An answer with this status.
    Status(u16),
    /// `reset` or `closed`.
    Word(String),
}

/// What is wrong with an outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// The client saw something else.
    Seen { case: String, what: String },
    /// The origin saw a request that nobody sent, or one that should not have passed.
    Smuggled { case: String, line: String },
    /// A request was answered with another one's answer.
    Desynchronised { case: String, what: String },
    /// The origin got bytes that can be read in more than one way.
    Ambiguous { case: String, why: String },
}

impl Case {
    /// Reads the corpus.
    pub(super) fn all(text: &str) -> Vec<Self> {
        let mut cases: Vec<Self> = serde_saphyr::from_str(text).unwrap();
        for case in &mut cases {
            case.origin = case.origin.as_deref().map(expand);
        }
        cases
    }

    /// Makes one whose bytes are known.
    pub(super) fn of_bytes(case: &Http2Case, bytes: &[u8]) -> Self {
        Self {
            name: case.name.clone(),
            send: bytes.iter().map(|byte| char::from(*byte)).collect(),
            sees: if let Sees::Status(status) = case.sees { status } else { 400 },
            origin: case.origin.clone(),
            body: case.body.clone(),
            has: None,
            alone: false,
            held: case.held,
            breaks_off: case.breaks_off,
        }
    }

    /// The bytes to send.
    pub(super) fn bytes(&self) -> Vec<u8> {
        bytes(&expand(&self.send))
    }
}

impl Http2Case {
    /// Reads the corpus.
    pub(super) fn all(text: &str) -> Vec<Self> {
        serde_saphyr::from_str(text).unwrap()
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.fields.iter().flat_map(expand_field).collect()
    }

    pub(super) fn data(&self) -> Vec<Vec<u8>> {
        self.data.iter().map(|part| bytes(&expand(part))).collect()
    }

    pub(super) fn trailers(&self) -> Vec<Field> {
        self.trailers.iter().flat_map(expand_field).collect()
    }

    pub(super) fn frames(&self) -> Option<Vec<u8>> {
        let digits: Vec<u8> = self.frames.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| {
            u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).expect("two digits")
        };
        (!digits.is_empty()).then(|| digits.chunks(2).map(byte).collect())
    }
}

impl Sees {
    /// As it is written.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Word(word) => word.clone(),
        }
    }
}

fn expand_field((name, value): &(String, String)) -> Vec<Field> {
    match name.strip_prefix("{{fields*").and_then(|count| count.strip_suffix("}}")) {
        Some(count) => {
            let count: usize = count.parse().unwrap();
            (0..count).map(|n| (format!("h{n}").into_bytes(), b"x".to_vec())).collect()
        }
        None => vec![(bytes(name), bytes(&expand(value)))],
    }
}

/// Characters up to U+00FF stand for the byte of their number.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

/// Writes `{{x*9}}` and `{{fields*9}}` out.
fn expand(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (token, behind) = after.split_once("}}").expect("a token ends");
        let (what, count) = token.rsplit_once('*').expect("a token has a count");
        whole.push_str(before);
        for index in 0..count.parse().unwrap() {
            match what {
                "fields" => whole.push_str(&format!("H{index}: x\r\n")),
                text => whole.push_str(text),
            }
        }
        rest = behind;
    }
    whole + rest
}

/// The request that follows every case.
pub(super) const AFTER: &str = "GET /after";

/// Compares what the origin recorded with what it may have seen: the case's own request, then those behind it.
pub(super) fn judge_origin(
    case: &str,
    expected: Option<(&str, &[u8], Option<&str>)>,
    recorded: &[Recorded],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut due = expected;
    for request in recorded {
        let wrong = match due.take_if(|(line, _, _)| *line == request.line) {
            Some((_, body, _)) if body != request.body => Some("another body"),
            Some((_, _, Some(has))) if !has_line(&request.raw, has) => {
                Some("a head without its line")
            }
            Some(_) => None,
            None if request.line == AFTER => None,
            None => Some(""),
        };
        if let Some(what) = wrong {
            let line = format!("{} {what}", request.line);
            findings.push(Finding::Smuggled { case: case.to_owned(), line });
        }
        if let Err(why) = strictly(request) {
            findings.push(Finding::Ambiguous { case: case.to_owned(), why });
        }
    }
    if due.is_some() {
        let what = "the origin did not see the request".to_owned();
        findings.push(Finding::Seen { case: case.to_owned(), what });
    }
    findings
}

fn has_line(raw: &[u8], line: &str) -> bool {
    raw.split(|byte| *byte == b'\n')
        .any(|found| found.trim_ascii().eq_ignore_ascii_case(line.as_bytes()))
}

/// Reads what the origin got as RFC 9112 writes it, by rules that this test has for itself.
fn strictly(request: &Recorded) -> Result<(), String> {
    let raw = &request.raw;
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no end of a head")?;
    let (head, body) = raw.split_at(end + 4);
    let text: String = head[..end].iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    if line.split(' ').count() != 3 || !line.ends_with(" HTTP/1.1") {
        return Err(format!("the request line {line:?}"));
    }
    let mut framing = Vec::new();
    let mut hosts = 0;
    for line in lines {
        let (name, value) = line.split_once(": ").or_else(|| line.split_once(':')).ok_or(line)?;
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let is_value = |c: char| c == '\t' || (c >= ' ' && c != '\x7f');
        if name.is_empty() || !name.chars().all(is_token) || !value.chars().all(is_value) {
            return Err(format!("the field {line:?}"));
        }
        match name.to_ascii_lowercase().replace(['_', '.'], "-").as_str() {
            "content-length" | "transfer-encoding" => {
                framing.push((name.to_owned(), value.to_owned()))
            }
            "host" => hosts += 1,
            _ => {}
        }
    }
    if hosts != 1 {
        return Err(format!("{hosts} Hosts"));
    }
    match framing.as_slice() {
        [] if body.is_empty() => Ok(()),
        [(name, value)] if name.eq_ignore_ascii_case("content-length") => {
            if *value == body.len().to_string() {
                Ok(())
            } else {
                Err(format!("a length of {value:?}"))
            }
        }
        [(name, value)] if name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked" => {
            chunked(body)
        }
        other => Err(format!("the framing {other:?} before {} bytes", body.len())),
    }
}

fn chunked(mut body: &[u8]) -> Result<(), String> {
    loop {
        let end = body.windows(2).position(|pair| pair == b"\r\n").ok_or("no chunk's line")?;
        let digits = std::str::from_utf8(&body[..end]).map_err(|_| "a size")?;
        let is_plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let size = usize::from_str_radix(digits, 16).ok().filter(|_| is_plain);
        let size = size.ok_or_else(|| format!("the size {digits:?}"))?;
        let chunk = body.get(end + 2..end + 2 + size + 2).ok_or("a short chunk")?;
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk without an end".into());
        }
        body = &body[end + 2 + size + 2..];
        if size == 0 {
            return if body.is_empty() {
                Ok(())
            } else {
                Err("bytes behind the last chunk".into())
            };
        }
    }
}

/// Says that a run found at least so much: `[seen, smuggled or desynchronised, ambiguous]`.
#[track_caller]
pub(super) fn assert_bites(findings: &[Finding], least: [usize; 3]) {
    let count = |is: fn(&Finding) -> bool| findings.iter().filter(|finding| is(finding)).count();
    let found = [
        count(|finding| matches!(finding, Finding::Seen { .. })),
        count(|finding| {
            matches!(finding, Finding::Smuggled { .. } | Finding::Desynchronised { .. })
        }),
        count(|finding| matches!(finding, Finding::Ambiguous { .. })),
    ];
    let bites = found.iter().zip(least).all(|(found, least)| *found >= least);
    assert!(bites, "{found:?}, where at least {least:?} are expected: {findings:#?}");
}
