//! A line of the Combined Log Format, as `log::combined` writes it.

use portcullis_config::Timestamp;
use serde_json::Value;

use super::entry::{Entry, Source, path};

/// Reads a line; `None` for one that is none.
pub(super) fn entry(line: &[u8]) -> Option<Entry> {
    let line = std::str::from_utf8(line).ok()?;
    let (address, rest) = line.split_once(" - ")?;
    let (subject, rest) = rest.split_once(" [")?;
    let (written, rest) = rest.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let mut words = request.splitn(3, ' ');
    let (method, target) = (words.next()?, words.next()?);
    let (status, rest) = rest.split_once(' ')?;
    let bytes = rest.split_once(' ')?.0;
    let time = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", written).ok()?;
    let at = u64::try_from(time.to_timestamp().ok()?.as_millisecond()).ok()?;
    let status: u64 = status.parse().ok()?;
    Some(Entry {
        method: method.to_owned(),
        path: path(target),
        status: Some(status),
        decision: format!("status {status}"),
        bytes_out: bytes.parse().ok(),
        subject: Some(unescaped(subject)?).filter(|subject| subject != "-"),
        address: address.parse().ok(),
        ..Entry::empty(Timestamp::from_millis(at), Source::Request, &Value::Null)
    })
}

/// Turns `\xHH` back; `None` where what comes out is no text.
fn unescaped(field: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut parts = field.split("\\x");
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}
