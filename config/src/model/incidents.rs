//! What is done about incidents.

use std::time::Duration;

/// How incidents are answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incidents {
    /// Write down what would be done, and do nothing.
    pub dry_run: bool,
    /// How long a response lasts.
    pub respond_for: Duration,
    /// Requests a minute of whom is limited.
    pub limited_to: u32,
    /// Requests a minute of each client on a route whose protection is raised.
    pub raised_to: u32,
    /// Foreign objects that a subject must have asked for before it is suspended.
    pub breach_objects: u32,
    /// Responses in ten minutes.
    pub responses_max: u32,
    /// How long after the start no source is banned.
    pub learn: Duration,
    /// What is done, in place of the usual for the categories that are named.
    pub responses: Vec<ResponseRule>,
}

/// One line of what is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResponseRule {
    /// For incidents of this category: one of [`CATEGORIES`].
    pub category: &'static str,
    /// From this priority on: one of [`PRIORITIES`].
    pub at: &'static str,
    /// What is done: of [`ACTIONS`].
    pub actions: Vec<&'static str>,
}

/// The categories of events and incidents.
pub const CATEGORIES: &[&str] = &[
    "SQL_INJECTION",
    "XSS",
    "LFI",
    "RFI",
    "RCE",
    "PHP_INJECTION",
    "JAVA_ATTACK",
    "SESSION_FIXATION",
    "GENERIC_ATTACK",
    "PROTOCOL_ATTACK",
    "SCANNER",
    "DDOS",
    "BRUTE_FORCE",
    "CREDENTIAL_STUFFING",
    "LOGIN_FAILED",
    "TENANT_BREACH",
    "IMPOSSIBLE_TRAVEL",
    "TOKEN_FORGERY",
    "TOKEN_REPLAY",
    "LICENSE_ABUSE",
    "RATE_LIMIT",
    "BAN",
    "GEO_BLOCK",
    "IP_BLOCK",
    "METHOD_ENFORCEMENT",
    "WAF_LIMIT",
    "POLICY_DENY",
    "TOKEN_REFUSED",
    "REQUEST_REFUSED",
    "UNAVAILABLE",
    "KMS_FAILURE",
    "CONFIG_TAMPER",
];

/// The priorities, the least urgent first.
pub const PRIORITIES: &[&str] = &["P3", "P2", "P1", "P0"];

/// What can be done.
pub const ACTIONS: &[&str] = &[
    "ban",
    "ban_fingerprint",
    "limit",
    "revoke",
    "suspend",
    "release",
    "lockdown",
    "raise",
    "enforce",
    "evidence",
];
