//! ArcSight's Common Event Format, version 0: a header with bars between, and pairs of the extension dictionary.

use std::fmt::Write as _;

use super::said::Said;
use super::{PRODUCT, VERSION};
use crate::event::millis;

pub(super) fn event(said: &Said<'_>) -> String {
    let mut line = "CEF:0".to_owned();
    let title = said.title();
    let severity = said.severity().to_string();
    for field in [PRODUCT, PRODUCT, VERSION, said.kind, &title, &severity] {
        line.push('|');
        header(&mut line, field);
    }
    line.push('|');
    let mut pairs = Pairs { line, is_empty: true };
    extension(&mut pairs, said);
    pairs.line
}

fn extension(pairs: &mut Pairs, said: &Said<'_>) {
    let number = |pointer: &str| said.at(pointer).as_u64().map(|number| number.to_string());
    let time = said.text("/timestamp").and_then(millis).map(|millis| millis.to_string());
    pairs.put("rt", time.as_deref());
    pairs.put("externalId", said.first(&["/event_id", "/requestId"]));
    pairs.put("cat", said.first(&["/category", "/event"]));
    pairs.put("act", said.text("/response/action"));
    pairs.put(
        "outcome",
        said.is_sign_in().then(|| if said.is_failure() { "failure" } else { "success" }),
    );
    pairs.put("reason", said.text("/reason"));
    pairs.put("cnt", number("/count").as_deref());
    match said.source() {
        // `src` is an IPv4 address in this version.
        Some(v6) if v6.contains(':') => pairs.named("c6a2", "Source IPv6 Address", Some(v6)),
        v4 => pairs.put("src", v4),
    }
    pairs.put("out", number("/response/bytes_out").as_deref());
    pairs.put("suid", said.user());
    pairs.put("suser", said.first(&["/email", "/actor/account"]));
    pairs.put("requestMethod", said.text("/request/method"));
    pairs.put("request", said.text("/request/path"));
    pairs.put("requestClientApplication", said.text("/actor/user_agent"));
    pairs.named("cn1", "Status Code", said.status().map(|status| status.to_string()).as_deref());
    pairs.named("cs1", "Rule", said.rule());
    pairs.named("cs2", "Tenant", said.text("/tenant_id"));
    pairs.named("cs3", "Incident", said.text("/incident_id"));
    pairs.named("cs4", "Request", said.request_id());
    pairs.named("cs5", "Attempted Tenant", said.text("/attempted_tenant"));
    pairs.named("cs6", "Payload", said.text("/request/payload"));
}

/// What stands behind the header.
struct Pairs {
    line: String,
    is_empty: bool,
}

impl Pairs {
    fn put(&mut self, key: &str, value: Option<&str>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        if !std::mem::take(&mut self.is_empty) {
            self.line.push(' ');
        }
        write!(self.line, "{key}=").expect("a string takes all text");
        for c in value.chars() {
            match c {
                '\\' => self.line.push_str("\\\\"),
                '=' => self.line.push_str("\\="),
                '\n' => self.line.push_str("\\n"),
                '\r' => self.line.push_str("\\r"),
                other if other.is_control() => self.line.push(' '),
                other => self.line.push(other),
            }
        }
    }

    /// A field of the custom ones, with what it is called.
    fn named(&mut self, key: &str, label: &str, value: Option<&str>) {
        if value.is_some_and(|value| !value.is_empty()) {
            self.put(&format!("{key}Label"), Some(label));
            self.put(key, value);
        }
    }
}

fn header(line: &mut String, field: &str) {
    for c in field.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '|' => line.push_str("\\|"),
            other if other.is_control() => line.push(' '),
            other => line.push(other),
        }
    }
}
