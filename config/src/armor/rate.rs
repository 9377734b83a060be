//! `rateLimitOptions`: thresholds, bans, keys.

use super::document::Value;
use super::policy::{Ban, Conform, Exceed, Fallback, Rate, RateKey, RateKeyKind, RateLimit};
use super::reader::{Fields, Reader};
use super::rules::{deny_status, redirect};
use crate::expr;

/// The highest count.
const COUNT_MAX: u32 = 1_000_000;
/// The longest interval and ban: a week.
const SECS_MAX: u32 = 7 * 24 * 3600;
/// The most parts of one key: more than anyone means, and a bound on what one key costs.
const KEYS_MAX: usize = 32;

const KNOWN: &[&str] = &[
    "rateLimitThreshold",
    "banThreshold",
    "banDurationSec",
    "conformAction",
    "exceedAction",
    "exceedRedirectOptions",
    "enforceOnKey",
    "enforceOnKeyName",
    "enforceOnKeyConfigs",
    "enforceOnKeyExpression",
    "fallback",
];

pub(super) fn rate_limit(reader: &mut Reader<'_>, value: &Value, bans: bool) -> Option<RateLimit> {
    let fields = reader.fields(value, "`rateLimitOptions`", KNOWN)?;
    let threshold = rate(reader, &fields, "rateLimitThreshold");
    if threshold.is_none() && fields.value("rateLimitThreshold").is_none() {
        reader.error("missing-key", value, "`rateLimitOptions` has a `rateLimitThreshold`");
    }
    let conform = conform(reader, &fields);
    let exceed = exceed(reader, &fields);
    let keys = keys(reader, &fields);
    let ban = ban(reader, &fields, bans);
    Some(RateLimit { threshold: threshold?, conform, exceed: exceed?, keys: keys?, ban: ban? })
}

fn rate(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<Rate> {
    let value = fields.value(name)?;
    let fields = reader.fields(value, &format!("`{name}`"), &["count", "intervalSec"])?;
    let count = reader.number(&fields, "count", 1..=COUNT_MAX);
    let interval_secs = reader.number(&fields, "intervalSec", 1..=SECS_MAX);
    for wanted in ["count", "intervalSec"] {
        if fields.value(wanted).is_none() {
            reader.error("missing-key", value, format!("`{name}` has a `{wanted}`"));
        }
    }
    Some(Rate { count: count?, interval_secs: interval_secs? })
}

fn conform(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Conform {
    let words = [("allow", Conform::Allow), ("continue", Conform::Continue)];
    reader.word(fields, "conformAction", &words).unwrap_or(Conform::Allow)
}

fn exceed(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Exceed> {
    let Some((text, at)) = reader.text(fields, "exceedAction") else {
        reader.error("missing-key", fields.whole(), "`rateLimitOptions` has an `exceedAction`");
        return None;
    };
    if text == "redirect" {
        return redirect(reader, fields, "exceedRedirectOptions").map(Exceed::Redirect);
    }
    if let Some(key) = fields.present("exceedRedirectOptions") {
        reader.error(
            "not-of-this-action",
            key,
            "`exceedRedirectOptions` goes with `exceedAction: redirect`",
        );
    }
    let status = deny_status(text);
    if status.is_none() {
        let help = "one of deny(403), deny(404), deny(429), deny(502), redirect";
        reader.error_with_help("unknown-value", at, format!("`{text}` is no exceed action"), help);
    }
    status.map(Exceed::Deny)
}

/// The outer `None` is a problem; the inner one is a throttle's.
fn ban(reader: &mut Reader<'_>, fields: &Fields<'_>, bans: bool) -> Option<Option<Ban>> {
    if !bans {
        for name in ["banDurationSec", "banThreshold"] {
            if let Some(key) = fields.present(name) {
                reader.error(
                    "not-of-this-action",
                    key,
                    format!("`{name}` goes with `rate_based_ban`"),
                );
                return None;
            }
        }
        return Some(None);
    }
    let threshold = rate(reader, fields, "banThreshold");
    if fields.value("banDurationSec").is_none() {
        reader.error("missing-key", fields.whole(), "a ban has a `banDurationSec`");
    }
    let duration_secs = reader.number(fields, "banDurationSec", 1..=SECS_MAX)?;
    Some(Some(Ban { duration_secs, threshold }))
}

fn keys(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Vec<RateKey>> {
    let shared = fallback(reader, fields);
    let configs = reader.list(fields, "enforceOnKeyConfigs");
    if configs.is_empty() {
        let key =
            key(reader, fields, "enforceOnKey", "enforceOnKeyName", "enforceOnKeyExpression")?;
        return Some(vec![RateKey { fallback: shared, ..key }]);
    }
    if let Some((text, at)) = reader.text(fields, "enforceOnKey")
        && !text.is_empty()
    {
        reader.error("two-keys", at, "a limit has `enforceOnKey` or `enforceOnKeyConfigs`");
    }
    if configs.len() > KEYS_MAX {
        reader.error(
            "too-many-keys",
            fields.whole(),
            format!("a key has at most {KEYS_MAX} parts"),
        );
        return None;
    }
    let known = ["enforceOnKeyType", "enforceOnKeyName", "enforceOnKeyExpression", "fallback"];
    let mut keys = Vec::with_capacity(configs.len());
    for config in configs {
        let Some(fields) = reader.fields(config, "a key", &known) else { continue };
        let own = fallback(reader, &fields).or(shared);
        if let Some(key) =
            key(reader, &fields, "enforceOnKeyType", "enforceOnKeyName", "enforceOnKeyExpression")
        {
            keys.push(RateKey { fallback: own, ..key });
        }
    }
    (keys.len() == configs.len()).then_some(keys)
}

fn fallback(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Fallback> {
    let words = [
        ("all", Fallback::All),
        ("ip", Fallback::Ip),
        ("skip", Fallback::Skip),
        ("deny", Fallback::Deny),
    ];
    reader.word(fields, "fallback", &words)
}

fn key(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    kind: &str,
    name: &str,
    expression: &str,
) -> Option<RateKey> {
    let (text, at) = match reader.text(fields, kind) {
        Some((text, at)) => (text, at),
        None if fields.value(kind).is_some() => return None,
        None => ("ALL", fields.whole()),
    };
    let folded = text.to_ascii_uppercase().replace('-', "_");
    let simple = |kind| Some(RateKey { kind, fallback: None });
    let found = match folded.as_str() {
        "" | "ALL" => simple(RateKeyKind::All),
        "IP" => simple(RateKeyKind::Ip),
        "HTTP_HEADER" => named(reader, fields, name, at)
            .map(|name| named_key(RateKeyKind::HttpHeader, name.to_ascii_lowercase())),
        "HTTP_COOKIE" => {
            named(reader, fields, name, at).map(|name| named_key(RateKeyKind::HttpCookie, name))
        }
        "XFF_IP" => simple(RateKeyKind::XffIp),
        "HTTP_PATH" => simple(RateKeyKind::HttpPath),
        "SNI" => simple(RateKeyKind::Sni),
        "REGION_CODE" => simple(RateKeyKind::RegionCode),
        "TLS_JA3_FINGERPRINT" => simple(RateKeyKind::Ja3),
        "TLS_JA4_FINGERPRINT" => simple(RateKeyKind::Ja4),
        "USER_IP" => simple(RateKeyKind::UserIp),
        "ASN" => simple(RateKeyKind::Asn),
        "TENANT" => simple(RateKeyKind::Tenant),
        "USER" => simple(RateKeyKind::User),
        "LICENSE_KEY" => simple(RateKeyKind::LicenseKey),
        "EXPRESSION" => key_expression(reader, fields, expression, at),
        _ => {
            // no key of Google's or ours
            let help = "one of ALL, IP, HTTP_HEADER, HTTP_COOKIE, XFF_IP, HTTP_PATH, SNI, REGION_CODE, \
                        TLS_JA3_FINGERPRINT, TLS_JA4_FINGERPRINT, USER_IP, ASN, TENANT, USER, LICENSE_KEY, EXPRESSION";
            reader.error_with_help("unknown-value", at, format!("`{text}` is no rate key"), help);
            None
        }
    };
    if !matches!(folded.as_str(), "HTTP_HEADER" | "HTTP_COOKIE")
        && let Some((written, at)) = reader.text(fields, name)
        && !written.is_empty()
    {
        reader.error(
            "not-of-this-key",
            at,
            format!("`{name}` goes with HTTP_HEADER and HTTP_COOKIE"),
        );
    }
    found
}

fn named_key(kind: fn(String) -> RateKeyKind, name: String) -> RateKey {
    RateKey { kind: kind(name), fallback: None }
}

fn named(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, at: &Value) -> Option<String> {
    match reader.text(fields, name) {
        Some((text, _)) if !text.is_empty() => Some(text.to_owned()),
        Some(_) | None => {
            reader.error("missing-key", at, format!("a key by header or cookie has a `{name}`"));
            None
        }
    }
}

fn key_expression(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    at: &Value,
) -> Option<RateKey> {
    let Some(value) = fields.value(name) else {
        reader.error("missing-key", at, format!("a key by expression has an `{name}`"));
        return None;
    };
    let expression = reader.expression(value, expr::parse_and_check_key)?;
    Some(RateKey { kind: RateKeyKind::Expression(Box::new(expression)), fallback: None })
}
