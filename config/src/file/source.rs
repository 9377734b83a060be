//! What the configuration points at: files, directories and secrets, looked for while the caret can still be drawn.

use std::path::{Path, PathBuf};

use super::fields::Fields;
use super::{Context, Files, keys, scalar};
use crate::diagnostic::Diagnostic;
use crate::model::{
    Bans, Egress, Feed, Geo, ListSource, LogTarget, PolicySource, RuleSetSource, Stale, Url,
};
use crate::secret::{SecretError, SecretRef, credential_path, why};
use crate::yaml::Node;

/// The policies that are part of the binary.
const BUILTIN_POLICIES: [(&str, &str); 1] = [("license-api", "license-api")];
/// The rule sets that are part of the binary.
const BUILTIN_RULESETS: [(&str, &str); 1] = [("core", "core")];

/// What a path has to lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    File,
    Directory,
}

/// Reads the path of a file that has to be there.
pub(super) fn file(node: &Node, cx: &mut Context<'_>) -> Option<PathBuf> {
    let path = scalar::path(node, cx)?;
    there(path, Target::File, node, cx)
}

fn directory(node: &Node, cx: &mut Context<'_>) -> Option<PathBuf> {
    let path = scalar::path(node, cx)?;
    there(path, Target::Directory, node, cx)
}

fn there(path: PathBuf, target: Target, node: &Node, cx: &mut Context<'_>) -> Option<PathBuf> {
    cx.names_file(path.clone(), node.value_place());
    if cx.files == Files::MadeLater {
        return Some(path);
    }
    let problem = match (target, readable(&path)) {
        (Target::File, Ok(true)) => format!("`{}` is a directory, not a file", path.display()),
        (Target::Directory, Ok(false)) => format!("`{}` is not a directory", path.display()),
        (Target::File | Target::Directory, Ok(_)) => return Some(path),
        (Target::File | Target::Directory, Err(error)) => {
            format!("cannot read `{}`: {}", path.display(), why(&error))
        }
    };
    cx.error("unreadable-file", problem, node.value_place());
    None
}

/// Says whether the path leads to a directory, after opening it: what can be seen can still be unreadable.
fn readable(path: &Path) -> std::io::Result<bool> {
    Ok(std::fs::File::open(path)?.metadata()?.is_dir())
}

/// Reads a certificate: `file:PATH` or `credential:NAME`; it is no secret, so its mode does not matter.
pub(super) fn certificate(node: &Node, cx: &mut Context<'_>) -> Option<PathBuf> {
    refuse_inline(node, cx)?;
    let written = scalar::text(node, cx)?;
    let Some(name) = written.strip_prefix("credential:") else {
        return file(node, cx);
    };
    match credential_path(name) {
        Ok(path) => there(path, Target::File, node, cx),
        Err(error) => {
            cx.error("unreadable-secret", error.to_string(), node.value_place());
            None
        }
    }
}

/// Reads the reference of a secret, and tries whether the secret can be had.
pub(super) fn secret(node: &Node, cx: &mut Context<'_>) -> Option<SecretRef> {
    refuse_inline(node, cx)?;
    let written = scalar::text(node, cx)?;
    let reference = match written.split_once(':') {
        Some(("file", path)) if !path.is_empty() => {
            SecretRef::File(cx.base.join(path).components().collect())
        }
        Some(("env", name)) if is_variable(name) => SecretRef::Env(name.to_owned()),
        Some(("credential", name)) if is_credential(name) => SecretRef::Credential(name.to_owned()),
        Some(_) | None => {
            not_a_reference(written, node, cx);
            return None;
        }
    };
    if let Some(path) = reference.path() {
        cx.names_file(path, node.value_place());
    }
    if cx.files == Files::Checked
        && let Err(error) = reference.read()
    {
        let refused = Diagnostic::error("unreadable-secret", error.to_string());
        let refused = match error {
            SecretError::SharedMode { .. } => {
                refused.help("make it the owner's alone: `chmod 600`")
            }
            SecretError::Unreadable { .. }
            | SecretError::NotAFile(_)
            | SecretError::TooLarge(_)
            | SecretError::Unset(_)
            | SecretError::Empty(_) => refused,
        };
        cx.report(refused, node.value_place());
        return None;
    }
    Some(reference)
}

/// PEM pasted into the file: caught before anything could print it.
fn refuse_inline(node: &Node, cx: &mut Context<'_>) -> Option<()> {
    if !node.as_text().is_some_and(|written| written.contains("-----BEGIN")) {
        return Some(());
    }
    cx.inline_secrets.push(node.span.clone());
    cx.error("inline-secret", "keys and certificates are given by reference", node.place());
    None
}

/// What is written may be the secret itself: it is hidden wherever the text is shown, unless it is surely a path.
fn not_a_reference(written: &str, node: &Node, cx: &mut Context<'_>) {
    let wrong = Diagnostic::error("inline-secret", "a secret is given by reference");
    if [".key", ".pem"].iter().any(|ending| written.ends_with(ending)) {
        cx.report(wrong.help(format!("did you mean `file:{written}`?")), node.value_place());
        return;
    }
    cx.inline_secrets.push(node.span.clone());
    cx.report(wrong.help("write `file:/path`, `env:NAME` or `credential:name`"), node.place());
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_credential(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != ".."
}

/// Decodes `geo`.
pub(super) fn geo(node: &Node, cx: &mut Context<'_>) -> Option<Geo> {
    let fields = Fields::open(node, &keys::GEO, cx)?;
    let country = fields.may("country", cx, file);
    let country_ipv6 = fields.may("country_ipv6", cx, file);
    let asn = fields.may("asn", cx, file);
    let required = fields.of("required", cx, scalar::switch);
    let geo =
        Geo { country: country?, country_ipv6: country_ipv6?, asn: asn?, required: required? };
    if geo.required && geo.country.is_none() && geo.asn.is_none() {
        cx.error("geo-missing", "a geo database is required and none is named", node.place());
    }
    if geo.country.is_none() {
        fields.none_of(&["country_ipv6"], "without `country`", cx);
    }
    Some(geo)
}

/// The keys of a list that is fetched.
const FEED_KEYS: [&str; 4] = ["refresh", "max_age", "stale", "required"];

/// Decodes one of `lists`.
pub(super) fn address_list(name: &str, node: &Node, cx: &mut Context<'_>) -> Option<ListSource> {
    let fields = Fields::open(node, &keys::LIST, cx)?;
    let (key, source) = fields.one_of(&["file", "url", "include"], cx)?;
    if key == "url" {
        return feed(&fields, source, cx).map(ListSource::Feed);
    }
    fields.none_of(&FEED_KEYS, "for a list that is not fetched", cx);
    if key == "file" {
        return file(source, cx).map(ListSource::File);
    }
    let included = scalar::some_items(source, cx, list_name)?;
    if included.iter().any(|other| other == name) {
        let message = format!("the list `{name}` includes itself");
        cx.error("list-cycle", message, source.value_place());
        return None;
    }
    Some(ListSource::Include(included))
}

fn feed(fields: &Fields<'_>, source: &Node, cx: &mut Context<'_>) -> Option<Feed> {
    let url = url(source, cx);
    let refresh = fields.of("refresh", cx, scalar::duration("1m", "30d"));
    let max_age = fields.of("max_age", cx, scalar::duration("1m", "365d"));
    let stale = fields.of("stale", cx, |node, cx| {
        scalar::choice(node, cx, &[("keep", Stale::Keep), ("empty", Stale::Empty)])
    });
    let required = fields.of("required", cx, scalar::switch);
    let feed = Feed {
        url: url?,
        refresh: refresh?,
        max_age: max_age?,
        stale: stale?,
        required: required?,
    };
    if feed.max_age < feed.refresh {
        let message =
            "`max_age` is below `refresh`: the list would be stale before it is fetched again";
        cx.error("out-of-range", message, fields.get("max_age").unwrap_or(source).place());
        return None;
    }
    if feed.required && feed.stale == Stale::Empty {
        let place = fields.get("stale").unwrap_or(source).place();
        cx.error("conflicting-keys", "a required list cannot become empty: only one of `required: true`, `stale: empty` can be here", place);
        return None;
    }
    Some(feed)
}

/// Reads a URL.
pub(super) fn url(node: &Node, cx: &mut Context<'_>) -> Option<Url> {
    let written = scalar::text(node, cx)?;
    match Url::parse(written) {
        Ok(url) => Some(url),
        Err(problem) => {
            cx.error("wrong-value", format!("the URL {problem}"), node.value_place());
            None
        }
    }
}

/// Reads the name of one of `lists`.
fn list_name(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    if cx.names.lists.iter().any(|name| name == written) {
        return Some(written.to_owned());
    }
    let known: Vec<&str> = cx.names.lists.iter().map(String::as_str).collect();
    let message = format!("no list `{written}` is defined");
    let unknown = scalar::unknown("unknown-name", message, written, &known);
    cx.report(unknown, node.value_place());
    None
}

/// Decodes `bans`.
pub(super) fn bans(node: &Node, cx: &mut Context<'_>) -> Option<Bans> {
    let fields = Fields::open(node, &keys::BANS, cx)?;
    let allow = fields.may("allow", cx, |node, cx| scalar::items(node, cx, list_name));
    Some(Bans { allow: allow?.unwrap_or_default() })
}

/// Decodes `egress`.
pub(super) fn egress(node: &Node, cx: &mut Context<'_>) -> Option<Egress> {
    let fields = Fields::open(node, &keys::EGRESS, cx)?;
    let networks = fields.may("networks", cx, |node, cx| scalar::items(node, cx, scalar::network));
    let plain_http = fields.may("plain_http", cx, |node, cx| scalar::items(node, cx, plain_host));
    let ca = fields.may("ca", cx, certificate);
    Some(Egress {
        networks: networks?.unwrap_or_default(),
        plain_http: plain_http?.unwrap_or_default(),
        ca: ca?,
    })
}

/// Reads a host as it stands in a URL.
fn plain_host(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = scalar::text(node, cx)?;
    let is_ipv6 = written.starts_with('[') && written.ends_with(']');
    let is_alone = !written.contains(['/', '?']) && (is_ipv6 || !written.contains(':'));
    match Url::parse(&format!("http://{written}/")) {
        Ok(url) if is_alone => Some(url.host().to_owned()),
        Ok(_) | Err(_) => {
            let message = format!("`{written}` is no host name and no address");
            cx.error("wrong-value", message, node.value_place());
            None
        }
    }
}

/// Decodes one of `rulesets`.
pub(super) fn ruleset(node: &Node, cx: &mut Context<'_>) -> Option<RuleSetSource> {
    let fields = Fields::open(node, &keys::RULESET, cx)?;
    match fields.one_of(&["crs", "builtin"], cx)? {
        ("crs", node) => directory(node, cx).map(RuleSetSource::Crs),
        (_, node) => {
            Some(RuleSetSource::Builtin(scalar::choice(node, cx, &BUILTIN_RULESETS)?.to_owned()))
        }
    }
}

/// Decodes one of `policies`.
pub(super) fn policy(node: &Node, cx: &mut Context<'_>) -> Option<PolicySource> {
    let fields = Fields::open(node, &keys::POLICY, cx)?;
    match fields.one_of(&["file", "builtin"], cx)? {
        ("file", node) => file(node, cx).map(PolicySource::File),
        (_, node) => {
            Some(PolicySource::Builtin(scalar::choice(node, cx, &BUILTIN_POLICIES)?.to_owned()))
        }
    }
}

/// Decodes the target of a log.
pub(super) fn log_target(node: &Node, cx: &mut Context<'_>) -> Option<LogTarget> {
    let written = scalar::text(node, cx)?;
    if !written.starts_with("file:") {
        let words = [
            ("stdout", LogTarget::Stdout),
            ("stderr", LogTarget::Stderr),
            ("off", LogTarget::Off),
            ("file:PATH", LogTarget::Off),
        ];
        return scalar::choice(node, cx, &words);
    }
    let path = scalar::path(node, cx)?;
    let parent = directory_of(&path);
    if cx.files == Files::Checked && !parent.is_dir() {
        let message = format!("there is no directory `{}` for the log", parent.display());
        cx.error("unreadable-file", message, node.value_place());
        return None;
    }
    Some(LogTarget::File(path))
}

/// The directory of a file; of a bare name that is the working directory.
fn directory_of(path: &Path) -> &Path {
    let named = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    named.unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_in_the_working_directory() {
        for (path, directory) in [("a.jsonl", "."), ("./a.jsonl", "."), ("/a", "/"), ("b/a", "b")] {
            assert_eq!(directory_of(Path::new(path)), Path::new(directory), "{path}");
        }
    }
}
