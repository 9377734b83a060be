//! The key with which Alertmanager posts alerts.

use std::sync::Arc;

use portcullis_config::Diagnostic;
use portcullis_config::model::Config;
use portcullis_config::secret::Secret;

use super::sources::Sources;

/// A shorter key can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// Loads `incidents.alerts_key`, if it is written.
pub(super) fn load(config: &Config, sources: &mut Sources) -> Option<Arc<Secret>> {
    let named = config.incidents.alerts_key.as_ref()?;
    let key = sources.read_secret("the key of alerts", named)?;
    if key.expose().trim_ascii().len() >= KEY_BYTES_MIN {
        return Some(Arc::new(key));
    }
    let message = format!("`{named}` has fewer than {KEY_BYTES_MIN} bytes: it could be guessed");
    let problem =
        Diagnostic::error("alerts-key-short", message).help("make one by `openssl rand -hex 32`");
    sources.report(problem, &named.path().unwrap_or_default());
    None
}
