//! A demonstration tenant with a license of three seats, in the embedded license service.

use std::fs;
use std::path::{Path, PathBuf};

use license_core::{
    KeyPrefix, Leasing, LicenseName, NewLicense, Operator, OperatorError, TenantId,
};
use portcullis_config::SecretRef;

use super::files::{self, DevError};

/// Seats of the demonstration license.
const SEATS: u32 = 3;
/// The file that keeps the license's key and id: the service itself tells a key only once.
const FILE: &str = "demo-license";

/// The demonstration license.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The tenant.
    pub tenant: String,
    /// The license's id.
    pub license: String,
    /// Its key: a secret elsewhere, printed here.
    pub key: String,
    /// Its seats.
    pub seats: u32,
}

/// Why there is no demonstration license.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The license service refused.
    #[error("the demonstration license cannot be made: {0}")]
    Operator(#[from] OperatorError),
    /// Its file cannot be written or read.
    #[error(transparent)]
    File(#[from] DevError),
    /// One of our own names is refused by the license service.
    #[error("the demonstration's names are refused: {0}")]
    Names(String),
}

impl Demo {
    /// The demonstration's tenant.
    pub const TENANT: &str = "demo";

    /// Finds the license of an earlier start, or makes one.
    ///
    /// # Errors
    /// When the service or the file refuses.
    pub async fn open(operator: &Operator, state_dir: &Path) -> Result<Self, DemoError> {
        let path = state_dir.join("dev").join(FILE);
        match read(&path)? {
            Some(demo) => Ok(demo),
            None => Self::make(operator, &path).await,
        }
    }

    async fn make(operator: &Operator, path: &Path) -> Result<Self, DemoError> {
        let names = |error: &dyn std::fmt::Display| DemoError::Names(error.to_string());
        let tenant: TenantId = Self::TENANT.parse().map_err(|error| names(&error))?;
        operator.create_tenant(&tenant).await?;
        // A license of an earlier start whose key's file is gone keeps its name.
        let name = format!("demonstration {}", uuid::Uuid::new_v4());
        let name: LicenseName = name.parse().map_err(|error| names(&error))?;
        let product: LicenseName = "Portcullis".parse().map_err(|error| names(&error))?;
        let key_prefix: KeyPrefix = "DEMO".parse().map_err(|error| names(&error))?;
        let new = NewLicense {
            tenant,
            name,
            product,
            seats: SEATS,
            leasing: Leasing::PerMachine,
            key_prefix,
            expires_at: None,
        };
        let made = operator.create_license(new).await?;
        let text = format!("{}\n{}\n", made.id, made.key.as_str());
        files::write(path, text.as_bytes(), files::SECRET)?;
        Ok(Self::new(&made.id, &made.key))
    }

    fn new(license: &str, key: &str) -> Self {
        let (license, key) = (license.to_owned(), key.to_owned());
        Self { tenant: Self::TENANT.to_owned(), license, key, seats: SEATS }
    }
}

fn read(path: &Path) -> Result<Option<Demo>, DevError> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let unusable = |why: String| DevError::Unusable { path: PathBuf::from(path), why };
    let secret = SecretRef::File(path.to_owned()).read().map_err(|e| unusable(e.to_string()))?;
    let text = std::str::from_utf8(secret.expose()).map_err(|e| unusable(e.to_string()))?;
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(license), Some(key)) => Ok(Some(Demo::new(license, key))),
        _ => Err(unusable("it has not two lines".to_owned())), // the shapes of two options
    }
}
