//! Who vouches for callers, and how the edge vouches for them inward.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::url::Url;
use super::{Credential, OwnedObject};
use crate::secret::SecretRef;

/// Who vouches for callers, and how the edge vouches for them inward.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Issuers of tokens, by id.
    pub providers: BTreeMap<String, Provider>,
    /// Credentials that are no tokens, by id; an id is in one of both only.
    pub credentials: BTreeMap<String, Credential>,
    /// The edge's own assertion to its backends.
    pub assertion: Assertion,
    /// Headers that tell origins of claims, in lower case, and where each claim is.
    pub claim_headers: BTreeMap<String, ClaimPath>,
    /// Objects that belong to a tenant, by kind.
    pub owners: BTreeMap<String, OwnedObject>,
    /// A file of what is revoked.
    pub revocations: Option<PathBuf>,
}

impl Identity {
    /// Returns the ids of everything that a route can name.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.providers.keys().chain(self.credentials.keys())
    }
}

/// An issuer of tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Provider {
    /// An issuer whose keys are in a file.
    Static(StaticProvider),
    /// A project of Google Identity Platform, whose keys are fetched.
    IdentityPlatform(PlatformProvider),
    /// An issuer that says by OpenID Connect Discovery where its keys are.
    Oidc(OidcProvider),
    /// An issuer that shares secrets with the edge: whoever has one can sign.
    Hmac(HmacProvider),
}

impl Provider {
    /// Returns where its keys are fetched from, if they are.
    #[must_use]
    pub const fn fetched(&self) -> Option<&FetchedKeys> {
        match self {
            Self::Static(_) | Self::Hmac(_) => None,
            Self::IdentityPlatform(platform) => Some(&platform.keys),
            Self::Oidc(oidc) => Some(&oidc.keys),
        }
    }
}

/// What every provider says of the claims that it is believed for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimRules {
    /// Where the tenant is in the claims: the first path that is there; never empty.
    pub tenant_claim: Vec<ClaimPath>,
    /// Where the roles are in the claims, if anywhere.
    pub roles_claim: Option<ClaimPath>,
    /// Where the scopes are in the claims: the first path that is there; never empty.
    pub scopes_claim: Vec<ClaimPath>,
    /// How far clocks may be apart; at most 60 s.
    pub leeway: Duration,
    /// The longest time from `iat` to `exp` that is accepted.
    pub max_lifetime: Duration,
}

/// A key set that is fetched and renewed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedKeys {
    /// The key set, or the discovery document that names it.
    pub url: Url,
    /// How long a key set is used after it was last fetched.
    pub max_age: Duration,
}

/// A project of Google Identity Platform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlatformProvider {
    /// The project's id: the audience of its tokens and the end of their issuer; never empty.
    pub project: String,
    /// Where its keys are: the map of ids to certificates, or a JWK set.
    pub keys: FetchedKeys,
    /// What its claims mean.
    pub claims: ClaimRules,
}

/// An issuer that is found by OpenID Connect Discovery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OidcProvider {
    /// The exact `iss` of its tokens and the exact `issuer` of its discovery document; never empty.
    pub issuer: String,
    /// The `aud` that its tokens must hold; never empty.
    pub audience: String,
    /// The signature algorithms that are accepted; never empty.
    pub algorithms: Vec<Alg>,
    /// Where its discovery document is.
    pub keys: FetchedKeys,
    /// What its claims mean.
    pub claims: ClaimRules,
}

/// An issuer whose keys are in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StaticProvider {
    /// The exact `iss` of its tokens; never empty.
    pub issuer: String,
    /// The `aud` that its tokens must hold; never empty.
    pub audience: String,
    /// The signature algorithms that are accepted; never empty, never `none`, never symmetric.
    pub algorithms: Vec<Alg>,
    /// Where its public keys are.
    pub keys: KeySource,
    /// What its claims mean.
    pub claims: ClaimRules,
}

/// An issuer whose tokens carry an HMAC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HmacProvider {
    /// The exact `iss` of its tokens; never empty.
    pub issuer: String,
    /// The `aud` that its tokens must hold; never empty.
    pub audience: String,
    /// Where its secrets are: a JWK set of `oct` keys, each with its id and its algorithm.
    pub secrets: SecretRef,
    /// What its claims mean.
    pub claims: ClaimRules,
}

/// A signature algorithm of RFC 7518 and RFC 8037.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Alg {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Alg {
    /// Every algorithm, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Returns the name in a token's header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Where an issuer's public keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// A JWKS file.
    Jwks(PathBuf),
    /// A file with one public key in PEM.
    Pem(PathBuf),
}

impl KeySource {
    /// Returns the file.
    #[must_use]
    pub const fn path(&self) -> &PathBuf {
        match self {
            Self::Jwks(path) | Self::Pem(path) => path,
        }
    }
}

/// A claim by its path through nested objects, such as `firebase.tenant`; never empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Reads a dotted path; a dot that is part of a name is written `\.`. `None` if a name is empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut names = vec![String::new()];
        let mut escaped = false;
        for c in text.chars() {
            let last = names.last_mut()?;
            match c {
                '\\' if !escaped => escaped = true,
                '.' if !escaped => names.push(String::new()),
                other => {
                    escaped = false;
                    last.push(other);
                }
            }
        }
        (!escaped && names.iter().all(|name| !name.is_empty())).then_some(Self(names))
    }

    /// Returns the names from the outermost object inward.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped: Vec<_> =
            self.0.iter().map(|name| name.replace('\\', r"\\").replace('.', r"\.")).collect();
        f.write_str(&escaped.join("."))
    }
}

/// The edge's own assertion to its backends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assertion {
    /// The Ed25519 key that signs.
    pub key: AssertionKey,
    /// The JWKS file that the edge writes its public keys to, and that backends read.
    pub jwks: PathBuf,
}

/// The Ed25519 key that signs assertions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AssertionKey {
    /// Made by the edge on its first start and kept in this file with mode 0600.
    Generated(PathBuf),
    /// Given by the operator, in PKCS#8 PEM.
    Given(SecretRef),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_paths_are_dotted_and_dots_can_be_escaped() {
        for (text, expected) in [
            ("tenant_id", Some(vec!["tenant_id"])),
            ("firebase.tenant", Some(vec!["firebase", "tenant"])),
            (r"https://id\.example/tenant", Some(vec!["https://id.example/tenant"])),
            (r"a\\.b", Some(vec![r"a\", "b"])),
            ("", None),
            ("a..b", None),
            (".a", None),
            (r"a\", None),
        ] {
            let path = ClaimPath::parse(text);
            assert_eq!(
                path.as_ref().map(|p| p.names().to_vec()),
                expected.map(|names| names.into_iter().map(String::from).collect()),
                "{text}"
            );
            if let Some(path) = path {
                assert_eq!(path.to_string(), text);
            }
        }
    }
}
