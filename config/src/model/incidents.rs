//! What is done about incidents.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::Url;
use crate::secret::SecretRef;

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
    /// The folder of the operator's scenarios.
    pub scenarios: Option<PathBuf>,
    /// Where the runbooks stand, for links in what people are told; it ends with a slash.
    pub runbooks: Option<Url>,
    /// Networks whose places say nothing of where people are.
    pub exits: Exits,
    /// The key with which Alertmanager posts alerts; `None` takes none.
    pub alerts_key: Option<SecretRef>,
    /// Who is told, by name.
    pub notifiers: BTreeMap<String, Notifier>,
    /// What tells somebody else that this process still works.
    pub heartbeat: Option<Heartbeat>,
}

/// Where many people come out: VPNs, carriers, hosting.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Exits {
    /// By address.
    pub networks: Vec<IpNet>,
    /// By the number of the autonomous system.
    pub asns: Vec<u32>,
}

impl Exits {
    /// Says whether an address of an autonomous system (0 where none is known) is one.
    #[must_use]
    pub fn has(&self, address: std::net::IpAddr, asn: u32) -> bool {
        let address = address.to_canonical();
        self.asns.contains(&asn) || self.networks.iter().any(|one| one.contains(&address))
    }
}

/// A way to tell people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notifier {
    /// How.
    pub way: NotifierWay,
    /// The priorities that it is told of: of [`PRIORITIES`].
    pub priorities: Vec<&'static str>,
    /// Messages a minute; further ones wait.
    pub rate: u32,
    /// The notifier that is told where this one fails.
    pub fallback: Option<String>,
}

/// How a notifier speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotifierWay {
    /// PagerDuty's Events API v2.
    PagerDuty {
        /// Where it is asked.
        url: Url,
        /// The routing key.
        key: SecretRef,
    },
    /// An incoming webhook of Slack: its whole URL is the secret.
    Slack {
        /// The URL.
        key: SecretRef,
    },
    /// A signed webhook (Standard Webhooks 1.0).
    Webhook {
        /// Where it is sent.
        url: Url,
        /// One or more keys that begin with `whsec_`, one per line.
        key: SecretRef,
    },
    /// Mail by SMTP, with STARTTLS always.
    Smtp(Smtp),
}

/// Mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Smtp {
    /// The server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// Who signs in, and with which password; `None` signs nobody in.
    pub login: Option<(String, SecretRef)>,
    /// How long mails about P3 are collected for.
    pub digest: Duration,
}

/// A dead man's switch: somebody else notices when it is not pressed any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// What is asked with POST.
    pub url: Url,
    /// How often.
    pub every: Duration,
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
    "NEW_NETWORK",
    "ALERT",
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
