//! What a policy file may say without any effect here, or may not say at all: one table, a reason per line.

/// One key of the schema that is not enforced.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The key, in the map that `of` names.
    pub key: &'static str,
    /// The map: `policy`, `rule` or `match`.
    pub of: &'static str,
    /// Why.
    pub reason: &'static str,
    /// What happens.
    pub fate: Fate,
}

/// What happens to a key of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Google's own bookkeeping: named in one warning for the whole policy.
    Bookkeeping,
    /// Would protect, and does not here: a warning each.
    NotEnforced,
    /// Leaving it out would change what the policy means: the policy does not load.
    Refused,
}

/// The table.
pub const ROWS: &[Row] = &[
    row("policy", "kind", "output of the API", Fate::Bookkeeping),
    row("policy", "id", "output of the API", Fate::Bookkeeping),
    row("policy", "creationTimestamp", "output of the API", Fate::Bookkeeping),
    row("policy", "selfLink", "output of the API", Fate::Bookkeeping),
    row("policy", "selfLinkWithId", "output of the API", Fate::Bookkeeping),
    row("policy", "region", "output of the API", Fate::Bookkeeping),
    row("policy", "fingerprint", "a lock of the API against concurrent edits", Fate::Bookkeeping),
    row("policy", "labels", "labels of Google's console", Fate::Bookkeeping),
    row(
        "policy",
        "labelFingerprint",
        "a lock of the API against concurrent edits",
        Fate::Bookkeeping,
    ),
    row("policy", "ruleTupleCount", "output of the API", Fate::Bookkeeping),
    row("policy", "shortName", "a name inside Google's resource hierarchy", Fate::Bookkeeping),
    row("policy", "displayName", "a name inside Google's resource hierarchy", Fate::Bookkeeping),
    row("policy", "parent", "a place in Google's resource hierarchy", Fate::Bookkeeping),
    row(
        "policy",
        "associations",
        "attachment is in `backends` and `routes` here",
        Fate::Bookkeeping,
    ),
    row(
        "policy",
        "adaptiveProtectionConfig",
        "adaptive protection is not built yet",
        Fate::NotEnforced,
    ),
    row(
        "policy",
        "recaptchaOptionsConfig",
        "no reCAPTCHA assessment exists here",
        Fate::NotEnforced,
    ),
    row(
        "policy",
        "ddosProtectionConfig",
        "volumetric protection is below a reverse proxy",
        Fate::NotEnforced,
    ),
    row("policy", "userDefinedFields", "packet fields are below a reverse proxy", Fate::Refused),
    row("rule", "kind", "output of the API", Fate::Bookkeeping),
    row("rule", "ruleNumber", "output of the API", Fate::Bookkeeping),
    row("rule", "ruleTupleCount", "output of the API", Fate::Bookkeeping),
    row("rule", "ruleManagedProtectionTier", "output of the API", Fate::Bookkeeping),
    row(
        "rule",
        "redirectTarget",
        "a field of old exports; `redirectOptions` counts",
        Fate::Bookkeeping,
    ),
    row("rule", "enableLogging", "every request is logged here", Fate::Bookkeeping),
    row("rule", "networkMatch", "packet fields are below a reverse proxy", Fate::Refused),
    row("match", "exprOptions", "no reCAPTCHA assessment exists here", Fate::NotEnforced),
];

const fn row(of: &'static str, key: &'static str, reason: &'static str, fate: Fate) -> Row {
    Row { key, of, reason, fate }
}

/// Returns the keys of the table in one map.
pub(super) fn keys(of: &str) -> impl Iterator<Item = &'static str> {
    ROWS.iter().filter(move |row| row.of == of).map(|row| row.key)
}

/// Returns the row of a key.
pub(super) fn find(of: &str, key: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.of == of && row.key == key)
}
