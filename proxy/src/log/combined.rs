//! A request in the Combined Log Format of Apache and nginx, which every log reader knows.
//!
//! `client - subject [time] "method target protocol" status bytes "referer" "user agent"`. What is not there is `-`.

use std::io::Write as _;

use super::RequestRecord;

/// Appends the line without its end.
pub(super) fn write(out: &mut Vec<u8>, r: &RequestRecord) {
    show(out, format_args!("{} - ", r.client.address));
    let subject = r.identity.as_ref().map(|identity| identity.subject.as_bytes());
    field(out, subject.unwrap_or_default(), |byte| byte.is_ascii_graphic());
    show(out, format_args!(" [{}] \"", time(r)));
    quoted(out, &r.method);
    out.push(b' ');
    quoted(out, &r.uri);
    show(out, format_args!(" {}\" {} {} \"", r.protocol, r.status, r.response_bytes));
    quoted(out, r.referer.as_deref().unwrap_or_default());
    out.extend_from_slice(b"\" \"");
    quoted(out, r.user_agent.as_deref().unwrap_or_default());
    out.extend_from_slice(b"\"");
}

fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    field(out, bytes, |byte| byte.is_ascii_graphic() || byte == b' ');
}

/// Writes a client's bytes as nginx does: what would end the field or the line as `\xHH`.
fn field(out: &mut Vec<u8>, bytes: &[u8], is_plain: impl Fn(u8) -> bool) {
    if bytes.is_empty() {
        out.push(b'-');
    }
    for byte in bytes {
        if is_plain(*byte) && *byte != b'"' && *byte != b'\\' {
            out.push(*byte);
        } else {
            show(out, format_args!("\\x{byte:02X}"));
        }
    }
}

/// `26/Nov/2026:23:57:22 +0000`.
fn time(r: &RequestRecord) -> String {
    let millis = i64::try_from(r.time.as_millis()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

fn show(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a vector takes all bytes");
}
