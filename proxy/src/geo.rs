//! What is known of an address: its country and its network's number, from databases that are read into memory.

mod database;
mod networks;
mod ranges;

use std::fmt;
use std::net::IpAddr;

use maxminddb::{LookupResult, PathElement};

use database::Database;
pub use networks::Networks;
use portcullis_incident::travel::Place;
use ranges::Ranges;

/// A country database: any in MaxMind's format that has countries (country, city, enterprise), or text ranges.
pub struct Country {
    source: Source,
}

enum Source {
    Database(Database),
    Ranges(Ranges),
}

/// Why a database is refused.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The bytes are no database in MaxMind's format.
    #[error("it is no database in MaxMind's format ({0})")]
    Format(String),
    /// A record of the database does not decode.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// The database answers something else.
    #[error("it is a database of `{found}`, and one of {wanted} is needed")]
    Other {
        /// What it says that it is.
        found: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// A line of text ranges is none.
    #[error("line {line} is no range of addresses with a country: {problem}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A second file is named, and the first one is whole in itself.
    #[error(
        "`country_ipv6` has no meaning beside a database in MaxMind's format, which has both families"
    )]
    TwoFamilies,
}

impl Country {
    /// Reads a database that was loaded whole; `ipv6` is its second half, where it is two texts.
    ///
    /// # Errors
    /// When the bytes are no such database, a damaged one, or one without countries.
    pub fn new(bytes: Vec<u8>, ipv6: Option<&[u8]>) -> Result<Self, GeoError> {
        if ranges::is_text(&bytes) {
            let source = Source::Ranges(Ranges::read(&bytes, ipv6)?);
            return Ok(Self { source });
        }
        let database = Database::new(bytes, "countries", |found| Ok(code_of(found)?.is_some()))?;
        match ipv6 {
            Some(_) => Err(GeoError::TwoFamilies),
            None => Ok(Self { source: Source::Database(database) }),
        }
    }

    /// Returns the ISO 3166 code of the address's country; `''` if the database does not know it.
    ///
    /// Costs one walk of at most 128 nodes and a decode of one field, or one binary search; no allocation.
    #[must_use]
    pub fn region_code(&self, address: IpAddr) -> &str {
        let address = address.to_canonical();
        match &self.source {
            // A broken record answers as an unknown address: the policy's `''` case decides.
            Source::Database(database) => {
                let found = database.lookup(address);
                found.and_then(|found| code_of(&found).ok().flatten()).unwrap_or_default()
            }
            Source::Ranges(ranges) => ranges.region_code(address),
        }
    }

    /// Returns where an address is, with the radius that it may be off; `None` where the database has no positions, as one
    /// of countries alone, or does not know this one. A position without a radius says nothing.
    #[must_use]
    pub fn place(&self, address: IpAddr) -> Option<Place> {
        let Source::Database(database) = &self.source else { return None };
        let found = database.lookup(address.to_canonical())?;
        let number = |name| -> Option<f64> {
            found.decode_path(&[PathElement::Key("location"), PathElement::Key(name)]).ok()?
        };
        let radius: Option<u16> = found
            .decode_path(&[PathElement::Key("location"), PathElement::Key("accuracy_radius")])
            .ok()?;
        Some(Place {
            latitude: number("latitude")?,
            longitude: number("longitude")?,
            accuracy_km: f64::from(radius?),
        })
    }

    /// Returns the database's own name and build time in seconds since the Unix epoch; 0 where it does not tell.
    #[must_use]
    pub fn describe(&self) -> (&str, u64) {
        match &self.source {
            Source::Database(database) => database.describe(),
            Source::Ranges(ranges) => ("text ranges", ranges.built()),
        }
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Country").field("database", &self.describe()).finish()
    }
}

/// Reads the country of a record: MaxMind's nested shape, or the flat one of freely licensed databases.
fn code_of<'a>(
    found: &LookupResult<'a, Vec<u8>>,
) -> Result<Option<&'a str>, maxminddb::MaxMindDbError> {
    let nested = [PathElement::Key("country"), PathElement::Key("iso_code")];
    match found.decode_path::<&str>(&nested)? {
        Some(code) => Ok(Some(code)),
        None => found.decode_path::<&str>(&[PathElement::Key("country_code")]),
    }
}

#[cfg(test)]
mod tests;
