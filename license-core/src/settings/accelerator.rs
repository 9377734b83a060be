//! The accelerator of heartbeats.

use super::{Secret, Span};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::path::PathBuf;
use std::time::Duration;

/// A Redis or Valkey that heartbeats are answered from.
#[derive(Clone, Debug)]
pub struct Accelerator {
    /// Its URL: `rediss://user:password@host:6379`; without TLS only on this machine.
    pub url: Secret,
    /// How far the database leases ahead of what holders are told.
    pub ahead: Duration,
    /// A PEM file of authorities that are trusted in place of the system's.
    pub ca: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) url: Spanned<String>,
    pub(super) ahead: Option<Spanned<Span>>,
    pub(super) ca: Option<PathBuf>,
}

const AHEAD_MIN: Duration = Duration::from_secs(10);
const AHEAD_MAX: Duration = Duration::from_secs(3600);

/// Says what is wrong with a length of `ahead`.
pub(super) fn check_ahead(ahead: Duration) -> Result<(), &'static str> {
    if (AHEAD_MIN..=AHEAD_MAX).contains(&ahead) {
        Ok(())
    } else {
        Err(
            "`ahead` must be 10s to 1h: so much later comes the seat of a holder free that vanished",
        )
    }
}

/// Says what is wrong with a URL; its text is a secret and in no message.
pub(super) fn check_url(url: &Secret) -> Result<(), &'static str> {
    let url = url.reveal();
    let (scheme, rest) = url.split_once("://").ok_or("`url` must lead to `rediss://…`")?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (credentials, host) =
        authority.rsplit_once('@').map_or(("", authority), |(before, host)| (before, host));
    let local = ["127.0.0.1", "[::1]", "localhost"];
    let is_local = local.iter().any(|name| host == *name || host.starts_with(&format!("{name}:")));
    match scheme {
        "unix" | "redis+unix" => Ok(()),
        "redis" if is_local => Ok(()),
        "redis" => Err("over a network `url` must be `rediss://`, with TLS"),
        "rediss" if is_local || credentials.contains(':') => Ok(()),
        "rediss" => Err("`url` must hold a password: `rediss://user:password@host`"),
        _ => {
            Err("`url` must lead to `rediss://…`, or on this machine to `redis://…` or `unix://…`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, check_url};

    #[test]
    fn urls_over_a_network_have_tls_and_a_password() {
        for (url, good) in [
            ("rediss://app:hush@cache.example.com:6379/0", true),
            ("rediss://:hush@cache.example.com", true),
            ("redis://127.0.0.1:6379", true),
            ("redis://localhost", true),
            ("rediss://localhost:6380", true),
            ("unix:///run/redis.sock", true),
            ("redis://cache.example.com", false),
            ("redis://app:hush@cache.example.com", false),
            ("redis://localhost.example.com", false),
            ("rediss://cache.example.com", false),
            ("http://localhost", false),
            ("cache.example.com", false),
        ] {
            assert_eq!(check_url(&Secret::new(url.to_owned())).is_ok(), good, "{url}");
        }
    }
}
