//! `eval`: one raw HTTP request against a configuration, offline.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use portcullis_identity::{Identity, credential};
use portcullis_policy::{
    BodyEnd, Decision, Header, Hit, Input, Limits, Policy, RequestHead, Scheme, State, Step,
    TokenView, Verdict,
};
use serde_json::{Value, json};

use super::{DATA_DIR, Done, Failed, say, say_json};
use crate::clock::{Clock, System};
use crate::compile::compile;
use crate::log::Escaped;
use crate::origin::Origin;
use crate::router::{RouteEntry, Routed};
use crate::snapshot::Snapshot;

#[derive(Args, Debug)]
pub(super) struct Eval {
    /// The configuration; without it the embedded default, whose files must have been made by `run`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with one raw request: request line, headers, an empty line, the body. Line ends may be LF.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The client's address.
    #[arg(long, value_name = "IP", default_value = "192.0.2.1")]
    client: IpAddr,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A request as it stands in the file.
#[derive(Debug, PartialEq, Eq)]
struct Raw<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: &'a [u8],
    headers: Vec<(&'a [u8], &'a [u8])>,
    body: &'a [u8],
}

pub(super) fn run(eval: &Eval) -> Done {
    let origin = match &eval.config {
        Some(file) => Origin::File(file.clone()),
        None => Origin::Embedded { data_dir: DATA_DIR.into() },
    };
    let compiled = origin.load().and_then(|loaded| compile(loaded, 1));
    let (snapshot, _) = compiled.map_err(|report| Failed::Said(report.to_string()))?;
    let bytes = fs::read(&eval.request).map_err(|error| {
        Failed::Said(format!("error: `{}` cannot be read: {error}", eval.request.display()))
    })?;
    let raw = parse(&bytes).ok_or_else(|| {
        Failed::Said("error: the file holds no request line and headers\n  help: begin with `GET /path HTTP/1.1`, then `Host: name`".to_owned())
    })?;
    let host = raw.header(b"host").unwrap_or_default();
    let name = host.split(|byte| *byte == b':').next().unwrap_or_default();
    let path = raw.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let entry = match snapshot.router.find(name, path) {
        Routed::Route(entry) => entry,
        Routed::NoRoute => return Err(Failed::Said("404: the host has no such route".to_owned())),
        Routed::NoHost => {
            return Err(Failed::Said(format!("404: the host `{}` is not served", Escaped(name))));
        }
    };
    let Some(policy) = entry.policy.as_ref().and_then(|id| snapshot.policies.get(id)) else {
        say(&format!("route {}{}: no policy\n", entry.host, entry.route.path))?;
        return Ok(ExitCode::SUCCESS);
    };
    let (identity, token) = verify(&snapshot, &raw);
    let verdict = judge(&snapshot, policy, &raw, eval.client, identity.as_ref());
    if eval.json {
        say_json(&as_json(entry, &token, &verdict))?;
    } else {
        say(&drawn(entry, &token, &verdict))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl<'a> Raw<'a> {
    fn header(&self, name: &[u8]) -> Option<&'a [u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }
}

/// Cuts a request at its lines; `None` where there is no request line of three words or a header without a colon.
fn parse(bytes: &[u8]) -> Option<Raw<'_>> {
    let (line, mut rest) = cut_line(bytes);
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let (line, after) = cut_line(rest);
        rest = after;
        if line.is_empty() {
            return Some(Raw { method, target, version, headers, body: rest });
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        headers.push((name, value.strip_prefix(b":")?.trim_ascii()));
    }
}

fn cut_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    (line.strip_suffix(b"\r").unwrap_or(line), rest.strip_prefix(b"\n").unwrap_or(rest))
}

/// Verifies the request's token with whichever provider takes it, and says what came of it.
fn verify(snapshot: &Snapshot, raw: &Raw<'_>) -> (Option<Identity>, String) {
    let now = System::new().now();
    let token = match credential(raw.headers.iter().copied()) {
        Ok(Some(token)) => token,
        Ok(None) => return (None, "no token".to_owned()),
        Err(refusal) => return (None, format!("refused: {}", refusal.reason())),
    };
    let mut refused = "no provider".to_owned();
    for verifier in snapshot.verifiers.values() {
        match verifier.verify(token, now) {
            Ok(identity) => {
                let said = format!("valid: {} of {:?}", identity.subject, identity.tenant);
                return (Some(identity), said);
            }
            Err(refusal) => refused = format!("refused: {}", refusal.reason()),
        }
    }
    (None, refused)
}

fn judge(
    snapshot: &Snapshot,
    policy: &Arc<Policy>,
    raw: &Raw<'_>,
    client_ip: IpAddr,
    identity: Option<&Identity>,
) -> Verdict {
    let headers: Vec<Header<'_>> =
        raw.headers.iter().map(|(name, value)| Header { name, value }).collect();
    let mut parts = raw.target.splitn(2, |byte| *byte == b'?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let host = raw.header(b"host").unwrap_or_default();
    let head = RequestHead {
        client_ip,
        region_code: snapshot.geo.as_ref().map_or("", |geo| geo.region_code(client_ip)),
        asn: 0,
        sni: None,
        ja3: "",
        ja4: "",
        scheme: Scheme::Https,
        host: host.split(|byte| *byte == b':').next().unwrap_or_default(),
        method: raw.method,
        path,
        query,
        uri: raw.target,
        version: raw.version,
        headers: &headers,
        bypass_limits: false,
    };
    let state = State::new(Limits { keys_max: 64, bans_max: 64 });
    let now = System::new().now();
    let token = identity.map(|identity| TokenView {
        valid: true,
        subject: &identity.subject,
        tenant: identity.tenant.as_deref(),
        roles: &identity.roles,
        issuer: &identity.issuer,
        claims: &identity.claims,
    });
    let body =
        if raw.body.is_empty() { Input::NoBody } else { Input::Body(raw.body, BodyEnd::Complete) };
    let mut cursor = policy.start();
    let mut step = cursor.advance(&head, &state, now);
    loop {
        step = match step {
            Step::Done(verdict) => return *verdict,
            Step::NeedIdentity => cursor.resume(Input::Identity(token), &head, &state, now),
            Step::NeedBody => cursor.resume(body, &head, &state, now),
        };
    }
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Allow => "allow".to_owned(),
        Decision::Deny { status } | Decision::TooMany { status, .. } => format!("deny({status})"),
        Decision::Redirect { status, location } => format!("redirect({status}) to {location}"),
    }
}

fn drawn(entry: &RouteEntry, token: &str, verdict: &Verdict) -> String {
    let mut text = format!("route    {}{}\n", entry.host, entry.route.path);
    text.push_str(&format!("token    {token}\nverdict  {}\n", decision(&verdict.decision)));
    draw_hit(&mut text, "by", &verdict.enforced);
    for hit in &verdict.previews {
        draw_hit(&mut text, "preview", hit);
    }
    if !verdict.errors.is_empty() {
        text.push_str(&format!("errors   in the conditions of rules {:?}\n", verdict.errors));
    }
    text.push_str(&format!("body     {} bytes inspected\n", verdict.inspected_body_bytes));
    text
}

fn draw_hit(text: &mut String, word: &str, hit: &Hit) {
    let (action, outcome) = (hit.configured_action.as_str(), hit.outcome.as_str());
    write!(text, "{word:<8} {} rule {} {action}: {outcome}", hit.policy, hit.priority)
        .expect("a string takes all text");
    if !hit.preconfigured_expr_ids.is_empty() {
        text.push_str(&format!(" by {}", hit.preconfigured_expr_ids.join(", ")));
    }
    if let Some(field) = &hit.matched_field {
        let (kind, name, value) = (field.field_type, Escaped(&field.name), Escaped(&field.value));
        text.push_str(&format!(" in {kind} `{name}`: `{value}`"));
    }
    text.push('\n');
}

fn as_json(entry: &RouteEntry, token: &str, verdict: &Verdict) -> Value {
    let hit = |hit: &Hit| {
        json!({
            "policy": &*hit.policy, "priority": hit.priority,
            "configuredAction": hit.configured_action.as_str(), "outcome": hit.outcome.as_str(),
            "preview": hit.preview, "preconfiguredExprIds": hit.preconfigured_expr_ids,
        })
    };
    json!({
        "route": format!("{}{}", entry.host, entry.route.path),
        "token": token,
        "verdict": decision(&verdict.decision),
        "enforcedSecurityPolicy": hit(&verdict.enforced),
        "previewSecurityPolicies": verdict.previews.iter().map(hit).collect::<Vec<_>>(),
        "errors": verdict.errors,
        "inspectedBodySize": verdict.inspected_body_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_cut_at_its_lines() {
        for text in [
            &b"POST /a?b HTTP/1.1\r\nHost: x\r\nA:  b \r\n\r\nbody\r\n"[..],
            b"POST /a?b HTTP/1.1\nHost: x\nA:  b \n\nbody\r\n",
        ] {
            let raw = parse(text).unwrap();
            assert_eq!((raw.method, raw.target), (&b"POST"[..], &b"/a?b"[..]));
            assert_eq!(raw.header(b"host"), Some(&b"x"[..]));
            assert_eq!(raw.header(b"a"), Some(&b"b"[..]));
            assert_eq!(raw.body, b"body\r\n");
        }
        for text in [&b""[..], b"GET /", b"GET / HTTP/1.1\nno colon\n\n"] {
            assert_eq!(parse(text), None);
        }
    }
}
