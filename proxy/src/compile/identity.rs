//! Providers with their keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_config::model::{Provider, ProviderId};
use portcullis_config::{Config, Diagnostic};
use portcullis_identity::Verifier;

use super::sources::Sources;

/// Compiles every provider with the bytes of its key file.
pub(super) fn load(config: &Config, sources: &mut Sources) -> BTreeMap<ProviderId, Arc<Verifier>> {
    let providers = config.identity.providers.iter();
    providers
        .filter_map(|(name, provider)| {
            Some((ProviderId::new(name), Arc::new(load_one(name, provider, sources)?)))
        })
        .collect()
}

fn load_one(name: &str, provider: &Provider, sources: &mut Sources) -> Option<Verifier> {
    let Provider::Static(fixed) = provider;
    let path = fixed.keys.path();
    let bytes = sources.read(&format!("the keys of the provider `{name}`"), path)?;
    match Verifier::compile(name, provider, &bytes) {
        Ok(verifier) => {
            for key in verifier.skipped_keys() {
                let id = key.kid.as_deref().unwrap_or("without id");
                let message =
                    format!("the key `{id}` in `{}` is not used: {}", path.display(), key.why);
                sources.report(Diagnostic::warning("key-skipped", message), path);
            }
            Some(verifier)
        }
        Err(error) => {
            let message =
                format!("the keys of the provider `{name}` in `{}`: {error}", path.display());
            let problem = Diagnostic::error("provider-keys-invalid", message);
            sources.report(problem.help("give the issuer's public keys"), path);
            None
        }
    }
}
