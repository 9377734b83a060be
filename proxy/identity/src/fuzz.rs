//! What the fuzz targets of `tests/fuzz` run: one plain function per target, total on any bytes. Each panics when a promise
//! is broken, which is the finding. The test beside runs them on the seeds and on changed seeds.

use std::sync::LazyLock;
use std::time::Duration;

use portcullis_config::model::{
    Alg, ClaimPath, ClaimRules, HmacProvider, KeySource, Provider, StaticProvider,
};
use portcullis_config::{SecretRef, Timestamp};

use crate::headers::{is_forwarding, is_reserved, is_spelling_of, nominates_a_deciding_header};
use crate::keys::{KEYS_MAX, KeySet};
use crate::revocation::Revocations;
use crate::{Algorithm, TokenCache, Verifier, credential, discovery, is_in_query};

/// The public keys of the examples in RFC 7517 appendix A.1 and RFC 8037 appendix A.2: nobody here can sign with them.
const KEYS: &[u8] = br#"{"keys":[
{"kty":"EC","crv":"P-256","kid":"ec","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn claims() -> ClaimRules {
    ClaimRules {
        tenant_claim: ClaimPath::parse("tenant").into_iter().collect(),
        roles_claim: ClaimPath::parse("roles"),
        scopes_claim: ClaimPath::parse("scope").into_iter().collect(),
        leeway: Duration::from_secs(30),
        max_lifetime: Duration::from_secs(3600),
    }
}

/// One provider with public keys, and one with a secret, which is drawn for each process: nobody has it either.
static VERIFIERS: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    let (issuer, audience) = ("https://issuer.example.com".to_owned(), "license-api".to_owned());
    let public = Provider::Static(StaticProvider {
        issuer: issuer.clone(),
        audience: audience.clone(),
        algorithms: vec![Alg::Es256, Alg::EdDsa],
        keys: KeySource::Jwks("keys".into()),
        claims: claims(),
    });
    let secrets = SecretRef::Env("SECRETS".to_owned());
    let shared = Provider::Hmac(HmacProvider { issuer, audience, secrets, claims: claims() });
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).expect("the system has randomness");
    let secret = crate::base64url::encode(secret);
    let secrets =
        format!(r#"{{"keys":[{{"kty":"oct","kid":"hs","alg":"HS256","k":"{secret}"}}]}}"#);
    let compile = |provider: &Provider, keys: &[u8]| {
        Verifier::compile("fuzz", provider, keys).expect("the keys are right")
    };
    [compile(&public, KEYS), compile(&shared, secrets.as_bytes())]
});

/// A target by its name, which is the name of its file and of its folder of seeds.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("identity_token", token),
    ("identity_jwks", jwks),
    ("identity_x509", x509),
    ("identity_headers", headers),
];

/// Any bytes as a token: never a panic, and never somebody, since nobody has the keys. A refusal is not remembered.
pub fn token(input: &[u8]) {
    let cache = TokenCache::new(16);
    let nothing = Revocations::default();
    for verifier in VERIFIERS.iter() {
        assert!(verifier.verify(input, NOW).is_err(), "a forged token");
        assert!(cache.verify([verifier], &nothing, input, NOW).is_err(), "a forged token");
        assert!(cache.recall([verifier], &nothing, input, NOW).is_none());
    }
    assert!(cache.verify(VERIFIERS.iter(), &nothing, input, NOW).is_err(), "a forged token");
    assert_eq!(cache.figures().entries, 0, "refusals would let strangers fill it");
    let field: [(&[u8], &[u8]); 1] = [(b"authorization", input)];
    if let Ok(Some(found)) = credential(field) {
        assert!(found.len() < input.len(), "the scheme stands before it");
    }
    let _ = is_in_query(input) || input.is_empty();
}

/// Any bytes as a JWK set or a discovery document: read or refused, and never more keys than are allowed. No set is one of
/// public keys and one of secrets.
pub fn jwks(input: &[u8]) {
    if let Ok(set) = KeySet::from_jwks(input, &Algorithm::ALL) {
        assert!(!set.is_empty() && set.len() <= KEYS_MAX);
    }
    if let Ok(set) = KeySet::from_secrets(input) {
        assert!(!set.is_empty() && set.len() <= KEYS_MAX);
        let public = Algorithm::ALL.into_iter().filter(|one| one.mac().is_none());
        assert!(KeySet::from_jwks(input, &public.collect::<Vec<_>>()).is_err());
    }
    drop(discovery::key_set_url(input, "https://issuer.example.com"));
}

/// Any bytes as a map of certificates, or as PEM.
pub fn x509(input: &[u8]) {
    if let Ok(set) = KeySet::from_certificates(input, &Algorithm::ALL) {
        assert!(!set.is_empty() && set.len() <= KEYS_MAX);
    }
    if let Ok(set) = KeySet::from_pem(input, &Algorithm::ALL) {
        assert_eq!(set.len(), 1);
    }
}

/// Any bytes as the name of a header: what is reserved stays so in every spelling that some server folds to the same.
pub fn headers(input: &[u8]) {
    let folded: Vec<u8> = input
        .iter()
        .map(|byte| if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' })
        .collect();
    assert_eq!(is_reserved(input), is_reserved(&folded), "{}", input.escape_ascii());
    assert_eq!(is_forwarding(input), is_forwarding(&folded), "{}", input.escape_ascii());
    if is_spelling_of("x-edge-subject", input) {
        assert!(is_reserved(input), "{}", input.escape_ascii());
    }
    let nominated: [(&[u8], &[u8]); 1] = [(b"connection", input)];
    let _ = nominates_a_deciding_header(nominated) || input.is_empty();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Changes some bytes, cuts and repeats, by a small generator: the same changes every time.
    fn changed(seed: &[u8], round: u64) -> Vec<u8> {
        let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below.max(1) as u64).unwrap()
        };
        let mut bytes = seed.to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, u8::try_from(next(256)).unwrap()),
                2 => bytes.extend_from_within(at..),
                3 if !bytes.is_empty() => drop(bytes.remove(at)),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << next(8);
                    }
                }
            }
        }
        bytes.truncate(16 * 1024);
        bytes
    }

    #[test]
    fn the_targets_hold_on_the_seeds_and_on_changed_ones() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds");
        for (name, target) in TARGETS {
            let mut ran = 0;
            for entry in std::fs::read_dir(root.join(name)).expect("every target has seeds") {
                let seed = std::fs::read(entry.unwrap().path()).unwrap();
                target(&seed);
                (0..500).for_each(|round| target(&changed(&seed, round)));
                ran += 1;
            }
            assert!(ran >= 2, "{name}: {ran}");
        }
    }
}
