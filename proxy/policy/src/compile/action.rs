//! Actions: rate limits with their keys.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Diagnostic;
use portcullis_config::armor::{self, Conform, Exceed, Fallback, RateKeyKind, RateLimit};
use portcullis_config::expr::{Kind, Literal};

use super::Compiler;
use super::code::{Common, Operand};
use super::condition::Context;
use crate::limit::{BadLimit, BanRule, Limit, Threshold};
use crate::verdict::ConfiguredAction;

/// What happens on a match.
#[derive(Debug)]
pub(crate) enum Action {
    Allow,
    Deny(u16),
    Rate(Box<RateRule>),
    Redirect(Arc<str>),
    Log,
}

impl Action {
    pub(crate) fn configured(&self) -> ConfiguredAction {
        match self {
            Self::Allow => ConfiguredAction::Allow,
            Self::Deny(_) => ConfiguredAction::Deny,
            Self::Rate(rate) if rate.limit.ban().is_some() => ConfiguredAction::RateBasedBan,
            Self::Rate(_) => ConfiguredAction::Throttle,
            Self::Redirect(_) => ConfiguredAction::External302,
            Self::Log => ConfiguredAction::Log,
        }
    }
}

/// A rate rule.
#[derive(Debug)]
pub(crate) struct RateRule {
    pub(crate) limit: Limit,
    pub(crate) keys: Box<[CompiledKey]>,
    /// The names of headers, cookies and fields of the body that are part of the key.
    pub(crate) fields: Arc<[Box<str>]>,
    pub(crate) conform: Conform,
    pub(crate) exceed: CompiledExceed,
}

#[derive(Debug)]
pub(crate) enum CompiledExceed {
    Deny(u16),
    Redirect(Arc<str>),
}

/// One part of a key.
#[derive(Debug)]
pub(crate) struct CompiledKey {
    pub(crate) kind: KeyKind,
    pub(crate) fallback: Fallback,
}

#[derive(Debug)]
pub(crate) enum KeyKind {
    All,
    Ip,
    UserIp,
    XffIp,
    LicenseKey,
    /// A text; absent or empty (but for the region, where unknown is a key of its own) takes the fallback.
    Text(Operand),
    Sni,
    /// A text that may be empty.
    TextOrEmpty(Operand),
}

impl Compiler<'_> {
    pub(super) fn action(&mut self, rule: &armor::Rule) -> Option<Action> {
        match &rule.action {
            armor::Action::Allow => Some(Action::Allow),
            armor::Action::Deny(status) => Some(Action::Deny(status.as_u16())),
            armor::Action::Throttle(limit) | armor::Action::RateBasedBan(limit) => {
                self.rate(limit, rule)
            }
            armor::Action::Redirect(target) => Some(Action::Redirect(target.as_str().into())),
            armor::Action::Log => Some(Action::Log),
        }
    }

    fn rate(&mut self, limit: &RateLimit, rule: &armor::Rule) -> Option<Action> {
        let mut keys = Vec::with_capacity(limit.keys.len());
        let mut words = Vec::with_capacity(limit.keys.len());
        for key in &limit.keys {
            let (kind, usual, word) = self.key(key, rule)?;
            let fallback = key.fallback.unwrap_or(usual);
            words.push(format!("{word}/{fallback:?}"));
            keys.push(CompiledKey { kind, fallback });
        }
        let name = format!("{}/{}", self.policy, rule.priority);
        let bad = |problem: BadLimit| {
            Diagnostic::error("rate-limit", problem.to_string()).at(rule.at.clone())
        };
        let compiled = match limit_of(&name, &words.join(","), limit) {
            Ok(compiled) => compiled,
            Err(problem) => {
                self.problems.push(bad(problem));
                return None;
            }
        };
        let exceed = match &limit.exceed {
            Exceed::Deny(status) => CompiledExceed::Deny(status.as_u16()),
            Exceed::Redirect(target) => CompiledExceed::Redirect(target.as_str().into()),
        };
        Some(Action::Rate(Box::new(RateRule {
            limit: compiled,
            keys: keys.into(),
            fields: limit.keys.iter().flat_map(fields).collect(),
            conform: limit.conform,
            exceed,
        })))
    }

    /// Returns the key, its fallback where none is written, and its word for the definition's digest.
    fn key(
        &mut self,
        key: &armor::RateKey,
        rule: &armor::Rule,
    ) -> Option<(KeyKind, Fallback, String)> {
        use portcullis_config::expr::Attribute;
        let text = |attribute| KeyKind::Text(Operand::Attribute(attribute));
        let (all, ip) = (Fallback::All, Fallback::Ip);
        Some(match &key.kind {
            RateKeyKind::All => (KeyKind::All, all, "ALL".into()),
            RateKeyKind::Ip => (KeyKind::Ip, all, "IP".into()),
            RateKeyKind::HttpHeader(name) => (
                KeyKind::Text(self.common(Common::Header(name.as_bytes().into()))),
                all,
                format!("HTTP_HEADER:{name}"),
            ),
            RateKeyKind::HttpCookie(name) => (
                KeyKind::Text(self.common(Common::Cookie(name.as_bytes().into()))),
                all,
                format!("HTTP_COOKIE:{name}"),
            ),
            RateKeyKind::XffIp => (KeyKind::XffIp, ip, "XFF_IP".into()),
            RateKeyKind::HttpPath => (text(Attribute::Path), all, "HTTP_PATH".into()),
            RateKeyKind::Sni => (KeyKind::Sni, all, "SNI".into()),
            RateKeyKind::RegionCode => (
                KeyKind::TextOrEmpty(Operand::Attribute(Attribute::OriginRegionCode)),
                all,
                "REGION_CODE".into(),
            ),
            RateKeyKind::Ja3 => (text(Attribute::OriginJa3), all, "TLS_JA3_FINGERPRINT".into()),
            RateKeyKind::Ja4 => (text(Attribute::OriginJa4), all, "TLS_JA4_FINGERPRINT".into()),
            RateKeyKind::UserIp => (KeyKind::UserIp, ip, "USER_IP".into()),
            RateKeyKind::Asn => (text(Attribute::OriginAsn), all, "ASN".into()),
            RateKeyKind::Tenant => (text(Attribute::TokenTenant), ip, "TENANT".into()),
            RateKeyKind::User => (text(Attribute::TokenSubject), ip, "USER".into()),
            RateKeyKind::LicenseKey => {
                self.reads_body = true;
                (KeyKind::LicenseKey, ip, "LICENSE_KEY".into())
            }
            RateKeyKind::Expression(expression) => {
                let at = Context { rule, expression };
                let operand = self.operand(&expression.typed.root, at)?;
                (KeyKind::Text(operand), ip, format!("EXPRESSION:{}", expression.typed.text))
            }
        })
    }
}

/// Returns the names under which the client sent what is in this part of a key.
fn fields(key: &armor::RateKey) -> Vec<Box<str>> {
    match &key.kind {
        RateKeyKind::HttpHeader(name) | RateKeyKind::HttpCookie(name) => {
            vec![name.as_str().into()]
        }
        RateKeyKind::LicenseKey => vec!["license_key".into()],
        RateKeyKind::Expression(expression) => {
            let mut names = Vec::new();
            expression.typed.walk(&mut |node| {
                if let Kind::Lookup { key, .. } = &node.kind
                    && let Kind::Literal(Literal::String(name)) = &key.kind
                {
                    names.push(name.as_str().into());
                }
            });
            names
        }
        RateKeyKind::All
        | RateKeyKind::Ip
        | RateKeyKind::XffIp
        | RateKeyKind::HttpPath
        | RateKeyKind::Sni
        | RateKeyKind::RegionCode
        | RateKeyKind::Ja3
        | RateKeyKind::Ja4
        | RateKeyKind::UserIp
        | RateKeyKind::Asn
        | RateKeyKind::Tenant
        | RateKeyKind::User => Vec::new(),
    }
}

fn limit_of(name: &str, keys: &str, limit: &RateLimit) -> Result<Limit, BadLimit> {
    let threshold = |rate: armor::Rate| {
        Threshold::new(rate.count, Duration::from_secs(u64::from(rate.interval_secs)))
    };
    let ban = match limit.ban {
        Some(ban) => {
            let total = ban.threshold.map(threshold).transpose()?;
            Some(BanRule::new(total, Duration::from_secs(u64::from(ban.duration_secs)))?)
        }
        None => None,
    };
    Ok(Limit::new(name, keys, threshold(limit.threshold)?, ban))
}
