//! HAR files, as browsers write them: whole requests, bodies included.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::entry::{Entry, url};
use super::time;
use crate::trial::{Ask, Body};

/// Returns the entries of a HAR file and how many hold no request; `None` where it is none.
pub(super) fn entries(tree: &Value) -> Option<(Vec<Entry>, u64)> {
    let items = tree.pointer("/log/entries")?.as_array()?;
    let mut unreadable = 0;
    let mut entries = Vec::new();
    for (number, item) in (1_u64..).zip(items) {
        match entry(item, number) {
            Some(entry) => entries.push(entry),
            None => unreadable += 1,
        }
    }
    Some((entries, unreadable))
}

fn entry(item: &Value, number: u64) -> Option<Entry> {
    let request = item.get("request")?;
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let (scheme, host, target) = url(text("url")?)?;
    let mut ask = Ask { method: text("method")?.into(), scheme, ..Ask::get(target.as_bytes()) };
    ask.version = version(text("httpVersion").unwrap_or_default()).into();
    ask.headers = headers(request);
    if ask.header(b"host").is_none() {
        ask.headers.insert(0, (b"host".to_vec(), host.as_bytes().to_vec()));
    }
    ask.body = body(request);
    let time = item.get("startedDateTime").and_then(Value::as_str).and_then(time::parse)?;
    Some(Entry { id: format!("entry {number}"), ask, time, google: None, ours: None })
}

/// Browsers write `h2`, `http/2.0`, `HTTP/1.1`.
fn version(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    if text.starts_with("h2") || text.starts_with("http/2") { "HTTP/2" } else { "HTTP/1.1" }
}

/// Pseudo-headers of HTTP/2 are no headers; `:authority` is the host.
fn headers(request: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    for header in request.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let (Some(name), Some(value)) = (text("name"), text("value")) else { continue };
        match name.strip_prefix(':') {
            Some("authority") => found.push((b"host".to_vec(), value.as_bytes().to_vec())),
            Some(_) => {}
            None => found.push((name.as_bytes().to_vec(), value.as_bytes().to_vec())),
        }
    }
    found
}

/// A body that the file says was there and does not hold is unknown.
fn body(request: &Value) -> Body {
    let size = request.get("bodySize").and_then(Value::as_i64).unwrap_or(0);
    let posted = request.get("postData");
    let text = posted.and_then(|posted| posted.get("text")).and_then(Value::as_str);
    let encoding = posted.and_then(|posted| posted.get("encoding")).and_then(Value::as_str);
    match (text, encoding) {
        (Some(text), Some("base64")) => STANDARD.decode(text).map_or(Body::Unknown, Body::Whole),
        (Some(text), _) => Body::Whole(text.as_bytes().to_vec()),
        (None, _) if size > 0 => Body::Unknown,
        (None, _) => Body::Whole(Vec::new()),
    }
}
