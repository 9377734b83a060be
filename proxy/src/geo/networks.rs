//! The number of an address's network (autonomous system).

use std::fmt;
use std::net::IpAddr;

use maxminddb::{LookupResult, MaxMindDbError, PathElement};

use super::GeoError;
use super::database::Database;

/// A database of autonomous systems in MaxMind's format.
pub struct Networks {
    database: Database,
}

impl Networks {
    /// Reads a database that was loaded whole.
    ///
    /// # Errors
    /// When the bytes are no such database, a damaged one, or one without numbers of networks.
    pub fn new(bytes: Vec<u8>) -> Result<Self, GeoError> {
        let database =
            Database::new(bytes, "autonomous systems", |found| Ok(number_of(found)?.is_some()))?;
        Ok(Self { database })
    }

    /// Returns the number of the address's network; 0 if the database does not know it. No allocation.
    #[must_use]
    pub fn asn(&self, address: IpAddr) -> u32 {
        let found = self.database.lookup(address.to_canonical());
        found.and_then(|found| number_of(&found).ok().flatten()).unwrap_or_default()
    }

    /// Returns the database's own name and build time in seconds since the Unix epoch.
    #[must_use]
    pub fn describe(&self) -> (&str, u64) {
        self.database.describe()
    }
}

fn number_of(found: &LookupResult<'_, Vec<u8>>) -> Result<Option<u32>, MaxMindDbError> {
    found.decode_path(&[PathElement::Key("autonomous_system_number")])
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Networks").field("database", &self.describe()).finish()
    }
}
