//! The country database.

use std::sync::Arc;

use portcullis_config::{Config, Diagnostic};

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
            let problem = Diagnostic::error("geo-invalid", message);
            let help = "give a country or city database, uncompressed";
            sources.report(problem.help(help), path);
            None
        }
    }
}
