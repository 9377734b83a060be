//! The file of revocations: one a line, as `portcullis token revoke` takes them, with a moment where only what was issued
//! before it is revoked.

use std::sync::Arc;

use jiff::Timestamp as Moment;
use portcullis_config::{Config, Diagnostic, Timestamp};
use portcullis_identity::revocation::{Revocation, Revocations, Revoked};

use super::sources::Sources;

/// How many wrong lines are told.
const TOLD_MAX: usize = 20;

/// Reads the file of `identity.revocations`, if one is named.
pub(super) fn load(config: &Config, sources: &mut Sources) -> Arc<Revocations> {
    let Some(path) = &config.identity.revocations else { return Arc::default() };
    let Some(text) = sources.read_text("the file of revocations", path) else {
        return Arc::default();
    };
    let mut entries = Vec::new();
    let mut wrong = Vec::new();
    for (number, line) in text.text().lines().enumerate() {
        match entry(line, config) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => {}
            Err(why) => wrong.push(format!("`{}`, line {}: {why}", path.display(), number + 1)),
        }
    }
    let help = "write `tenant:NAME`, or `tenant:NAME before 2026-01-31T12:00:00Z`";
    for message in wrong.iter().take(TOLD_MAX) {
        let problem = Diagnostic::error("revocation-invalid", message.clone());
        sources.report(problem.help(help), path);
    }
    match Revocations::new(entries, Timestamp::default()) {
        Ok(list) => Arc::new(list),
        Err(error) => {
            let message = format!("`{}`: {error}", path.display());
            sources.report(Diagnostic::error("revocation-invalid", message), path);
            Arc::default()
        }
    }
}

fn entry(line: &str, config: &Config) -> Result<Option<Revocation>, String> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (what, before) = match line.rsplit_once(" before ") {
        Some((what, moment)) => (what.trim(), Some(moment_of(moment.trim())?)),
        None => (line, None),
    };
    let what = what.parse::<Revoked>().map_err(|error| error.to_string())?;
    // A name that nobody has would revoke nothing, and nobody would know.
    if let Some(provider) = what.provider()
        && !config.identity.names().any(|known| known == provider)
    {
        return Err(format!("there is no provider `{provider}`"));
    }
    Ok(Some(Revocation { what, before, until: None }))
}

/// Reads a moment as RFC 3339 writes it.
pub(crate) fn moment_of(text: &str) -> Result<Timestamp, String> {
    let moment: Moment =
        text.parse().map_err(|_| format!("`{text}` is no moment, such as 2026-01-31T12:00:00Z"))?;
    let millis = u64::try_from(moment.as_millisecond());
    millis.map(Timestamp::from_millis).map_err(|_| format!("`{text}` is before 1970"))
}
