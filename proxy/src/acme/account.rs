//! The account at an authority, kept with its key.

use std::path::{Path, PathBuf};
use std::{fs, io};

use instant_acme::{Account, AccountCredentials, NewAccount};
use portcullis_config::model::Acme;

use super::client::Guarded;
use super::{AcmeError, kept};
use crate::atomic_file;

/// Names the account's file. The contacts are part of the name: others make another account.
fn path(state_dir: &Path, acme: &Acme) -> PathBuf {
    let parts =
        [acme.directory.as_str()].into_iter().chain(acme.contact.iter().map(String::as_str));
    kept::directory(state_dir).join(format!("account-{}.json", kept::short_hash(parts)))
}

/// Opens the account, making one where there is none.
pub(super) async fn open(
    state_dir: &Path,
    acme: &Acme,
    client: Guarded,
) -> Result<Account, AcmeError> {
    let path = path(state_dir, acme);
    let builder = Account::builder_with_http(Box::new(client));
    match fs::read(&path) {
        Ok(bytes) => {
            let known: AccountCredentials = serde_json::from_slice(&bytes).map_err(|source| {
                AcmeError::Account { path: path.display().to_string(), source }
            })?;
            return Ok(builder.from_credentials(known).await?);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let contact: Vec<String> = acme.contact.iter().map(|mail| format!("mailto:{mail}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let directory = acme.directory.as_str().to_owned();
    let (account, made) = builder.create(&wanted, directory, None).await?;
    let text = serde_json::to_vec(&made).map_err(io::Error::other)?;
    atomic_file::private_directory(&kept::directory(state_dir))?;
    atomic_file::replace(&path, &text, atomic_file::SECRET)?;
    tracing::info!(directory = %acme.directory, account = account.id(), "an ACME account is made");
    Ok(account)
}

/// Puts an account that the authority does not know out of the way, so that the next order makes another.
pub(super) fn set_aside(state_dir: &Path, acme: &Acme) -> io::Result<()> {
    let path = path(state_dir, acme);
    fs::rename(&path, path.with_extension("unknown"))
}
