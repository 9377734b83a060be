//! What loads and is most likely not what was meant. One table of lints; `docs/lints.md` is made from it.

mod condition;
mod country;
mod limits;
mod order;
mod strict;
#[cfg(test)]
mod tests;

use super::{Rule, SecurityPolicy};
use crate::{Diagnostic, Location, Timestamp};

/// One lint.
#[derive(Clone, Copy, Debug)]
pub struct Lint {
    /// The stable id, in kebab case.
    pub id: &'static str,
    /// What it finds, in one sentence.
    pub finds: &'static str,
    /// What goes wrong, and what to write instead.
    pub advice: &'static str,
    /// When it speaks.
    pub said: Said,
}

/// When a lint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Of a policy that loads, as a warning.
    Loaded,
    /// Under `--strict-gcp` only, as an error.
    Strict,
    /// While the policy is read, as a warning.
    Reading,
    /// While the policy is read: it does not load.
    Refused,
    /// While the policy is compiled with the rule sets and lists of a configuration.
    Compiling,
}

impl Said {
    /// Returns what stands behind the id on the page.
    const fn note(self) -> &'static str {
        match self {
            Self::Loaded | Self::Reading => "",
            Self::Strict => " (`--strict-gcp`, an error)",
            Self::Refused => " (an error)",
            Self::Compiling => " (with a configuration)",
        }
    }
}

/// Every lint, in the order of the page.
pub const LINTS: &[Lint] = &[
    lint(
        "unreachable-rule",
        "A rule stands below one that decides every request.",
        "It never runs. Move it up, or let the rate rule above say `conformAction: continue`.",
    ),
    lint(
        "repeated-condition",
        "A rule has the very condition of one above it that decides.",
        "It never runs. Delete it or change one of the two.",
    ),
    lint(
        "allow-above-waf",
        "An `allow` with a condition stands above WAF rules.",
        "What it matches is never inspected. Deny the complement at this place, or move the `allow` below.",
    ),
    lint(
        "rate-above-waf",
        "A rate rule whose conforming requests are allowed stands above WAF rules.",
        "What it matches is never inspected. Write `conformAction: continue`, or move it below the WAF rules.",
    ),
    lint(
        "header-action-on-waf-rule",
        "A rule adds headers, and its condition is decided by the body.",
        "On Google the headers are not added then; here they are only where the request passes.",
    ),
    lint(
        "redirect-on-waf-rule",
        "A redirect's condition is decided by the body.",
        "On Google it becomes a refusal.",
    ),
    lint(
        "header-action-on-rate-rule",
        "A rate rule adds headers.",
        "On Google such a rule has been seen to accept everything. Use a rule of its own.",
    ),
    lint(
        "covered-ranges",
        "Every range of a rule lies inside ranges of a rule above it that decides.",
        "It never runs. Move it up or delete it.",
    ),
    lint(
        "expired-rule",
        "A rule's `expires` has passed.",
        "It does nothing any more. Delete it, or give it a new end.",
    ),
    lint(
        "contained-range",
        "A range lies inside another one of the same rule.",
        "It changes nothing. Delete it.",
    ),
    lint(
        "private-range",
        "A range of private addresses in a condition.",
        "Clients seldom have one; are trusted hops set, and is a client meant at all?",
    ),
    lint(
        "unguarded-header",
        "A header, cookie or claim is read without has().",
        "Where it is missing the whole rule does not match. Write has(x) && ….",
    ),
    lint(
        "always-true",
        "The condition is always true.",
        "As in x != 'A' || x != 'B': write &&, or !(x in ['A', 'B']).",
    ),
    lint(
        "always-false",
        "The condition is always false.",
        "As in x == 'A' && x == 'B': write ||, or x in ['A', 'B'].",
    ),
    lint(
        "region-in-text",
        "A text is searched for the country.",
        "An unknown country is '', which every text contains. Write origin.region_code in ['…'].",
    ),
    lint(
        "unknown-region-refused",
        "A refusal of countries outside a list refuses unknown ones too.",
        "If that is not meant, write origin.region_code != '' && !(…).",
    ),
    lint(
        "unknown-country",
        "A country code that no country has.",
        "Codes are those of ISO 3166-1, upper case; the United Kingdom is GB.",
    ),
    lint("unknown-method", "A method that HTTP does not have.", "Methods are upper case."),
    lint(
        "path-not-normalised",
        "A refusal compares the path as it was sent.",
        "/%61dmin and /ADMIN pass it. Write request.path.urlDecode().lower(), in this order: /%41dmin passes the other one.",
    ),
    lint(
        "path-lowered-before-decoding",
        "The path is lowered and then decoded.",
        "Google's samples write lower().urlDecode(), which /%41dmin passes: the letter appears after it was lowered. Write urlDecode().lower().",
    ),
    lint(
        "unanchored-host",
        "A pattern for the host has no ^ or no $.",
        "It matches other hosts too: a.example.com.attacker.net. Write ^…$.",
    ),
    lint(
        "unanchored-path",
        "A pattern for the path has no ^.",
        "It matches anywhere in the path. Write ^ where the beginning is meant.",
    ),
    lint("capture-group", "A pattern captures.", "Google refuses it. Write (?:…)."),
    lint(
        "content-length-guard",
        "The body's length is taken from Content-Length.",
        "A chunked body and HTTP/2 have none. The route's body limit holds for all of them.",
    ),
    lint(
        "secret-header-bypass",
        "An `allow` for whoever knows a header's value.",
        "The secret stands in the policy and in every client's log. Use a token, or a signed bypass.",
    ),
    lint(
        "sensitivity-not-set",
        "A WAF question without sensitivity asks all four levels.",
        "Levels 3 and 4 refuse much that is harmless. Write {'sensitivity': 1} and raise it in preview.",
    ),
    lint(
        "exclusion-not-asked",
        "An exclusion belongs to a set that the rule's condition does not ask.",
        "It changes nothing.",
    ),
    lint(
        "scoring-not-asked",
        "`scoring: anomaly` on a rule whose condition asks no WAF set.",
        "It changes nothing.",
    ),
    lint(
        "opt-out-on-crs-30",
        "Signatures are left out of a set of CRS 3.0.",
        "Google has been seen to ignore it on these sets. Use the set of a version: sqli-v33-stable, sqli-v422-stable.",
    ),
    lint(
        "json-parsing-off",
        "WAF rules without `jsonParsing: STANDARD`.",
        "Google scans JSON as one raw text then, with many false refusals. Here JSON is always parsed.",
    ),
    lint(
        "key-is-forgeable",
        "A limit is keyed by what the client chooses: X-Forwarded-For.",
        "Everyone has as many keys as they like. Use IP, with trusted hops.",
    ),
    lint(
        "shared-fallback",
        "Requests without the key share one counter.",
        "One of them can use it up for all. Write `fallback: ip`.",
    ),
    lint(
        "user-ip-headers",
        "`origin.user_ip` is read from headers that any client can send.",
        "Only safe where every request passes a proxy that sets them.",
    ),
    lint(
        "ban-outlasts-lease",
        "A ban of callers with a valid token lasts longer than a license's lease of 360 s.",
        "A banned office loses its seats. Shorten it, or match !token.valid.",
    ),
    lint(
        "one-limit-for-all",
        "The only rate rules count every request of an address alike.",
        "An office behind one address shares it, and /health too. Give callers with a token limits of their own.",
    ),
    reading("bare-deny", "`deny` without a status.", "It is read as deny(403). Write the status."),
    reading(
        "deny-429",
        "`deny(429)` as a rule's action.",
        "On Google 429 is an exceed action only; here it refuses with 429.",
    ),
    reading(
        "deprecated-expr",
        "`evaluatePreconfiguredExpr`, which Google has deprecated.",
        "Write evaluatePreconfiguredWaf(…, {'sensitivity': 1}).",
    ),
    reading(
        "header-key-case",
        "A header's name with capital letters.",
        "Google's map has keys in lower case and finds nothing under this one; here it is folded.",
    ),
    reading(
        "host-bits",
        "A range with bits set beyond its prefix.",
        "It is read as the whole network: 10.0.0.1/8 is 10.0.0.0/8.",
    ),
    refused(
        "duplicate-priority",
        "Two rules of one priority.",
        "Nobody can say which of them is first. Give each its own.",
    ),
    refused(
        "default-rule",
        "No rule at 2147483647 that matches everything, or one that expires.",
        "Google's pages disagree on what a missing one means. Write it out: allow or deny(403), with srcIpRanges: ['*'].",
    ),
    refused(
        "not-of-this-action",
        "A key that the rule's action does not have, such as `banDurationSec` of a throttle.",
        "It would change nothing. Delete it, or change the action.",
    ),
    refused(
        "waf-signature",
        "A signature's name that is none, is of another version than its set, or (with a configuration) is a signature's that neither Google's set nor the loaded one has.",
        "Google ignores it silently. Write the set's own version, as in owasp-crs-v030301-id942100-sqli.",
    ),
    refused(
        "waf-options",
        "Options of a WAF question that contradict each other, such as `opt_in_rule_ids` above sensitivity 0.",
        "Signatures are taken in at 'sensitivity': 0, or left out of a higher one.",
    ),
    compiling(
        "body-not-read",
        "A rule reads `request.body` on a route whose `body` is `skip` or `stream`.",
        "It is empty there, whatever is sent. Inspect the body on that route, or give the route a policy without the rule.",
    ),
    compiling(
        "waf-signature-unknown",
        "A signature is left out of a set, or taken in, that the loaded rules do not have.",
        "Leaving it out changes nothing, and taken in it never matches.",
    ),
    strict(
        "gcp-interval",
        "An interval or ban that Google does not take.",
        "Intervals: 10, 30, 60, 120, 180, 240, 300, 600, 900, 1200, 1800, 2700, 3600 s; bans from 60 s.",
    ),
    strict(
        "gcp-count",
        "A count that Google does not take.",
        "1 to 1,000,000 for throttle, 1 to 10,000 for rate_based_ban.",
    ),
    strict(
        "gcp-extension",
        "Something that Google's language or schema has not.",
        "Leave it out of what goes to Google.",
    ),
    strict(
        "gcp-limit",
        "More than Google takes.",
        "10 ranges a rule; 5 subexpressions of 1024 and in all 2048 characters, 1 matches(); 3 keys; 1024 characters of a redirect's target, 64 of a description.",
    ),
];

const fn lint(id: &'static str, finds: &'static str, advice: &'static str) -> Lint {
    Lint { id, finds, advice, said: Said::Loaded }
}

const fn strict(id: &'static str, finds: &'static str, advice: &'static str) -> Lint {
    Lint { id, finds, advice, said: Said::Strict }
}

const fn reading(id: &'static str, finds: &'static str, advice: &'static str) -> Lint {
    Lint { id, finds, advice, said: Said::Reading }
}

const fn refused(id: &'static str, finds: &'static str, advice: &'static str) -> Lint {
    Lint { id, finds, advice, said: Said::Refused }
}

const fn compiling(id: &'static str, finds: &'static str, advice: &'static str) -> Lint {
    Lint { id, finds, advice, said: Said::Compiling }
}

/// Whether a policy must also be one that Google takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Extensions are welcome.
    Native,
    /// `--strict-gcp`: extensions and what exceeds Google's limits are errors.
    Gcp,
}

/// Returns what is most likely not meant, by the rules' order.
#[must_use]
pub fn lint_policy(policy: &SecurityPolicy, strictness: Strictness) -> Vec<Diagnostic> {
    let mut found = Findings { found: Vec::new() };
    order::lint(policy, &mut found);
    limits::lint(policy, &mut found);
    for rule in &policy.rules {
        condition::lint(policy, rule, &mut found);
    }
    if strictness == Strictness::Gcp {
        strict::lint(policy, &mut found);
    }
    found.found.sort_by_key(|problem| problem.at.as_ref().map_or(0, |at| at.span.start));
    found.found
}

/// Returns the rules that do nothing at `now` because their time is over.
#[must_use]
pub fn expired(policy: &SecurityPolicy, now: Timestamp) -> Vec<Diagnostic> {
    let mut found = Findings { found: Vec::new() };
    for rule in &policy.rules {
        if rule.expires.is_some_and(|end| now >= end) {
            let message = format!("{} has expired and does nothing", named(rule));
            found.report("expired-rule", message, rule.at.clone());
        }
    }
    found.found
}

/// Returns the page of all lints, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = String::from("# Lints\n\nWhat `portcullis check` says of a security policy.\n");
    for lint in LINTS {
        let when = lint.said.note();
        page += &format!("\n## `{}`{when}\n\n{} {}\n", lint.id, lint.finds, lint.advice);
    }
    page
}

pub(super) use order::{asks_waf, decides, matches_all};

/// Gathers findings.
struct Findings {
    found: Vec<Diagnostic>,
}

impl Findings {
    /// Reports a lint of the table.
    fn report(&mut self, id: &'static str, message: impl Into<String>, at: Location) {
        let lint = LINTS.iter().find(|lint| lint.id == id);
        let problem = match lint {
            Some(lint) if lint.said == Said::Strict => {
                Diagnostic::error(id, message).help(lint.advice)
            }
            Some(lint) => Diagnostic::warning(id, message).help(lint.advice),
            None => Diagnostic::warning(id, message),
        };
        self.found.push(problem.at(at));
    }
}

/// Says which rule is meant.
fn named(rule: &Rule) -> String {
    format!("rule {}", rule.priority)
}
