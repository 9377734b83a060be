//! `log`: where requests and events are written down, and who else gets events.

use std::num::NonZeroU32;
use std::path::PathBuf;

use super::fields::Fields;
use super::{Context, keys, scalar, source};
use crate::diagnostic::Diagnostic;
use crate::model::{
    Capture, CaptureKey, EventFormat, EventSink, Keep, Log, LogFormat, SinkWay, Syslog, SyslogWay,
};
use crate::yaml::{Node, Value};

const EVENT_FORMATS: [(&str, EventFormat); 4] = [
    ("json", EventFormat::Json),
    ("ecs", EventFormat::Ecs),
    ("ocsf", EventFormat::Ocsf),
    ("cef", EventFormat::Cef),
];
/// The facilities of RFC 5424 that a service may take, with their codes.
const FACILITIES: [(&str, u8); 12] = [
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// Decodes `log`.
pub(super) fn log(node: &Node, cx: &mut Context<'_>) -> Option<Log> {
    let fields = Fields::open(node, &keys::LOG, cx)?;
    let requests = fields.of("requests", cx, source::log_target);
    let events = fields.of("events", cx, source::log_target);
    let formats = [
        ("cloud_logging", LogFormat::CloudLogging),
        ("json", LogFormat::Json),
        ("combined", LogFormat::Combined),
    ];
    let format = fields.of("format", cx, |node, cx| scalar::choice(node, cx, &formats));
    let events_format =
        fields.of("events_format", cx, |node, cx| scalar::choice(node, cx, &EVENT_FORMATS));
    let events_file_max = fields.of("events_file_max", cx, scalar::size("64KiB", "16GiB"));
    let events_files_max = fields.of("events_files_max", cx, scalar::number(1..=1000));
    let name =
        |node: &Node, cx: &mut Context<'_>| scalar::text(node, cx).map(str::to_ascii_lowercase);
    let redact = fields.may("redact", cx, |node, cx| scalar::items(node, cx, name));
    let capture = fields.may("capture", cx, capture);
    let keep = fields.may("keep", cx, keep);
    let sinks = fields.may("sinks", cx, |node, cx| scalar::named(node, cx, |_, n, cx| sink(n, cx)));
    let redact = redact?.unwrap_or_else(Log::usual_redaction);
    Some(Log {
        requests: requests?,
        events: events?,
        events_format: events_format?,
        events_file_max: events_file_max?,
        events_files_max: events_files_max?,
        format: format?,
        redact,
        keep: keep?.unwrap_or_default(),
        sinks: sinks?.unwrap_or_default(),
        capture: capture?,
    })
}

/// What holds where the file does not say.
pub(super) fn usual(cx: &mut Context<'_>) -> Option<Log> {
    log(&Node { span: 0..0, key: None, value: Value::Map(Vec::new()) }, cx)
}

fn keep(node: &Node, cx: &mut Context<'_>) -> Option<Keep> {
    let fields = Fields::open(node, &keys::KEEP, cx)?;
    let mut time = |class| fields.may(class, cx, scalar::duration("1d", "3650d"));
    let (security, access, evidence) = (time("security"), time("access"), time("evidence"));
    Some(Keep { security: security?, access: access?, evidence: evidence? })
}

fn sink(node: &Node, cx: &mut Context<'_>) -> Option<EventSink> {
    let fields = Fields::open(node, &keys::EVENT_SINK, cx)?;
    let kinds = ["syslog", "http"].map(|kind| (kind, kind));
    let kind = fields.of("kind", cx, |node, cx| scalar::choice(node, cx, &kinds));
    let format = fields.of("format", cx, |node, cx| scalar::choice(node, cx, &EVENT_FORMATS));
    let way = match kind? {
        "syslog" => syslog(&fields, cx),
        _ => http(&fields, cx), // the words above hold no other
    };
    Some(EventSink { way: way?, format: format? })
}

fn http(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<SinkWay> {
    fields.none_of(&["to", "facility"], "for `http`", cx);
    let authorization = fields.may("authorization", cx, source::secret);
    let Some(node) = fields.get("url") else {
        fields.missing("the key `url` is missing for a sink of `http`", cx);
        return None;
    };
    Some(SinkWay::Http { url: source::url(node, cx)?, authorization: authorization? })
}

fn syslog(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<SinkWay> {
    fields.none_of(&["url", "authorization"], "for `syslog`", cx);
    let facility = fields.of("facility", cx, |node, cx| scalar::choice(node, cx, &FACILITIES));
    let Some(node) = fields.get("to") else {
        fields.missing("the key `to` is missing for a sink of `syslog`", cx);
        return None;
    };
    Some(SinkWay::Syslog(Syslog { to: syslog_way(node, cx)?, facility: facility? }))
}

/// Reads `tls:HOST:PORT`, `tcp:HOST:PORT`, `udp:HOST:PORT` or `unix:PATH`.
fn syslog_way(node: &Node, cx: &mut Context<'_>) -> Option<SyslogWay> {
    let written = scalar::text(node, cx)?;
    let (way, rest) = written.split_once(':').unwrap_or_default();
    if way == "unix" && !rest.is_empty() {
        let path: PathBuf = cx.base.join(rest).components().collect();
        return scalar::check_socket(&path, node, cx).then_some(SyslogWay::Unix(path));
    }
    let server = scalar::host_and_port(rest);
    let found = match (way, server) {
        ("tls", Some((host, port))) => Some(SyslogWay::Tls { host, port }),
        ("tcp", Some((host, port))) => Some(SyslogWay::Tcp { host, port }),
        ("udp", Some((host, port))) => Some(SyslogWay::Udp { host, port }),
        (_, _) => None, // a text that is none of these
    };
    match &found {
        Some(SyslogWay::Tcp { host, .. } | SyslogWay::Udp { host, .. }) if !is_here(host) => {
            let said = format!(
                "events go to `{host}` in plain text: whoever is between reads and changes them"
            );
            cx.warn("syslog-plain", said, "write `tls:HOST:6514`", node.value_place());
        }
        Some(_) => {}
        None => {
            let wrong =
                Diagnostic::error("wrong-value", format!("`{written}` is no server of syslog"));
            let help = "write `tls:HOST:6514`, `tcp:HOST:601`, `udp:HOST:514` or `unix:/dev/log`";
            cx.report(wrong.help(help), node.value_place());
        }
    }
    found
}

fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn capture(node: &Node, cx: &mut Context<'_>) -> Option<Capture> {
    let fields = Fields::open(node, &keys::CAPTURE, cx)?;
    let key = fields.of("key", cx, capture_key);
    let directory = fields.of("directory", cx, scalar::path);
    let sample_one_in = fields.may("sample_one_in", cx, scalar::number(1..=1_000_000));
    let body_max = fields.of("body_max", cx, scalar::size("1KiB", "8MiB"));
    let file_max = fields.of("file_max", cx, scalar::size("32MiB", "4GiB"));
    let files_max = fields.of("files_max", cx, scalar::number(1..=1000));
    Some(Capture {
        key: key?,
        directory: directory?,
        sample_one_in: sample_one_in?.and_then(NonZeroU32::new),
        body_max: body_max?,
        file_max: file_max?,
        files_max: files_max?,
    })
}

fn capture_key(node: &Node, cx: &mut Context<'_>) -> Option<CaptureKey> {
    let written = scalar::text(node, cx)?;
    let key = CaptureKey::parse(written);
    if key.is_none() {
        let wrong = Diagnostic::error("wrong-value", "this is no public key of a capture");
        let help =
            "write the line that `portcullis capture key FILE` prints: 44 characters of base64";
        cx.report(wrong.help(help), node.value_place());
    }
    key
}
