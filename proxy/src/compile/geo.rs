//! The country database.

use std::sync::Arc;

use portcullis_config::Config;

use super::sources::Sources;
use crate::geo::Country;

/// Reads the database, if the configuration names one.
pub(super) fn load(config: &Config, sources: &mut Sources) -> Option<Arc<Country>> {
    let path = config.geo.country.as_ref()?;
    let bytes = sources.read("the country database", path)?;
    match Country::new(bytes) {
        Ok(country) => Some(Arc::new(country)),
        Err(error) => {
            let message =
                format!("the country database `{}` cannot be used: {error}", path.display());
            sources.error("geo-invalid", message, "give a country or city database, uncompressed");
            None
        }
    }
}
