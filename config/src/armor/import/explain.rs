//! Why each finding of an import matters, from one table.

use crate::armor::lint::LINTS;

/// The findings that are no lints, by id.
const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "shadowed-by-match-all",
        "The first rule that matches decides. A rate rule whose conforming requests are allowed decides too, and everything below it is never asked.",
    ),
    (
        "no-waf-reached",
        "Every request is decided before the first rule that inspects anything: the policy has no WAF, whatever its page says.",
    ),
    (
        "listed-countries-bypass",
        "An `allow` ends the evaluation. Clients from the listed countries are neither limited nor inspected.",
    ),
    (
        "countries-not-denied",
        "To allow some countries denies none. The others go on to the rules below and at last to the default rule.",
    ),
    (
        "countries-not-the-union",
        "The words of the description are believed by those who read the policy; the list is what is enforced.",
    ),
    (
        "in-not-on-google",
        "Google's language has no `in`: `terraform plan` accepts the policy and `apply` fails.",
    ),
    (
        "deprecated-expr",
        "The old function asks all four levels. Levels 3 and 4 refuse much that is harmless.",
    ),
    (
        "old-rule-set",
        "Core Rule Set 3.0 is from 2016. Its signatures miss what was found since, and its ids are others.",
    ),
    (
        "opt-outs-leave-noise",
        "Single ids were taken out where a whole level was too much: the rest of the level still refuses.",
    ),
    (
        "opt-outs-are-level-one",
        "The list says what one number says, and has to be kept up by hand.",
    ),
    ("opt-out-gone", "Ids that the newer set does not have change nothing there."),
    (
        "unknown-waf-set",
        "The policy cannot be created on Google with it, so this rule has never refused anybody.",
    ),
    (
        "json-parsing-off",
        "Without it a JSON body is one long text: quotes and colons look like attacks, and names are not told from values.",
    ),
    (
        "never-previewed",
        "A rule that is enforced at once refuses customers before anyone has seen what it matches.",
    ),
    (
        "adaptive-alerts-only",
        "Google's standard tier only alerts; a placeholder rule has to act on it, which needs the paid tier.",
    ),
    (
        "policy-defined-twice",
        "Terraform refuses the second resource; and whoever reads one of the files believes the wrong policy.",
    ),
    ("not-imported", "What is not read is in none of the files that are written."),
    ("attachment", "One backend, one policy: where it is named decides who may change it."),
    (
        "two-owners",
        "Whoever applies last wins, and the other side shows a drift that nobody understands.",
    ),
    ("backend-importable", "What it says has keys here: probe, timeout, drain, policy."),
    (
        "backend-config-on-ingress",
        "The annotation is read from Services only. What stands in it was most likely never in force.",
    ),
    (
        "hosts-without-policy",
        "A host whose backend has no policy is open to everything that the policy is for.",
    ),
    ("certificate-unknown", "The load balancer served some other certificate, or none."),
    (
        "certificate-misses-host",
        "Clients of a host that no certificate names see an error, or another host's certificate.",
    ),
    (
        "tls-policy-absent",
        "Google's default accepts TLS 1.0. A promise of TLS 1.3 needs an SSL policy.",
    ),
    (
        "moving-volumetric",
        "What arrives at your line has already filled it: a provider in front is the only answer to a flood.",
    ),
    ("moving-anycast", "Clients far away pay the round trips to your machines for each handshake."),
    ("moving-recaptcha", "Rules on `token.recaptcha_*` load and are false; nothing is challenged."),
    (
        "moving-feeds",
        "A list that nobody refreshes grows stale: name its source, its refresh and its greatest age under `lists`.",
    ),
    ("moving-exact", "A policy that relied on Google's slack refuses a little earlier here."),
    (
        "moving-cost",
        "Each rule and each policy has its price there; here they cost processor time, which `eval` and the benches show.",
    ),
    (
        "moving-metrics",
        "Dashboards on `cloudarmor_blocked_requests_total` and `security_events_total` go on: the edge exports both names.",
    ),
];

/// Returns why a finding matters, by its id; a lint's own advice for a lint.
#[must_use]
pub fn explanation(id: &str) -> &'static str {
    let known = EXPLANATIONS.iter().find(|(known, _)| *known == id).map(|(_, text)| *text);
    let lint = || LINTS.iter().find(|lint| lint.id == id).map(|lint| lint.advice);
    known.or_else(lint).unwrap_or_default()
}
