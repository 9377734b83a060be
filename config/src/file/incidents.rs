//! `incidents`: what is done about them, and who is told.

use super::fields::Fields;
use std::collections::BTreeMap;

use super::{Context, keys, scalar, source};
use ipnet::IpNet;

use crate::model::{
    ACTIONS, CATEGORIES, Exits, Heartbeat, Incidents, Notifier, NotifierWay, PRIORITIES,
    ResponseRule, Smtp, Url,
};
use crate::secret::SecretRef;
use crate::yaml::{Node, Value};

/// Decodes `incidents`.
pub(super) fn incidents(node: &Node, cx: &mut Context<'_>) -> Option<Incidents> {
    let fields = Fields::open(node, &keys::INCIDENTS, cx)?;
    let dry_run = fields.of("dry_run", cx, scalar::switch);
    let respond_for = fields.of("respond_for", cx, scalar::duration("1m", "7d"));
    let limited_to = fields.of("limited_to", cx, scalar::number(1..=100_000));
    let raised_to = fields.of("raised_to", cx, scalar::number(1..=100_000));
    let breach_objects = fields.of("breach_objects", cx, scalar::number(1..=64));
    let responses_max = fields.of("responses_max", cx, scalar::number(1..=10_000));
    let learn = fields.of("learn", cx, scalar::duration("0s", "1h"));
    let responses = fields.may("responses", cx, |node, cx| scalar::items(node, cx, response));
    let scenarios = fields.may("scenarios", cx, scalar::path);
    let runbooks = fields.may("runbooks", cx, folder);
    let exits = fields.may("exits", cx, |node, cx| scalar::items(node, cx, exit));
    let alerts_key = fields.may("alerts_key", cx, source::secret);
    let notifiers = fields
        .may("notifiers", cx, |node, cx| scalar::named(node, cx, |_, n, cx| notifier(n, cx)))
        .and_then(|known| known_fallbacks(known.unwrap_or_default(), &fields, cx));
    let heartbeat = fields.may("heartbeat", cx, heartbeat);
    Some(Incidents {
        dry_run: dry_run?,
        respond_for: respond_for?,
        limited_to: limited_to?,
        raised_to: raised_to?,
        breach_objects: breach_objects?,
        responses_max: responses_max?,
        learn: learn?,
        responses: responses?.unwrap_or_default(),
        scenarios: scenarios?,
        runbooks: runbooks?,
        exits: sorted(exits?.unwrap_or_default()),
        alerts_key: alerts_key?,
        notifiers: notifiers?,
        heartbeat: heartbeat?,
    })
}

/// What holds where the file does not say.
pub(super) fn usual(cx: &mut Context<'_>) -> Option<Incidents> {
    incidents(&Node { span: 0..0, key: None, value: Value::Map(Vec::new()) }, cx)
}

/// A network, or the number of an autonomous system.
enum Exit {
    Network(IpNet),
    Asn(u32),
}

fn exit(node: &Node, cx: &mut Context<'_>) -> Option<Exit> {
    let written = scalar::text(node, cx)?;
    let Some(number) = written.strip_prefix("AS") else {
        return scalar::network(node, cx).map(Exit::Network);
    };
    let number = number.parse().ok().filter(|number| *number != 0);
    if number.is_none() {
        let wrong = format!("`{written}` is no autonomous system: write `AS64500`");
        cx.error("wrong-value", wrong, node.value_place());
    }
    number.map(Exit::Asn)
}

fn sorted(read: Vec<Exit>) -> Exits {
    let mut exits = Exits::default();
    for one in read {
        match one {
            Exit::Network(network) => exits.networks.push(network),
            Exit::Asn(asn) => exits.asns.push(asn),
        }
    }
    exits
}

fn response(node: &Node, cx: &mut Context<'_>) -> Option<ResponseRule> {
    let fields = Fields::open(node, &keys::RESPONSE, cx)?;
    let category = fields.of("category", cx, word(CATEGORIES));
    let at = fields.of("at", cx, word(PRIORITIES));
    let actions = fields
        .of("actions", cx, |node, cx| scalar::items(node, cx, |node, cx| word(ACTIONS)(node, cx)));
    Some(ResponseRule { category: category?, at: at?, actions: actions? })
}

/// Reads a URL that others are under.
fn folder(node: &Node, cx: &mut Context<'_>) -> Option<Url> {
    let url = source::url(node, cx)?;
    if url.as_str().ends_with('/') {
        return Some(url);
    }
    cx.error("wrong-value", "the URL of a folder ends with `/`", node.value_place());
    None
}

fn heartbeat(node: &Node, cx: &mut Context<'_>) -> Option<Heartbeat> {
    let fields = Fields::open(node, &keys::HEARTBEAT, cx)?;
    let url = fields.of("url", cx, source::url);
    let every = fields.of("every", cx, scalar::duration("10s", "1h"));
    Some(Heartbeat { url: url?, every: every? })
}

/// A fallback is another notifier, and not one that falls back itself: nobody is told in a circle.
fn known_fallbacks(
    known: BTreeMap<String, Notifier>,
    fields: &Fields<'_>,
    cx: &mut Context<'_>,
) -> Option<BTreeMap<String, Notifier>> {
    let mut is_good = true;
    for (name, notifier) in &known {
        let Some(fallback) = &notifier.fallback else { continue };
        let wrong = match known.get(fallback) {
            _ if fallback == name => format!("`{name}` cannot fall back to itself"),
            None => format!("there is no notifier `{fallback}` to fall back to"),
            Some(other) if other.fallback.is_some() => {
                format!("`{fallback}` has a fallback itself; one is enough")
            }
            Some(_) => continue,
        };
        let place = fields.get("notifiers").map(Node::place).unwrap_or_default();
        cx.error("unknown-name", wrong, place);
        is_good = false;
    }
    is_good.then_some(known)
}

fn notifier(node: &Node, cx: &mut Context<'_>) -> Option<Notifier> {
    let fields = Fields::open(node, &keys::NOTIFIER, cx)?;
    let kinds = ["pagerduty", "slack", "webhook", "smtp"].map(|kind| (kind, kind));
    let kind = fields.of("kind", cx, |node, cx| scalar::choice(node, cx, &kinds));
    let priorities = fields.may("for", cx, |node, cx| {
        scalar::some_items(node, cx, |node, cx| word(PRIORITIES)(node, cx))
    });
    let rate = fields.of("rate", cx, scalar::number(1..=600));
    let fallback = fields.may("fallback", cx, |node, cx| scalar::text(node, cx).map(str::to_owned));
    let kind = kind?;
    let way = match kind {
        "pagerduty" => pagerduty(&fields, cx),
        "slack" => slack(&fields, cx),
        "webhook" => webhook(&fields, cx),
        _ => smtp(&fields, cx), // the words above hold no other
    };
    let usual = match kind {
        "pagerduty" => vec!["P0", "P1"],
        "slack" => vec!["P2"],
        "smtp" => vec!["P0", "P3"],
        _ => PRIORITIES.to_vec(), // a webhook
    };
    Some(Notifier {
        way: way?,
        priorities: priorities?.unwrap_or(usual),
        rate: rate?,
        fallback: fallback?,
    })
}

fn key(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<SecretRef> {
    let Some(node) = fields.get("key") else {
        fields.missing("the key `key` is missing in `incidents.notifiers.<name>`", cx);
        return None;
    };
    source::secret(node, cx)
}

fn pagerduty(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<NotifierWay> {
    fields.none_of(&["server", "from", "to", "user", "digest"], "for `pagerduty`", cx);
    let key = key(fields, cx);
    let url = fields.may("url", cx, source::url);
    let url = match url? {
        Some(url) => Some(url),
        None => Url::parse("https://events.pagerduty.com/v2/enqueue").ok(),
    };
    Some(NotifierWay::PagerDuty { url: url?, key: key? })
}

fn slack(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<NotifierWay> {
    let why = "for `slack`, whose `key` is the whole URL";
    fields.none_of(&["url", "server", "from", "to", "user", "digest"], why, cx);
    Some(NotifierWay::Slack { key: key(fields, cx)? })
}

fn webhook(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<NotifierWay> {
    fields.none_of(&["server", "from", "to", "user", "digest"], "for `webhook`", cx);
    let key = key(fields, cx);
    let Some(node) = fields.get("url") else {
        fields.missing("the key `url` is missing in `incidents.notifiers.<name>`", cx);
        return None;
    };
    Some(NotifierWay::Webhook { url: source::url(node, cx)?, key: key? })
}

fn smtp(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<NotifierWay> {
    fields.none_of(&["url"], "for `smtp`", cx);
    let digest = fields.of("digest", cx, scalar::duration("1m", "24h"));
    let server = fields.may("server", cx, server);
    let from = fields.may("from", cx, mailbox);
    let to = fields.may("to", cx, |node, cx| scalar::some_items(node, cx, mailbox));
    let user = fields.may("user", cx, |node, cx| scalar::text(node, cx).map(str::to_owned));
    let password = match fields.get("key") {
        Some(node) => source::secret(node, cx).map(Some),
        None => Some(None),
    };
    let (server, from, to) = (server?, from?, to?);
    let (Some((host, port)), Some(from), Some(to)) = (server, from, to) else {
        fields.missing("a notifier of `smtp` needs `server`, `from` and `to`", cx);
        return None;
    };
    let login = match (user?, password?) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            fields.missing("`user` and `key` (the password) belong together", cx);
            return None;
        }
    };
    Some(NotifierWay::Smtp(Smtp { host, port, from, to, login, digest: digest? }))
}

/// Reads `HOST:PORT`.
fn server(node: &Node, cx: &mut Context<'_>) -> Option<(String, u16)> {
    let written = scalar::text(node, cx)?;
    let found = scalar::host_and_port(written);
    if found.is_none() {
        let message = format!("`{written}` is not `HOST:PORT`, such as `mail.example.com:587`");
        cx.error("wrong-value", message, node.value_place());
    }
    found
}

/// Reads an address of mail: what would end a line of the head is none.
fn mailbox(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let is_plain = written.bytes().all(|b| b.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&b));
    let is_mailbox = written
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.contains('@'));
    if is_plain && is_mailbox {
        return Some(written.to_owned());
    }
    let message = format!("`{written}` is no address of mail, such as `soc@example.com`");
    cx.error("wrong-value", message, node.value_place());
    None
}

/// Reads one of the words of a table.
fn word(
    words: &'static [&'static str],
) -> impl FnOnce(&Node, &mut Context<'_>) -> Option<&'static str> {
    move |node, cx| {
        let words: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
        scalar::choice(node, cx, &words)
    }
}
