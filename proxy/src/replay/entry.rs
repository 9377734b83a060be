//! Entries of a log: our own request log, Cloud Logging's export of a load balancer's, a HAR file, or a capture.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use portcullis_config::Timestamp;
use portcullis_policy::{ClientCertificate, Scheme};
use serde_json::Value;

use super::{har, time};
use crate::capture::{self, OpenError, Opener, PrivateKey, Unsealed};
use crate::trial::{Ask, Body, Caller, stated};

/// The longest line of a log that is read; a longer one is counted as unreadable.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// The largest HAR file, which is read whole.
const HAR_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// One request of a log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id, or its place in the file.
    pub id: String,
    /// What was asked.
    pub ask: Ask,
    /// When.
    pub time: Timestamp,
    /// What Google decided, where the log is Google's.
    pub google: Option<Recorded>,
    /// What our edge decided, where the log is ours.
    pub ours: Option<Recorded>,
}

/// A decision as a log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Whether the request was let through.
    pub passed: bool,
    /// The rule that decided.
    pub rule: Option<u32>,
    /// Preview rules that matched.
    pub previews: Vec<u32>,
    /// What signatures matched in which fields; only our own log says so.
    pub matches: Vec<RecordedMatch>,
}

/// One signature in one field, as our log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedMatch {
    /// The rule that asked.
    pub rule: u32,
    /// Whether it is in preview.
    pub preview: bool,
    /// The preconfigured set.
    pub set: String,
    /// The signature.
    pub id: u32,
    /// `ARG_VALUES`, `HEADER_VALUES`, ….
    pub field_type: String,
    /// The field's name; empty if it has none.
    pub name: String,
}

/// The kinds of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our own request log.
    Ours,
    /// Cloud Logging's.
    Google,
    /// A HAR file.
    Har,
    /// What our edge captured, whole.
    Capture,
}

impl Kind {
    /// Returns the word of reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "a request log of portcullis",
            Self::Google => "a Cloud Logging export",
            Self::Har => "a HAR file",
            Self::Capture => "a capture of portcullis",
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("kind", &self.kind)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system refuses.
    #[error("`{}` cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no capture, or one for another key.
    #[error("`{}` cannot be opened: {source}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// Which of the two.
        #[source]
        source: OpenError,
    },
    /// It is nothing that is known.
    #[error("`{}` is no request log, no Cloud Logging export and no HAR file: {why}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
}

/// The entries of a log, in the order of the file.
pub struct Source {
    /// What it is.
    pub kind: Kind,
    /// How large the file is, for a progress bar.
    pub bytes: u64,
    entries: Entries,
    /// Lines that hold no request, and damaged records of a capture.
    pub unreadable: u64,
    read: u64,
}

enum Entries {
    Lines { lines: Box<dyn BufRead + Send>, first: Option<Vec<u8>>, number: u64 },
    All(std::vec::IntoIter<Entry>),
    Sealed { lines: BufReader<File>, opener: Opener, number: u64 },
}

/// Opens a capture with the key that it is encrypted to.
///
/// # Errors
/// When it cannot be read, is none, or is encrypted to another key.
pub fn open_capture(path: &Path, key: PrivateKey) -> Result<Source, SourceError> {
    let failed = |source| SourceError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut lines = BufReader::new(file);
    let mut first = Vec::new();
    let read = read_line(&mut lines, &mut first, LINE_BYTES_MAX).map_err(failed)? as u64;
    let opener = Opener::new(&first, key);
    let opener = opener.map_err(|source| SourceError::Capture { path: path.to_owned(), source })?;
    let entries = Entries::Sealed { lines, opener, number: 0 };
    Ok(Source { kind: Kind::Capture, bytes, entries, unreadable: 0, read })
}

/// Opens a log and finds out what it is.
///
/// # Errors
/// When it cannot be read, or is nothing that is known.
pub fn open(path: &Path) -> Result<Source, SourceError> {
    let failed = |source| SourceError::Read { path: path.to_owned(), source };
    let unknown = |why: String| SourceError::Unknown { path: path.to_owned(), why };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut lines = BufReader::new(file);
    let mut first = Vec::new();
    while first.iter().all(u8::is_ascii_whitespace) {
        first.clear();
        if read_line(&mut lines, &mut first, LINE_BYTES_MAX).map_err(failed)? == 0 {
            return Err(unknown("it is empty".to_owned()));
        }
    }
    let start: Option<Value> = serde_json::from_slice(&first).ok();
    if let Some(kind) = start.as_ref().and_then(kind_of_line) {
        let entries = Entries::Lines { lines: Box::new(lines), first: Some(first), number: 0 };
        return Ok(Source { kind, bytes, entries, unreadable: 0, read: 0 });
    }
    if bytes > HAR_BYTES_MAX {
        return Err(unknown(
            "its first line is no entry of a log, and it is too large for a HAR file".to_owned(),
        ));
    }
    let mut whole = first;
    lines.read_to_end(&mut whole).map_err(failed)?;
    let tree: Value = serde_json::from_slice(&whole).map_err(|error| {
        unknown(format!("its first line is no JSON object, and it is no JSON as a whole ({error})"))
    })?;
    let (kind, entries, unreadable) = whole_file(&tree).ok_or_else(|| {
        unknown("it is JSON without `log.entries` and without a log's entries".to_owned())
    })?;
    Ok(Source { kind, bytes, entries: Entries::All(entries.into_iter()), unreadable, read: 0 })
}

/// A HAR file, or a JSON array of Cloud Logging's entries, as `gcloud logging read --format json` writes it.
fn whole_file(tree: &Value) -> Option<(Kind, Vec<Entry>, u64)> {
    if let Some((entries, unreadable)) = har::entries(tree) {
        return Some((Kind::Har, entries, unreadable));
    }
    let items = tree.as_array()?;
    let kind = items.iter().find_map(kind_of_line)?;
    let mut unreadable = 0;
    let mut entries = Vec::new();
    for (number, item) in (1..).zip(items) {
        match entry(kind, item, number) {
            Some(entry) => entries.push(entry),
            None => unreadable += 1,
        }
    }
    // `gcloud` prints the newest first; counters want time to run forwards.
    entries.sort_by_key(|entry| entry.time);
    Some((kind, entries, unreadable))
}

fn kind_of_line(line: &Value) -> Option<Kind> {
    line.get("httpRequest")?;
    // Only our own lines say which generation decided.
    Some(if line.get("generation").is_some() { Kind::Ours } else { Kind::Google })
}

impl Source {
    /// Returns how many bytes of the file have been read.
    #[must_use]
    pub const fn bytes_read(&self) -> u64 {
        self.read
    }

    fn next_line(&mut self) -> io::Result<Option<Entry>> {
        loop {
            let Entries::Lines { lines, first, number } = &mut self.entries else {
                return Ok(None);
            };
            let mut line = first.take().unwrap_or_default();
            if line.is_empty() && read_line(lines, &mut line, LINE_BYTES_MAX)? == 0 {
                return Ok(None);
            }
            *number += 1;
            self.read += line.len() as u64;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let number = *number;
            let tree: Option<Value> = serde_json::from_slice(&line).ok();
            match tree.and_then(|tree| entry(self.kind, &tree, number)) {
                Some(entry) => return Ok(Some(entry)),
                None => self.unreadable += 1,
            }
        }
    }
}

impl Source {
    fn next_sealed(&mut self) -> io::Result<Option<Entry>> {
        let Entries::Sealed { lines, opener, number } = &mut self.entries else { return Ok(None) };
        let mut line = Vec::new();
        while read_line(lines, &mut line, capture::LINE_BYTES_MAX)? > 0 {
            *number += 1;
            self.read += line.len() as u64;
            match opener.open(&line).and_then(|plain| of_capture(&plain, *number)) {
                Some(entry) => return Ok(Some(entry)),
                None => self.unreadable += 1,
            }
            line.clear();
        }
        Ok(None)
    }
}

impl Iterator for Source {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.entries {
            Entries::All(entries) => {
                self.read = self.bytes;
                entries.next().map(Ok)
            }
            Entries::Lines { .. } => self.next_line().transpose(),
            Entries::Sealed { .. } => self.next_sealed().transpose(),
        }
    }
}

/// Reads a line; of one that is too long the rest is skipped, so that it is counted once.
fn read_line(
    lines: &mut (impl BufRead + ?Sized),
    line: &mut Vec<u8>,
    most: u64,
) -> io::Result<usize> {
    let read = lines.take(most).read_until(b'\n', line)?;
    if read as u64 == most && !line.ends_with(b"\n") {
        line.truncate(1);
        loop {
            let buffer = lines.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let skipped = end.map_or(buffer.len(), |end| end + 1);
            lines.consume(skipped);
            if end.is_some() {
                break;
            }
        }
    }
    Ok(read)
}

/// What our log says of a captured request, and the request itself in place of what the log keeps of it. Its own token
/// says who calls, if it was valid then.
fn of_capture(plain: &[u8], number: u64) -> Option<Entry> {
    let Unsealed { line, ask } = capture::unsealed(plain)?;
    let entry = entry(Kind::Ours, &line, number)?;
    let known = entry.ask;
    let ask = Ask {
        client: known.client,
        region: known.region,
        asn: known.asn,
        ja3: known.ja3,
        ja4: known.ja4,
        certificate: known.certificate,
        scheme: known.scheme,
        ..ask
    };
    Some(Entry { ask, ..entry })
}

/// Takes over what a log says of the client's TLS. Only ours has certificates.
fn read_tls(payload: &Value, ask: &mut Ask) {
    let text = |at: &Value, name: &str| {
        at.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let Some(data) = payload.get("securityPolicyRequestData") else { return };
    ask.ja3 = text(data, "tlsJa3Fingerprint");
    ask.ja4 = text(data, "tlsJa4Fingerprint");
    ask.certificate = data.get("tlsClientCertificate").map(|shown| {
        let names = shown.get("names").and_then(Value::as_array);
        ClientCertificate {
            subject: text(shown, "subject"),
            issuer: text(shown, "issuer"),
            sha256: text(shown, "sha256"),
            names: names
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        }
    });
}

/// Reads one entry; both logs have the same fields.
fn entry(kind: Kind, line: &Value, number: u64) -> Option<Entry> {
    let request = line.get("httpRequest")?;
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let (scheme, host, target) = url(text("requestUrl")?)?;
    let bytes = |text: &str| match kind {
        Kind::Ours => unescaped(text),
        Kind::Google | Kind::Har | Kind::Capture => text.as_bytes().to_vec(),
    };
    let (host, target) = (bytes(host), bytes(&target));
    let method = text("requestMethod")?;
    let mut ask = Ask { method: method.into(), scheme, ..Ask::get(&target) };
    ask.version = text("protocol").unwrap_or("HTTP/1.1").into();
    ask.headers.push((b"host".to_vec(), host));
    for (name, field) in [("user-agent", "userAgent"), ("referer", "referer")] {
        if let Some(value) = text(field) {
            ask.headers.push((name.into(), bytes(value)));
        }
    }
    let payload = line.get("jsonPayload").unwrap_or(&Value::Null);
    ask.client = client(payload, request)?;
    let info = payload.pointer("/securityPolicyRequestData/remoteIpInfo");
    let region = info.and_then(|info| info.get("regionCode")).and_then(Value::as_str);
    ask.region = region.map(str::to_owned);
    let asn = info.and_then(|info| info.get("asn")).and_then(Value::as_u64);
    ask.asn = asn.and_then(|asn| u32::try_from(asn).ok()).unwrap_or(0);
    read_tls(payload, &mut ask);
    ask.body = body(kind, method, request);
    ask.caller = caller(kind, line);
    let decision = recorded(line, payload);
    let (google, ours) = match kind {
        Kind::Google => (decision, None),
        Kind::Ours | Kind::Har | Kind::Capture => (None, decision),
    };
    let id = line.get("requestId").or_else(|| line.get("insertId")).and_then(Value::as_str);
    Some(Entry {
        id: id.map_or_else(|| format!("line {number}"), str::to_owned),
        ask,
        time: line.get("timestamp").and_then(Value::as_str).and_then(time::parse)?,
        google,
        ours,
    })
}

/// Ours counts the body's bytes; Google's `requestSize` is headers and body together, so there the method decides.
fn body(kind: Kind, method: &str, request: &Value) -> Body {
    let size: Option<u64> =
        request.get("requestSize").and_then(Value::as_str).and_then(|size| size.parse().ok());
    let has_body = match (kind, size) {
        (Kind::Ours, Some(size)) => size > 0,
        (Kind::Ours | Kind::Google | Kind::Har | Kind::Capture, _) => {
            !matches!(method, "GET" | "HEAD" | "OPTIONS" | "DELETE" | "TRACE")
        }
    };
    if has_body { Body::Unknown } else { Body::Whole(Vec::new()) }
}

/// Our log says who called; roles and claims it does not say. Google's has never known.
fn caller(kind: Kind, line: &Value) -> Caller {
    let Some(identity) = line.get("identity").filter(|identity| identity.is_object()) else {
        return if kind == Kind::Ours { Caller::Nobody } else { Caller::Unknown };
    };
    let text = |name: &str| identity.get(name).and_then(Value::as_str);
    let subject = text("subject").unwrap_or_default();
    Caller::Logged(stated(subject, text("tenant"), Vec::new(), Vec::new(), serde_json::Map::new()))
}

fn client(payload: &Value, request: &Value) -> Option<IpAddr> {
    let parse = |text: &str| {
        text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
    };
    let of_payload = payload.get("remoteIp").and_then(Value::as_str);
    let of_request = request.get("remoteIp").and_then(Value::as_str);
    of_payload.or(of_request).and_then(parse)
}

fn recorded(line: &Value, payload: &Value) -> Option<Recorded> {
    let policy = payload.get("enforcedSecurityPolicy");
    let priority = |policy: &Value| {
        policy.get("priority").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
    };
    let outcome = policy.and_then(|policy| policy.get("outcome")).and_then(Value::as_str);
    let refused = line.get("reason").is_some_and(Value::is_string);
    let passed = match outcome {
        Some(outcome) => matches!(outcome, "ACCEPT" | "EXEMPT") && !refused,
        None if refused => false,
        None => return None,
    };
    let more = payload.get("morePreviews").and_then(Value::as_array).into_iter().flatten();
    let previews = payload.get("previewSecurityPolicy").into_iter().chain(more);
    Some(Recorded {
        passed,
        rule: policy.and_then(priority),
        previews: previews.clone().filter_map(priority).collect(),
        matches: policy.into_iter().chain(previews).flat_map(matches).collect(),
    })
}

fn matches(policy: &Value) -> Vec<RecordedMatch> {
    let number = |value: Option<&Value>| {
        value.and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
    };
    let Some(rule) = number(policy.get("priority")) else { return Vec::new() };
    let preview = policy.get("preview").and_then(Value::as_bool) == Some(true);
    let one = |found: &Value| {
        let text = |name: &str| found.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(RecordedMatch {
            rule,
            preview,
            set: text("set")?,
            id: number(found.get("id"))?,
            field_type: text("fieldType")?,
            name: text("fieldName")?,
        })
    };
    let found = policy.get("matches").and_then(Value::as_array);
    found.into_iter().flatten().filter_map(one).collect()
}

/// Cuts a URL into scheme, host and target.
pub(super) fn url(url: &str) -> Option<(Scheme, &str, String)> {
    let (scheme, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (Scheme::Https, rest),
        (None, Some(rest)) => (Scheme::Http, rest),
        (None, None) => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, target) = rest.split_at(end);
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Some((scheme, host, target))
}

/// The bytes of a text that our log escaped: `\xNN` for what is no printable text, `\\` for a backslash.
fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at + 2..at + 4).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, bytes.get(at + 1), hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'\\', Some(b'x'), Some(value)) => {
                out.push(value);
                at += 4;
            }
            (b'\\', Some(b'\\'), _) => {
                out.push(b'\\');
                at += 2;
            }
            (byte, _, _) => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_of_tls_what_the_policy_was_told() {
        let mut line = json!({
            "timestamp": "2026-01-01T00:00:00Z",
            "httpRequest": { "requestMethod": "GET", "requestUrl": "https://a.test/", "remoteIp": "192.0.2.1" },
            "jsonPayload": { "securityPolicyRequestData": {} },
        });
        let ask = |line: &Value| entry(Kind::Ours, line, 1).unwrap().ask;
        let bare = ask(&line);
        assert_eq!((bare.ja3.as_str(), bare.ja4.as_str(), bare.certificate), ("", "", None));
        line["jsonPayload"]["securityPolicyRequestData"] = json!({
            "tlsJa3Fingerprint": "3",
            "tlsJa4Fingerprint": "4",
            "tlsClientCertificate": {
                "subject": "CN=a", "issuer": "CN=ca", "sha256": "00ff", "names": ["dns:a.test"],
            },
        });
        let told = ask(&line);
        assert_eq!((told.ja3.as_str(), told.ja4.as_str()), ("3", "4"));
        let certificate = ClientCertificate {
            subject: "CN=a".to_owned(),
            issuer: "CN=ca".to_owned(),
            sha256: "00ff".to_owned(),
            names: vec!["dns:a.test".to_owned()],
        };
        assert_eq!(told.certificate, Some(certificate));
    }
}
