//! A database in MaxMind's format, whole in memory: mapping it would need `unsafe`, and a file changed in place would
//! crash us.

use std::net::IpAddr;

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};

use super::GeoError;

/// Records that are decoded to see whether a database is sound and of the right kind.
const SAMPLE_RECORDS: usize = 10_000;

pub(super) struct Database {
    reader: Reader<Vec<u8>>,
}

impl Database {
    /// Reads a database and decodes what `knows` asks for from its first records: one of them has to have it.
    pub(super) fn new(
        bytes: Vec<u8>,
        wanted: &'static str,
        knows: impl Fn(&LookupResult<'_, Vec<u8>>) -> Result<bool, MaxMindDbError>,
    ) -> Result<Self, GeoError> {
        let reader =
            Reader::from_source(bytes).map_err(|error| GeoError::Format(error.to_string()))?;
        let database = Self { reader };
        let damaged = |error: MaxMindDbError| GeoError::Damaged(error.to_string());
        let networks = database.reader.networks(WithinOptions::default()).map_err(damaged)?;
        let mut is_known = false;
        for found in networks.take(SAMPLE_RECORDS) {
            is_known |= knows(&found.map_err(damaged)?).map_err(damaged)?;
        }
        if is_known {
            return Ok(database);
        }
        Err(GeoError::Other { found: database.describe().0.to_owned(), wanted })
    }

    pub(super) fn lookup(&self, address: IpAddr) -> Option<LookupResult<'_, Vec<u8>>> {
        self.reader.lookup(address).ok()
    }

    pub(super) fn describe(&self) -> (&str, u64) {
        let metadata = self.reader.metadata();
        (&metadata.database_type, metadata.build_epoch)
    }
}
