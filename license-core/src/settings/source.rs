//! The file's own shape. Everything unknown is refused, with a caret where it stands.

mod signing;

use super::accelerator::{check_ahead, check_url};
use super::{
    Accelerator, Database, Lease, Listen, PersonalData, Postgres, Rates, Secret, Secrets, Settings,
    SettingsError, Span, Webhooks, read_limited,
};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_saphyr::Spanned;
use signing::{File, SigningSource};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    version: Version,
    listen: ListenSource,
    database: DatabaseSource,
    edge_keys: PathBuf,
    #[serde(default)]
    lease: LeaseSource,
    signing: Option<SigningSource>,
    secrets: Option<KeySource>,
    personal_data: Option<KeySource>,
    metrics: Option<SocketAddr>,
    webhooks: Option<super::webhooks::Source>,
    backups: Option<Spanned<super::backups::Source>>,
    #[serde(default)]
    retention: super::retention::Source,
    rates: Option<super::rates::Source>,
    accelerator: Option<super::accelerator::Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySource {
    key: Spanned<String>,
    former_key: Option<Spanned<String>>,
}

struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(D::Error::custom(format!(
                "version `{other}` is not known, this program reads version 1"
            ))),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ListenSource {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum DatabaseSource {
    Sqlite(PathBuf),
    Postgres(PostgresSource),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostgresSource {
    url: Spanned<String>,
    owner_url: Option<Spanned<String>>,
    connections: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LeaseSource {
    ttl: Option<Spanned<Span>>,
    heartbeat: Option<Spanned<Span>>,
    age_max: Option<Spanned<Span>>,
    offline_max: Option<Spanned<Span>>,
}

/// Connections of a process that says nothing of them.
const CONNECTIONS: u32 = 16;
const SECRET_BYTES_MAX: u64 = 16 * 1024;
const TTL_MIN: Duration = Duration::from_secs(60);
const OFFLINE_MAX: Duration = Duration::from_secs(7 * 86_400);
const AGE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Reads the file's text; `name` is what messages call the file, `base` where its relative paths start.
pub(super) fn parse(text: &[u8], name: &str, base: &Path) -> Result<Settings, SettingsError> {
    let text = str::from_utf8(text).map_err(|error| {
        SettingsError::Source(format!("{name}: not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    let source: Source = serde_saphyr::from_str(text)
        .map_err(|error| SettingsError::Source(format!("{name}: {error}")))?;
    let Source {
        version: Version,
        listen,
        database,
        edge_keys,
        lease,
        signing,
        secrets,
        personal_data,
        metrics,
        webhooks,
        backups,
        retention,
        rates,
        accelerator,
    } = source;
    let lease = resolve_lease(&lease, text, name)?;
    let (wrapping_key, key_place, algorithms) =
        signing::resolve(signing, File { text, name, base })?;
    let accelerator = match &accelerator {
        None => None,
        Some(field) if matches!(database, DatabaseSource::Sqlite(_)) => {
            let rule =
                "an `accelerator` is for PostgreSQL: SQLite takes heartbeats in batches by itself";
            return Err(at(Some(&field.url), text, name, rule));
        }
        Some(field) if wrapping_key.is_none() && secrets.is_none() => {
            let rule = "an `accelerator` needs `secrets` or `signing.wrapping_key`, which seals what stands in it";
            return Err(at(Some(&field.url), text, name, rule));
        }
        Some(field) => Some(resolve_accelerator(field, lease, text, name, base)?),
    };
    let backups = match &backups {
        None => None,
        Some(field) if matches!(database, DatabaseSource::Postgres(_)) => {
            let rule = "`backups` are of SQLite: PostgreSQL is backed up by its own means (`pg_dump`, or its archive)";
            return Err(at(Some(field), text, name, rule));
        }
        Some(field) => Some(field.value.resolve(base).map_err(|(rule, place)| match place {
            Some((line, column)) => at_place(line, column, text, name, rule),
            None => at(Some(field), text, name, rule),
        })?),
    };
    let signs = wrapping_key.is_some() || key_place.is_some();
    let retention = retention.resolve(signs);
    let retention = retention.map_err(|(rule, field)| at(Some(field), text, name, rule))?;
    Ok(Settings {
        retention,
        listen: match listen {
            ListenSource::Unix(path) => Listen::Unix(base.join(path)),
            ListenSource::Tcp(address) => Listen::Tcp(address),
        },
        database: match database {
            DatabaseSource::Sqlite(path) => Database::Sqlite(base.join(path)),
            DatabaseSource::Postgres(source) => {
                Database::Postgres(resolve_postgres(&source, text, name, base)?)
            }
        },
        edge_keys: base.join(edge_keys),
        metrics,
        backups,
        rates: rates.map_or_else(Rates::default, Rates::from),
        webhooks: webhooks.map_or_else(Webhooks::default, |webhooks| webhooks.resolve(base)),
        lease,
        accelerator,
        wrapping_key,
        algorithms,
        key_place,
        secrets: secrets
            .map(|source| resolve_key(&source, text, name, base))
            .transpose()?
            .map(|(key, former_key)| Secrets { key, former_key }),
        personal_data: personal_data
            .map(|source| resolve_key(&source, text, name, base))
            .transpose()?
            .map(|(key, former_key)| PersonalData { key, former_key }),
    })
}

fn resolve_lease(source: &LeaseSource, text: &str, name: &str) -> Result<Lease, SettingsError> {
    let default = Lease::default();
    let value = |field: &Option<Spanned<Span>>, default| {
        field.as_ref().map_or(default, |given| given.value.duration())
    };
    let lease = Lease {
        ttl: value(&source.ttl, default.ttl),
        heartbeat: value(&source.heartbeat, default.heartbeat),
        age_max: value(&source.age_max, default.age_max),
        offline_max: value(&source.offline_max, default.offline_max),
    };
    let wrong =
        |field: &Option<Spanned<Span>>, rule: &str| Err(at(field.as_ref(), text, name, rule));
    if lease.ttl < TTL_MIN {
        return wrong(&source.ttl, "`ttl` must be at least 60s");
    }
    if lease.heartbeat.is_zero() || lease.heartbeat * 2 > lease.ttl {
        let field = if source.heartbeat.is_some() { &source.heartbeat } else { &source.ttl };
        return wrong(
            field,
            "`heartbeat` must be more than 0s and at most half of `ttl`, so that one may be lost",
        );
    }
    if lease.age_max < lease.ttl || lease.age_max > AGE_MAX {
        let field = if source.age_max.is_some() { &source.age_max } else { &source.ttl };
        return wrong(field, "`age_max` must be at least `ttl` and at most 366d");
    }
    if lease.offline_max > OFFLINE_MAX {
        return wrong(
            &source.offline_max,
            "`offline_max` must be at most 7d, as keys verify for eight days",
        );
    }
    Ok(lease)
}

fn resolve_accelerator(
    source: &super::accelerator::Source,
    lease: Lease,
    text: &str,
    name: &str,
    base: &Path,
) -> Result<Accelerator, SettingsError> {
    let url = reference(&source.url.value, base)
        .map_err(|problem| at(Some(&source.url), text, name, &problem))?;
    check_url(&url).map_err(|rule| at(Some(&source.url), text, name, rule))?;
    let ahead = source.ahead.as_ref().map_or(lease.ttl / 2, |field| field.value.duration());
    check_ahead(ahead).map_err(|rule| at(source.ahead.as_ref(), text, name, rule))?;
    Ok(Accelerator { url, ahead, ca: source.ca.as_ref().map(|path| base.join(path)) })
}

/// Fetches a key, and the one before it.
fn resolve_key(
    source: &KeySource,
    text: &str,
    name: &str,
    base: &Path,
) -> Result<(Secret, Option<Secret>), SettingsError> {
    let secret = |field: &Spanned<String>| {
        reference(&field.value, base).map_err(|problem| at(Some(field), text, name, &problem))
    };
    Ok((secret(&source.key)?, source.former_key.as_ref().map(secret).transpose()?))
}

fn resolve_postgres(
    source: &PostgresSource,
    text: &str,
    name: &str,
    base: &Path,
) -> Result<Postgres, SettingsError> {
    let secret = |field: &Spanned<String>| {
        reference(&field.value, base).map_err(|problem| at(Some(field), text, name, &problem))
    };
    if let Some(field) =
        source.connections.as_ref().filter(|field| !(2..=1000).contains(&field.value))
    {
        return Err(at(Some(field), text, name, "`connections` must be 2 to 1000"));
    }
    Ok(Postgres {
        url: secret(&source.url)?,
        owner_url: source.owner_url.as_ref().map(secret).transpose()?,
        connections: source.connections.as_ref().map_or(CONNECTIONS, |field| field.value),
    })
}

/// Fetches a secret from where the settings say it stands: never in the settings themselves.
fn reference(text: &str, base: &Path) -> Result<Secret, String> {
    if let Some(variable) = text.strip_prefix("env:") {
        return std::env::var(variable)
            .map(Secret::new)
            .map_err(|_| format!("the environment has no text `{variable}`"));
    }
    let Some(path) = text.strip_prefix("file:") else {
        return Err("a secret is written as `file:PATH` or `env:NAME`, never inline".to_owned());
    };
    let path = base.join(path);
    let unreadable = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
    let mode = std::fs::metadata(&path).map_err(|error| unreadable(&error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "`{}` must be readable by its owner alone (mode 0600)",
            path.display()
        ));
    }
    let bytes = read_limited(&path, SECRET_BYTES_MAX).map_err(|error| unreadable(&error))?;
    let secret =
        String::from_utf8(bytes).map_err(|_| format!("`{}` is not UTF-8", path.display()))?;
    Ok(Secret::new(secret.trim_end().to_owned()))
}

/// Draws the line that holds the wrong value, with a caret under it.
fn at<T>(field: Option<&Spanned<T>>, text: &str, name: &str, rule: &str) -> SettingsError {
    let Some(field) = field else {
        return SettingsError::Source(format!("{name}: {rule}"));
    };
    at_place(field.referenced.line(), field.referenced.column(), text, name, rule)
}

fn at_place(line: u64, column: u64, text: &str, name: &str, rule: &str) -> SettingsError {
    let row = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
    let shown = text.lines().nth(row).unwrap_or_default();
    let indent =
        " ".repeat(usize::try_from(column).unwrap_or(1).saturating_sub(1).min(shown.len()));
    SettingsError::Source(format!("{name}:{line}:{column}: {rule}\n  | {shown}\n  | {indent}^"))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::settings::{Database, Listen, Settings};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::Duration;

    const GOOD: &str = "version: 1\nlisten: { unix: run/license.sock }\ndatabase: { sqlite: /var/license.db }\n\
        edge_keys: edge.jwks\nlease: { ttl: 10m, heartbeat: 300s, age_max: 2d }\n";

    fn read(text: &str) -> Result<Settings, String> {
        parse(text.as_bytes(), "license.yaml", Path::new("/etc/l"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_file_is_read_and_paths_are_relative_to_it() {
        let settings = read(GOOD).unwrap();
        assert_eq!(settings.listen, Listen::Unix("/etc/l/run/license.sock".into()));
        assert!(
            matches!(&settings.database, Database::Sqlite(path) if path == Path::new("/var/license.db"))
        );
        assert_eq!(settings.edge_keys, Path::new("/etc/l/edge.jwks"));
        assert_eq!(settings.lease.ttl, Duration::from_secs(600));
        assert_eq!(settings.lease.age_max, Duration::from_secs(2 * 86_400));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_a_caret() {
        let cases = [
            ("version: 1", "version: 2", "version `2` is not known"),
            ("edge_keys", "edge_key", "edge_key"),
            ("edge_keys", "retention: { sessions: 29d }\nedge_keys", "30d to 3660d"),
            ("edge_keys", "retention: { denials: 3661d }\nedge_keys", "30d to 3660d"),
            ("edge_keys", "retention: { answers: 59m }\nedge_keys", "1h to 1d"),
            ("edge_keys", "retention: { answers: 2d }\nedge_keys", "1h to 1d"),
            ("edge_keys", "retention: { audit: 30d }\nedge_keys", "at signed checkpoints only"),
            ("edge_keys", "retention: { audits: 30d }\nedge_keys", "audits"),
            ("unix:", "pipe:", "pipe"),
            ("10m", "10", "not a duration"),
            ("10m", "10 m", "not a duration"),
            ("10m", "-10m", "not a duration"),
            ("10m", "59s", "`ttl` must be at least 60s"),
            ("300s", "301s", "at most half of `ttl`"),
            ("300s", "0s", "more than 0s"),
            ("2d", "9m", "`age_max` must be"),
            ("2d", "367d", "`age_max` must be"),
            ("2d", "2d, offline_max: 8d", "`offline_max` must be"),
            ("lease:", "webhooks: { allow: [10.1.0.0/33] }\nlease:", "not an address or a network"),
            ("lease:", "webhooks: { allow: [example.com] }\nlease:", "not an address or a network"),
            ("lease:", "webhooks: { allowed: [] }\nlease:", "allowed"),
            (
                "lease:",
                "backups: { directory: b, every: 59s }\nlease:",
                "`every` must be at least 60s",
            ),
            ("lease:", "backups: { directory: b, keep: 0 }\nlease:", "`keep` must be 1 to 10000"),
            ("lease:", "rates: { acquire: 10/61m }\nlease:", "not a rate"),
            ("lease:", "rates: { acquire: 601/1m }\nlease:", "not a rate"),
            ("lease:", "rates: { release: 10/1m }\nlease:", "release"),
            ("lease:", "version: 1\nlease:", "duplicate"),
            ("lease:", "personal_data: { key: AAAA }\nlease:", "never inline"),
            ("lease:", "personal_data: { keys: 'file:k' }\nlease:", "keys"),
        ];
        for (from, to, says) in cases {
            let error = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(says), "{from} -> {to}: {error}");
            assert!(error.contains('^'), "{error}");
            assert!(error.starts_with("license.yaml:"), "{error}");
        }
    }

    #[test]
    fn secrets_are_references_to_private_files_and_never_inline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url");
        std::fs::write(&path, "postgres://u:hush@db/l\n").unwrap();
        let yaml = |url: &str| {
            GOOD.replace(
                "{ sqlite: /var/license.db }",
                &format!("{{ postgres: {{ url: {url} }} }}"),
            )
        };
        let good = yaml(&format!("file:{}", path.display()));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&good).unwrap_err().contains("mode 0600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let settings = read(&good).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        let Database::Postgres(postgres) = settings.database else { panic!("{settings:?}") };
        assert_eq!(postgres.url.reveal(), "postgres://u:hush@db/l");
        assert!(read(&yaml("postgres://u:p@db/l")).unwrap_err().contains("never inline"));
        assert!(
            read(&yaml("env:NO_SUCH_VARIABLE_HERE")).unwrap_err().contains("NO_SUCH_VARIABLE_HERE")
        );
    }

    #[test]
    fn an_accelerator_is_for_postgres_with_a_wrapping_key_and_a_safe_url() {
        let dir = tempfile::tempdir().unwrap();
        let private = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            format!("file:{}", path.display())
        };
        let (database, good) =
            (private("d", "postgres://db/l"), private("r", "rediss://a:hush@cache"));
        let plain = private("p", "redis://a:hush@cache");
        let yaml = |url: &str, more: &str| {
            let postgres = format!("{{ postgres: {{ url: \"{database}\" }} }}");
            GOOD.replace("{ sqlite: /var/license.db }", &postgres)
                + &format!(
                    "signing: {{ wrapping_key: w }}\naccelerator: {{ url: \"{url}\"{more} }}\n"
                )
        };
        let settings = read(&yaml(&good, "")).unwrap();
        assert_eq!(
            settings.accelerator.as_ref().unwrap().ahead,
            Duration::from_secs(300),
            "half of `ttl`"
        );
        assert!(!format!("{settings:?}").contains("hush"));
        for (text, says) in [
            (yaml(&plain, ""), "`rediss://`, with TLS"),
            (yaml("rediss://a:b@cache", ""), "never inline"),
            (yaml(&good, ", ahead: 9s"), "`ahead` must be 10s to 1h"),
            (yaml(&good, ", ahead: 61m"), "`ahead` must be 10s to 1h"),
            (yaml(&good, ", policy: lru"), "policy"),
            (
                yaml(&good, "").replace("signing: { wrapping_key: w }\n", ""),
                "needs `secrets` or `signing.wrapping_key`",
            ),
            (
                format!(
                    "{GOOD}signing: {{ wrapping_key: w }}\naccelerator: {{ url: \"{good}\" }}\n"
                ),
                "is for PostgreSQL",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(
                error.contains(says) && error.contains('^') && !error.contains("hush"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = read("version: 1\nlisten: { tcp: 127.0.0.1:0 }\nedge_keys: k\n").unwrap_err();
        assert!(error.contains("database"), "{error}");
    }
}
