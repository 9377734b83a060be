//! Providers with their keys.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use portcullis_config::model::{Provider, ProviderId};
use portcullis_config::{Config, Diagnostic, SecretRef};
use portcullis_identity::Verifier;

use super::sources::Sources;
use crate::key_sets::{Ring, Verifiers};

/// Compiles every provider: with the bytes of its key file, with the key set that stands where it has not changed, or with
/// the last good copy of what is fetched.
pub(super) fn load(
    config: &Config,
    standing: &BTreeMap<ProviderId, Verifiers>,
    sources: &mut Sources,
) -> BTreeMap<ProviderId, Verifiers> {
    let providers = config.identity.providers.iter();
    let load = |(name, provider): (&String, &Provider)| {
        let id = ProviderId::new(name);
        let known = standing.get(&id).and_then(Verifiers::ring);
        let verifiers = match known.filter(|ring| ring.provider() == provider) {
            Some(ring) => Verifiers::Fetched(Arc::clone(ring)),
            None => load_one(name, provider, &config.state_dir, sources)?,
        };
        Some((id, verifiers))
    };
    providers.filter_map(load).collect()
}

fn load_one(
    name: &str,
    provider: &Provider,
    state_dir: &Path,
    sources: &mut Sources,
) -> Option<Verifiers> {
    let path = match provider {
        Provider::Static(fixed) => fixed.keys.path(),
        Provider::Hmac(shared) => return secrets(name, provider, &shared.secrets, sources),
        Provider::IdentityPlatform(_) | Provider::Oidc(_) => {
            return match Ring::open(name, provider, state_dir) {
                Ok(ring) => ring.map(|ring| Verifiers::Fetched(Arc::new(ring))),
                Err(error) => {
                    sources.problems.push(invalid(format!("the provider `{name}`: {error}")));
                    None
                }
            };
        }
    };
    let bytes = sources.read(&format!("the keys of the provider `{name}`"), path)?;
    let shown = path.display();
    match Verifier::compile(name, provider, &bytes) {
        Ok(verifier) => {
            for key in verifier.skipped_keys() {
                let id = key.kid.as_deref().unwrap_or("without id");
                let message = format!("the key `{id}` in `{shown}` is not used: {}", key.why);
                sources.report(Diagnostic::warning("key-skipped", message), path);
            }
            Some(Verifiers::Fixed(Arc::new(verifier)))
        }
        Err(error) => {
            let message = format!("the keys of the provider `{name}` in `{shown}`: {error}");
            sources.report(invalid(message).help("give the issuer's public keys"), path);
            None
        }
    }
}

/// Secrets are read at every compilation: a file that has another one in it is a reason for one.
fn secrets(
    name: &str,
    provider: &Provider,
    reference: &SecretRef,
    sources: &mut Sources,
) -> Option<Verifiers> {
    let text = sources.read_secret(&format!("the secrets of the provider `{name}`"), reference)?;
    match Verifier::compile(name, provider, text.expose()) {
        Ok(verifier) => Some(Verifiers::Fixed(Arc::new(verifier))),
        Err(error) => {
            let message = format!("the secrets of the provider `{name}` in `{reference}`: {error}");
            let help = "give a JWK set of `oct` keys, as `portcullis token hmac-key FILE` makes it";
            let path = reference.path().unwrap_or_default();
            sources.report(invalid(message).help(help), &path);
            None
        }
    }
}

fn invalid(message: String) -> Diagnostic {
    Diagnostic::error("provider-keys-invalid", message)
}
