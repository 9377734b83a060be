//! The geo databases.

use std::path::Path;
use std::sync::Arc;

use portcullis_config::{Config, Diagnostic};
use portcullis_policy::GeoState;

use super::sources::Sources;
use crate::geo::{Country, GeoError, Networks};

/// Reads the country database, if the configuration names one.
pub(super) fn country(config: &Config, sources: &mut Sources) -> Option<Arc<Country>> {
    let path = config.geo.country.as_ref()?;
    let bytes = sources.read("the country database", path);
    let ipv6 = match &config.geo.country_ipv6 {
        Some(path) => Some(sources.read("the IPv6 half of the country database", path)?),
        None => None,
    };
    match Country::new(bytes?, ipv6.as_deref()) {
        Ok(country) => Some(Arc::new(country)),
        Err(error) => {
            let help = "give a country or city database, uncompressed, or text ranges";
            report("country", path, &error, help, sources);
            None
        }
    }
}

/// Reads the database of networks' numbers, if the configuration names one.
pub(super) fn networks(config: &Config, sources: &mut Sources) -> Option<Arc<Networks>> {
    let path = config.geo.asn.as_ref()?;
    match Networks::new(sources.read("the database of autonomous systems", path)?) {
        Ok(networks) => Some(Arc::new(networks)),
        Err(error) => {
            report("ASN", path, &error, "give an ASN database, uncompressed", sources);
            None
        }
    }
}

fn report(which: &str, path: &Path, error: &GeoError, help: &str, sources: &mut Sources) {
    let message = format!("the {which} database `{}` cannot be used: {error}", path.display());
    sources.report(Diagnostic::error("geo-invalid", message).help(help), path);
}

/// Says what policies may ask of a database. Where one is named and could not be read, its error is told already.
pub(super) const fn state(is_named: bool, required: bool) -> GeoState {
    match (is_named, required) {
        (true, _) => GeoState::Loaded,
        (false, true) => GeoState::Required,
        (false, false) => GeoState::Absent,
    }
}
