//! `signing:` as the file writes it.

use super::{at, reference};
use crate::settings::algorithms;
use crate::settings::{
    Algorithms, Endpoint, GoogleCredentials, GoogleKms, KeyPlace, Pkcs11, Secret, ServiceAccount,
    SettingsError,
};
use crate::signing::metadata_server;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SigningSource {
    wrapping_key: Option<PathBuf>,
    pkcs11: Option<Spanned<Pkcs11Source>>,
    google_kms: Option<Spanned<GoogleKmsSource>>,
    #[serde(default)]
    algorithms: algorithms::Source,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pkcs11Source {
    module: PathBuf,
    token: Spanned<String>,
    pin: Spanned<String>,
    key_label: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoogleKmsSource {
    receipts: Spanned<String>,
    files: Option<Spanned<String>>,
    credentials: Spanned<String>,
    endpoint: Option<Spanned<String>>,
    metadata_server: Option<Spanned<String>>,
    roots: Option<PathBuf>,
}

const KEY_LABEL: &str = "license-core";
/// A token's label is a field of 32 bytes (PKCS#11 3.0 §3.3).
const TOKEN_BYTES_MAX: usize = 32;
const KEY_LABEL_BYTES_MAX: usize = 64;
const NAME_PART_BYTES_MAX: usize = 63;

/// The file, by which what is wrong is shown.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) text: &'a str,
    pub(super) name: &'a str,
    pub(super) base: &'a Path,
}

impl File<'_> {
    fn wrong<T>(self, field: &Spanned<T>, rule: &str) -> SettingsError {
        at(Some(field), self.text, self.name, rule)
    }

    fn secret(self, field: &Spanned<String>) -> Result<Secret, SettingsError> {
        reference(&field.value, self.base).map_err(|problem| self.wrong(field, &problem))
    }
}

/// Returns the wrapping key's file, the place of the keys, and their algorithms.
pub(super) fn resolve(
    source: Option<SigningSource>,
    file: File<'_>,
) -> Result<(Option<PathBuf>, Option<KeyPlace>, Algorithms), SettingsError> {
    let Some(source) = source else { return Ok((None, None, Algorithms::default())) };
    let place = match (source.pkcs11, source.google_kms) {
        (None, None) => None,
        (Some(token), None) => Some(KeyPlace::Pkcs11(pkcs11(token.value, file)?)),
        (None, Some(kms)) => Some(KeyPlace::GoogleKms(google_kms(kms.value, file)?)),
        (Some(_), Some(kms)) => {
            return Err(
                file.wrong(&kms, "`signing` names one place for keys: `pkcs11` or `google_kms`")
            );
        }
    };
    let wrapping_key = source.wrapping_key.map(|path| file.base.join(path));
    if wrapping_key.is_none() && place.is_none() {
        let rule = "`signing` needs `wrapping_key`, `pkcs11` or `google_kms`";
        return Err(SettingsError::Source(format!("{}: {rule}", file.name)));
    }
    Ok((wrapping_key, place, source.algorithms.into()))
}

fn pkcs11(source: Pkcs11Source, file: File<'_>) -> Result<Pkcs11, SettingsError> {
    let label = |field: &Spanned<String>, most: usize| {
        if (1..=most).contains(&field.value.len()) && !field.value.contains('\0') {
            Ok(field.value.clone())
        } else {
            Err(file.wrong(field, &format!("a label has 1 to {most} bytes")))
        }
    };
    Ok(Pkcs11 {
        module: file.base.join(source.module),
        token: label(&source.token, TOKEN_BYTES_MAX)?,
        pin: file.secret(&source.pin)?,
        key_label: match &source.key_label {
            None => KEY_LABEL.to_owned(),
            Some(field) => label(field, KEY_LABEL_BYTES_MAX)?,
        },
    })
}

fn google_kms(source: GoogleKmsSource, file: File<'_>) -> Result<GoogleKms, SettingsError> {
    let name = |field: &Spanned<String>| {
        if is_key_name(&field.value) {
            return Ok(field.value.clone());
        }
        let rule = "a key is named `projects/P/locations/L/keyRings/R/cryptoKeys/K`";
        Err(file.wrong(field, rule))
    };
    let credentials = match (source.credentials.value.as_str(), &source.metadata_server) {
        ("metadata", None) => GoogleCredentials::Metadata(metadata_server()),
        ("metadata", Some(field)) => {
            let server = endpoint(&field.value).ok_or_else(|| {
                file.wrong(field, "it is written `http://ADDRESS:PORT`, of this machine")
            })?;
            GoogleCredentials::Metadata(server)
        }
        (_, Some(field)) => {
            return Err(file.wrong(field, "it is asked with `credentials: metadata` only"));
        }
        (_, None) => {
            let secret = file.secret(&source.credentials)?;
            let account = service_account(&secret);
            GoogleCredentials::ServiceAccount(account.ok_or_else(|| {
                file.wrong(&source.credentials, "it is not the JSON of a service account's key")
            })?)
        }
    };
    let endpoint = match &source.endpoint {
        None => Endpoint { is_tls: true, host: "cloudkms.googleapis.com".to_owned(), port: 443 },
        Some(field) => endpoint(&field.value).ok_or_else(|| {
            file.wrong(
                field,
                "it is written `https://HOST`; plain `http://` is for addresses of this machine",
            )
        })?,
    };
    Ok(GoogleKms {
        receipts: name(&source.receipts)?,
        files: source.files.as_ref().map(name).transpose()?,
        credentials,
        endpoint,
        roots: source.roots.map(|path| file.base.join(path)),
    })
}

fn is_key_name(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let [projects, project, locations, location, rings, ring, keys, key] = parts.as_slice() else {
        return false;
    };
    let is_part = |part: &&&str| {
        (1..=NAME_PART_BYTES_MAX).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    (*projects, *locations, *rings, *keys) == ("projects", "locations", "keyRings", "cryptoKeys")
        && [project, location, ring, key].iter().all(is_part)
}

/// Reads `https://HOST[:PORT]`, or `http://` with an address of this machine.
fn endpoint(text: &str) -> Option<Endpoint> {
    let uri: http::Uri = text.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    let is_bare = matches!(uri.path_and_query().map(|path| path.as_str()), None | Some("" | "/"))
        && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let is_here = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") if is_bare => {
            Some(Endpoint { is_tls: true, host, port: uri.port_u16().unwrap_or(443) })
        }
        Some("http") if is_bare && is_here => {
            Some(Endpoint { is_tls: false, host, port: uri.port_u16().unwrap_or(80) })
        }
        // No other scheme, no user, no path.
        _ => None,
    }
}

fn service_account(secret: &Secret) -> Option<ServiceAccount> {
    #[derive(Deserialize)]
    struct Key {
        #[serde(rename = "type")]
        kind: String,
        client_email: String,
        private_key_id: String,
        private_key: String,
    }
    let key: Key = serde_json::from_str(secret.reveal()).ok()?;
    (key.kind == "service_account").then(|| ServiceAccount {
        client_email: key.client_email,
        private_key_id: key.private_key_id,
        private_key: Secret::new(key.private_key),
    })
}

#[cfg(test)]
mod tests;
