//! The country of an address, from any country database in MaxMind's format, read into memory.

use std::fmt;
use std::net::IpAddr;

use maxminddb::{LookupResult, PathElement, Reader, WithinOptions};

/// A country database. Holds the whole file: mapping it would need `unsafe`, and a file changed in place would crash us.
pub struct Country {
    reader: Reader<Vec<u8>>,
}

/// Why a country database is refused.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The bytes are no database in MaxMind's format.
    #[error("it is no database in MaxMind's format ({0})")]
    Format(String),
    /// The database answers something else than countries.
    #[error("it is a database of `{0}`, and a country database is needed")]
    NotCountries(String),
}

impl Country {
    /// Reads a database that was loaded whole.
    ///
    /// # Errors
    /// When the bytes are no such database, or one without countries.
    pub fn new(bytes: Vec<u8>) -> Result<Self, GeoError> {
        let reader =
            Reader::from_source(bytes).map_err(|error| GeoError::Format(error.to_string()))?;
        let country = Self { reader };
        if !country.knows_countries() {
            return Err(GeoError::NotCountries(country.describe().0.to_owned()));
        }
        Ok(country)
    }

    /// Returns the ISO 3166 code of the address's country; `''` if the database does not know it.
    ///
    /// Costs one walk of at most 128 nodes and a decode of one field; no allocation.
    #[must_use]
    pub fn region_code(&self, address: IpAddr) -> &str {
        // A broken record answers as an unknown address: the policy's `''` case decides.
        let found = self.reader.lookup(address.to_canonical()).ok();
        found.and_then(|found| code_of(&found)).unwrap_or_default()
    }

    /// Returns the database's own name and build time in seconds since the Unix epoch.
    #[must_use]
    pub fn describe(&self) -> (&str, u64) {
        let metadata = self.reader.metadata();
        (&metadata.database_type, metadata.build_epoch)
    }

    /// Says whether one of the first records holds a country.
    fn knows_countries(&self) -> bool {
        let Ok(networks) = self.reader.networks(WithinOptions::default()) else { return false };
        networks.take(SAMPLE_RECORDS).flatten().any(|found| code_of(&found).is_some())
    }
}

/// Records that are looked at to see whether a database is one of countries.
const SAMPLE_RECORDS: usize = 10_000;

/// Reads the country of a record: MaxMind's nested shape, or the flat one of freely licensed databases.
fn code_of<'a>(found: &LookupResult<'a, Vec<u8>>) -> Option<&'a str> {
    let nested = [PathElement::Key("country"), PathElement::Key("iso_code")];
    let flat = [PathElement::Key("country_code")];
    let decode = |path: &[PathElement<'_>]| found.decode_path::<&str>(path).ok().flatten();
    decode(&nested).or_else(|| decode(&flat))
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Country").field("database", &self.describe()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_database_is_refused() {
        for bytes in [&b""[..], b"not a database", &[0; 4096]] {
            assert!(matches!(Country::new(bytes.to_vec()), Err(GeoError::Format(_))));
        }
    }

    /// The published test databases stand beside the repository, where there are any.
    fn test_database(name: &str) -> Option<Vec<u8>> {
        let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
        let shared = std::env::var_os("PORTCULLIS_SHARED")
            .map_or_else(|| beside.join("shared"), std::path::PathBuf::from);
        let read = std::fs::read(shared.join("vectors/maxmind/test-data").join(name));
        if read.is_err() {
            assert!(std::env::var_os("REQUIRE_ALL").is_none(), "`{name}` is required");
            eprintln!("skipped: there is no `{name}` beside the repository");
        }
        read.ok()
    }

    #[test]
    fn addresses_have_the_countries_of_the_test_database() {
        let Some(bytes) = test_database("GeoIP2-Country-Test.mmdb") else { return };
        let country = Country::new(bytes).unwrap();
        for (address, expected) in [
            ("2.125.160.216", "GB"),
            ("::ffff:2.125.160.216", "GB"),
            ("2a02:d300::1", "UA"),
            ("192.0.2.1", ""),
            ("127.0.0.1", ""),
        ] {
            assert_eq!(country.region_code(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn a_database_of_something_else_is_refused() {
        let Some(bytes) = test_database("GeoLite2-ASN-Test.mmdb") else { return };
        let error = Country::new(bytes).unwrap_err();
        assert!(error.to_string().contains("`GeoLite2-ASN`"), "{error}");
    }
}
