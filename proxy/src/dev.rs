//! What a newcomer needs and nobody else should use: a certificate of one's own, an issuer of tokens, a demonstration
//! license, and the lines to try them with. All of it lives in the data directory of `portcullis run` without a file.

mod certificate;
mod demo;
mod files;
mod issuer;
mod lines;

pub use certificate::make_certificate;
pub use demo::{Demo, DemoError};
pub use files::DevError;
pub use issuer::{Issuer, TokenWish};
pub use lines::{Tour, tour};

use portcullis_config::model::{
    ListSource, ListenerCertificate, ListenerKind, Provider, StaticProvider,
};
use portcullis_config::{Config, Timestamp};

/// Makes what the embedded default refers to and what is not there yet: certificate, issuer key and key set, lists.
///
/// # Errors
/// When a file cannot be written, or one that is there cannot be used.
pub fn prepare(config: &Config, now: Timestamp) -> Result<(), DevError> {
    files::make_directory(&config.state_dir)?;
    for listener in &config.listeners {
        let ListenerKind::Tls(tls) = &listener.kind else { continue };
        for certificate in &tls.certificates {
            let ListenerCertificate::Files { pair: reference, ocsp: _ } = certificate else {
                continue;
            };
            let Some(key) = reference.key.path() else { continue };
            if !reference.cert.exists() || !key.exists() {
                make_certificate(&reference.cert, &key, &certificate::names(config), now)?;
            }
        }
    }
    for list in config.lists.values() {
        let ListSource::File(file) = list else { continue };
        if file.exists() {
            continue;
        }
        files::write(file, EMPTY_LIST, files::PUBLIC)?;
    }
    Issuer::open(provider(config)?)?.publish()
}

/// What a list holds that nobody has written yet.
const EMPTY_LIST: &[u8] = b"# One address or network per line. A change is taken over at once.\n";

/// The provider that the development issuer stands for: the first one with `kind: static`.
///
/// # Errors
/// When the configuration has none.
pub fn provider(config: &Config) -> Result<&StaticProvider, DevError> {
    let providers = config.identity.providers.values();
    let mut fixed = providers.filter_map(|provider| match provider {
        Provider::Static(provider) => Some(provider),
        // For these nobody here signs.
        Provider::IdentityPlatform(_) | Provider::Oidc(_) | Provider::Hmac(_) => None,
    });
    fixed.next().ok_or(DevError::NoProvider)
}
