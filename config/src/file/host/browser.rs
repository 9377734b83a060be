//! What a route does for browsers.

use crate::diagnostic::Diagnostic;
use crate::file::fields::Fields;
use crate::file::{Context, keys, scalar};
use crate::model::{Browser, Cookies, Cors, Csrf, CsrfToken, HostName, OriginRule, SameSite};
use crate::yaml::Node;

/// Decodes the keys of a route that are about browsers.
pub(super) fn browser(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<Browser> {
    let cors = fields.may("cors", cx, cors);
    let csrf = fields.may("csrf", cx, csrf);
    let cookies = fields.may("cookies", cx, cookies);
    Some(Browser { cors: cors?, csrf: csrf?, cookies: cookies? })
}

fn cors(node: &Node, cx: &mut Context<'_>) -> Option<Cors> {
    let fields = Fields::open(node, &keys::CORS, cx)?;
    let origins = fields.may("origins", cx, |node, cx| scalar::some_items(node, cx, origin_rule));
    let credentials = fields.may("credentials", cx, origins_of_ours);
    let methods = fields.may("methods", cx, |node, cx| scalar::some_items(node, cx, method));
    let headers = fields.may("headers", cx, |node, cx| scalar::some_items(node, cx, header));
    let expose = fields.may("expose", cx, |node, cx| scalar::some_items(node, cx, header));
    let max_age = fields.of("max_age", cx, scalar::duration("0s", "24h"));
    let (origins, credentials) = (origins?.unwrap_or_default(), credentials?.unwrap_or_default());
    if origins.is_empty() && credentials.is_empty() {
        fields.missing("one of `origins`, `credentials` is missing: who may read the answers", cx);
        return None;
    }
    if origins.contains(&OriginRule::Any) && (origins.len() > 1 || !credentials.is_empty()) {
        let said = "`*` stands alone, and never beside `credentials`";
        let wrong = Diagnostic::error("conflicting-keys", said);
        let help = "name the origins; a route for everybody has no credentials";
        cx.report(wrong.help(help), fields.get("origins").unwrap_or(node).value_place());
        return None;
    }
    let usual = || ["GET", "HEAD", "POST"].map(str::to_owned).to_vec();
    Some(Cors {
        origins,
        credentials,
        methods: methods?.unwrap_or_else(usual),
        headers: headers?.unwrap_or_default(),
        expose: expose?.unwrap_or_default(),
        max_age: max_age?,
    })
}

fn csrf(node: &Node, cx: &mut Context<'_>) -> Option<Csrf> {
    let fields = Fields::open(node, &keys::CSRF, cx)?;
    let cookies = fields.may("cookies", cx, |node, cx| scalar::some_items(node, cx, cookie));
    let origins = fields.may("origins", cx, origins_of_ours);
    let token_cookie = fields.may("token_cookie", cx, host_cookie);
    let token_header = fields.of("token_header", cx, header);
    if fields.get("token_cookie").is_none() {
        fields.none_of(&["token_header"], "without `token_cookie`", cx);
    }
    let header = token_header?;
    Some(Csrf {
        cookies: cookies?.unwrap_or_default(),
        origins: origins?.unwrap_or_default(),
        token: token_cookie?.map(|cookie| CsrfToken { cookie, header }),
    })
}

fn cookies(node: &Node, cx: &mut Context<'_>) -> Option<Cookies> {
    let fields = Fields::open(node, &keys::COOKIES, cx)?;
    let words = [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];
    let same_site = fields.of("same_site", cx, |node, cx| scalar::choice(node, cx, &words));
    let script = fields.may("script", cx, |node, cx| scalar::some_items(node, cx, cookie));
    Some(Cookies { same_site: same_site?, script: script?.unwrap_or_default() })
}

fn origins_of_ours(node: &Node, cx: &mut Context<'_>) -> Option<Vec<String>> {
    scalar::some_items(node, cx, |node, cx| match origin_rule(node, cx)? {
        OriginRule::Exact(origin) => Some(origin),
        OriginRule::Any | OriginRule::Below { .. } => {
            let said = "credentials are for origins that are named one by one";
            let wrong = Diagnostic::error("wrong-value", said);
            let help = "a pattern would let in whoever takes over a name below it";
            cx.report(wrong.help(help), node.value_place());
            None
        }
    })
}

/// Reads an origin as browsers write it, a pattern of one label, or `*`.
fn origin_rule(node: &Node, cx: &mut Context<'_>) -> Option<OriginRule> {
    let written = scalar::text(node, cx)?;
    if written == "*" {
        return Some(OriginRule::Any);
    }
    match parsed(written) {
        Ok(rule) => Some(rule),
        Err(why) => {
            let wrong = Diagnostic::error("wrong-value", format!("`{written}` {why}"));
            let help = "write `https://app.example.com`, or `https://*.example.com` for one label";
            cx.report(wrong.help(help), node.value_place());
            None
        }
    }
}

fn parsed(written: &str) -> Result<OriginRule, &'static str> {
    let (scheme, host) = match (written.strip_prefix("https://"), written.strip_prefix("http://")) {
        (Some(host), _) => ("https://", host),
        (None, Some(host)) => ("http://", host),
        (None, None) => return Err("is no origin"),
    };
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_local = name == "localhost" || name == "127.0.0.1";
    if scheme == "http://" && !is_local {
        return Err("could be forged by whoever is on the way: only `https` origins are trusted");
    }
    if written.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("is not as browsers write it: origins are in lower case");
    }
    match port.map(str::parse::<u16>) {
        Some(Ok(80 | 443)) => return Err("names a port that browsers leave out"),
        Some(Ok(1..)) | None => {}
        Some(Ok(0) | Err(_)) => return Err("has no port where one should be"),
    }
    let (label, base) = name.strip_prefix("*.").map_or((None, name), |base| (Some(()), base));
    let is_name = HostName::parse_pattern(base).is_some() && !base.contains('*');
    if !is_name || label.is_some() && !base.contains('.') {
        return Err("is no origin");
    }
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok(match label {
        Some(()) => OriginRule::Below { scheme: scheme.to_owned(), rest: format!(".{base}{port}") },
        None => OriginRule::Exact(format!("{scheme}{base}{port}")),
    })
}

fn method(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    scalar::choice(node, cx, &all.map(|method| (method, method.to_owned())))
}

fn header(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    if scalar::is_header_name(written) && written != "*" {
        return Some(written.to_ascii_lowercase());
    }
    let said = format!("`{written}` is not the name of a header");
    cx.error("wrong-name", said, node.value_place());
    None
}

fn cookie(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    if scalar::is_header_name(written) {
        return Some(written.to_owned());
    }
    let said = format!("`{written}` is not the name of a cookie");
    cx.error("wrong-name", said, node.value_place());
    None
}

fn host_cookie(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let name = cookie(node, cx)?;
    if name.starts_with("__Host-") {
        return Some(name);
    }
    let wrong = Diagnostic::error("wrong-name", format!("other hosts could set `{name}`"));
    cx.report(wrong.help("begin the name with `__Host-`"), node.value_place());
    None
}
