//! The settings of the license service in this process, as the edge's configuration has them.

use license_core::Settings;
use license_core::settings::{Database, Listen};
use portcullis_config::model::Config;

/// Returns the settings; `None` where the configuration embeds no license service.
#[must_use]
pub fn settings(config: &Config) -> Option<Settings> {
    if !config.license.embedded {
        return None;
    }
    let mut settings = Settings::new(
        Database::Sqlite(config.license.database.clone()),
        Listen::Unix(config.license.socket.clone()),
        config.identity.assertion.jwks.clone(),
    );
    settings.lease.ttl = config.license.lease;
    settings.lease.heartbeat = config.license.lease / 2;
    settings.wrapping_key = Some(config.license.wrapping_key.clone());
    Some(settings)
}
