//! `identity`.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::{Context, credential, id_places, keys, scalar, source};
use crate::diagnostic::Diagnostic;
use crate::model::{
    Alg, Assertion, AssertionKey, ClaimPath, ClaimRules, Credential, FetchedKeys, HmacProvider,
    Identity, KeySource, OidcProvider, PlatformProvider, Provider, StaticProvider, Url,
};
use crate::yaml::{Node, Value};

/// The claims that hold the tenant where nothing else is said.
const TENANT_CLAIM: &[&str] = &["tenant_id"];
/// The same for Google Identity Platform.
const PLATFORM_TENANT_CLAIM: &[&str] = &["firebase.tenant", "tenant_id"];
/// The claims that hold the scopes where nothing else is said: RFC 8693 section 4.2, and what others write.
const SCOPES_CLAIM: &[&str] = &["scope", "scp"];
/// Where Google publishes the keys of Identity Platform: a map of ids to certificates.
const PLATFORM_KEYS: &str =
    "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com";
/// What OpenID Connect Discovery 1.0 section 4 puts behind the issuer.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// What `identity` is when it is not written.
pub(super) fn absent(cx: &Context<'_>) -> Identity {
    Identity {
        providers: BTreeMap::new(),
        credentials: BTreeMap::new(),
        assertion: generated(cx),
        claim_headers: BTreeMap::new(),
        owners: BTreeMap::new(),
        revocations: None,
    }
}

/// Decodes `identity`.
pub(super) fn identity(node: &Node, cx: &mut Context<'_>) -> Option<Identity> {
    let fields = Fields::open(node, &keys::IDENTITY, cx)?;
    let providers = fields
        .may("providers", cx, |node, cx| scalar::named(node, cx, |_, node, cx| provider(node, cx)));
    let assertion = match fields.get("assertion") {
        Some(node) => assertion(node, cx),
        None => Some(generated(cx)),
    };
    let owners = fields.may("owners", cx, |node, cx| {
        scalar::named(node, cx, |_, node, cx| id_places::owned(node, cx))
    });
    let claim_headers = fields.may("claim_headers", cx, claim_headers);
    let revocations = fields.may("revocations", cx, source::file);
    let (providers, credentials) = sorted(providers?.unwrap_or_default());
    Some(Identity {
        providers,
        credentials,
        assertion: assertion?,
        claim_headers: claim_headers?.unwrap_or_default(),
        owners: owners?.unwrap_or_default(),
        revocations: revocations?,
    })
}

/// Headers by name: each only once, whatever its case.
fn claim_headers(node: &Node, cx: &mut Context<'_>) -> Option<BTreeMap<String, ClaimPath>> {
    let Value::Map(entries) = &node.value else {
        let message = format!("a mapping by header is expected here, not {}", node.kind());
        cx.error("wrong-kind", message, node.value_place());
        return None;
    };
    let mut headers = BTreeMap::new();
    for entry in entries {
        let name = credential::own_header(&entry.key, "tell of a claim", &entry.span, cx);
        let path = claim(&entry.node, cx);
        if headers.insert(name?, path?).is_some() {
            let message = format!("the header `{}` is here twice", entry.key);
            cx.error("duplicate", message, entry.span.clone());
            return None;
        }
    }
    Some(headers)
}

/// Issuers, and what is none.
fn sorted(
    all: BTreeMap<String, Named>,
) -> (BTreeMap<String, Provider>, BTreeMap<String, Credential>) {
    let (mut providers, mut credentials) = (BTreeMap::new(), BTreeMap::new());
    for (id, named) in all {
        match named {
            Named::Issuer(provider) => drop(providers.insert(id, *provider)),
            Named::Credential(credential) => drop(credentials.insert(id, credential)),
        }
    }
    (providers, credentials)
}

fn generated(cx: &Context<'_>) -> Assertion {
    Assertion {
        key: AssertionKey::Generated(cx.state_dir.join("edge-assertion.key")),
        jwks: cx.state_dir.join("edge-keys.json"),
    }
}

fn assertion(node: &Node, cx: &mut Context<'_>) -> Option<Assertion> {
    let fields = Fields::open(node, &keys::ASSERTION, cx)?;
    let key = fields.may("key", cx, source::secret);
    let jwks = fields.may("jwks", cx, scalar::path);
    let made = generated(cx);
    Some(Assertion {
        key: key?.map_or(made.key, AssertionKey::Given),
        jwks: jwks?.unwrap_or(made.jwks),
    })
}

/// What stands under a provider's id.
enum Named {
    Issuer(Box<Provider>),
    Credential(Credential),
}

/// Kinds of providers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Static,
    IdentityPlatform,
    Oidc,
    Hmac,
    ApiKeys,
    Certificates,
}

fn provider(node: &Node, cx: &mut Context<'_>) -> Option<Named> {
    let fields = Fields::open(node, &keys::PROVIDER, cx)?;
    let kind = fields.of("kind", cx, |node, cx| {
        let kinds = [
            ("static", Kind::Static),
            ("identity_platform", Kind::IdentityPlatform),
            ("oidc", Kind::Oidc),
            ("hmac", Kind::Hmac),
            ("api_keys", Kind::ApiKeys),
            ("certificates", Kind::Certificates),
        ];
        scalar::choice(node, cx, &kinds)
    });
    // The kind decides what the other keys mean: without it nothing more is said of them.
    let kind = kind?;
    let issuer = |provider| Named::Issuer(Box::new(provider));
    if !matches!(kind, Kind::ApiKeys | Kind::Certificates) {
        fields.none_of(&["header", "clients"], "for an issuer of tokens", cx);
    }
    if !matches!(kind, Kind::Hmac | Kind::ApiKeys | Kind::Certificates) {
        fields.none_of(&["secrets"], "for an issuer with public keys", cx);
    }
    match kind {
        Kind::Static => static_provider(&fields, cx).map(Provider::Static).map(issuer),
        Kind::IdentityPlatform => platform(&fields, cx).map(Provider::IdentityPlatform).map(issuer),
        Kind::Oidc => oidc(&fields, cx).map(Provider::Oidc).map(issuer),
        Kind::Hmac => hmac(&fields, cx).map(Provider::Hmac).map(issuer),
        Kind::ApiKeys => credential::api_keys(&fields, cx).map(Named::Credential),
        Kind::Certificates => credential::certificates(&fields, cx).map(Named::Credential),
    }
}

fn static_provider(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<StaticProvider> {
    let not_fetched = ["project", "keys_url", "discovery_url", "max_age"];
    fields.none_of(&not_fetched, "with `kind: static`", cx);
    let issuer = required(fields, "issuer", cx, text);
    let audience = required(fields, "audience", cx, text);
    let algorithms = required(fields, "algorithms", cx, algorithms);
    let keys = match fields.one_of(&["jwks", "pem"], cx) {
        Some(("jwks", node)) => source::file(node, cx).map(KeySource::Jwks),
        Some((_, node)) => source::file(node, cx).map(KeySource::Pem),
        None => None,
    };
    let claims = claims(fields, TENANT_CLAIM, cx);
    Some(StaticProvider {
        issuer: issuer?,
        audience: audience?,
        algorithms: algorithms?,
        keys: keys?,
        claims: claims?,
    })
}

fn platform(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<PlatformProvider> {
    // Google decides all of these.
    let decided =
        ["issuer", "audience", "algorithms", "jwks", "pem", "discovery_url", "max_lifetime"];
    fields.none_of(&decided, "with `kind: identity_platform`", cx);
    let project = required(fields, "project", cx, text);
    let url = match fields.get("keys_url") {
        Some(node) => source::url(node, cx),
        None => Url::parse(PLATFORM_KEYS).ok(),
    };
    let keys = fetched(fields, url, cx);
    let claims = claims(fields, PLATFORM_TENANT_CLAIM, cx);
    Some(PlatformProvider { project: project?, keys: keys?, claims: claims? })
}

fn oidc(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<OidcProvider> {
    let elsewhere = ["jwks", "pem", "project", "keys_url"];
    fields.none_of(&elsewhere, "with `kind: oidc`, whose keys are found by discovery", cx);
    let issuer = required(fields, "issuer", cx, text);
    let audience = required(fields, "audience", cx, text);
    let algorithms = required(fields, "algorithms", cx, algorithms);
    let url = match (fields.get("discovery_url"), fields.get("issuer")) {
        (Some(node), _) => source::url(node, cx),
        (None, Some(node)) => discovery_of(node, cx),
        (None, None) => None,
    };
    let keys = fetched(fields, url, cx);
    let claims = claims(fields, TENANT_CLAIM, cx);
    Some(OidcProvider {
        issuer: issuer?,
        audience: audience?,
        algorithms: algorithms?,
        keys: keys?,
        claims: claims?,
    })
}

fn hmac(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<HmacProvider> {
    // Each secret says its algorithm itself.
    let of_public_keys =
        ["algorithms", "jwks", "pem", "project", "keys_url", "discovery_url", "max_age"];
    fields.none_of(&of_public_keys, "with `kind: hmac`", cx);
    let issuer = required(fields, "issuer", cx, text);
    let audience = required(fields, "audience", cx, text);
    let secrets = required(fields, "secrets", cx, source::secret);
    let claims = claims(fields, TENANT_CLAIM, cx);
    Some(HmacProvider { issuer: issuer?, audience: audience?, secrets: secrets?, claims: claims? })
}

/// Where the discovery document of an issuer is, when nothing else is said.
fn discovery_of(issuer: &Node, cx: &mut Context<'_>) -> Option<Url> {
    let written = issuer.as_text()?;
    let problem = match Url::parse(&format!("{}{DISCOVERY}", written.trim_end_matches('/'))) {
        Ok(url) if !written.contains('?') => return Some(url),
        Ok(_) => "has no query",
        Err(problem) => problem,
    };
    let wrong = Diagnostic::error("wrong-value", format!("an issuer's URL {problem}"));
    let help = "name the document in `discovery_url` where the issuer is no URL";
    cx.report(wrong.help(help), issuer.value_place());
    None
}

fn fetched(fields: &Fields<'_>, url: Option<Url>, cx: &mut Context<'_>) -> Option<FetchedKeys> {
    let max_age = fields.of("max_age", cx, scalar::duration("10m", "30d"));
    Some(FetchedKeys { url: url?, max_age: max_age? })
}

fn claims(fields: &Fields<'_>, tenant: &[&str], cx: &mut Context<'_>) -> Option<ClaimRules> {
    let tenant_claim =
        fields.may("tenant_claim", cx, |node, cx| scalar::some_items(node, cx, claim));
    let roles_claim = fields.may("roles_claim", cx, claim);
    let scopes_claim =
        fields.may("scopes_claim", cx, |node, cx| scalar::some_items(node, cx, claim));
    let paths = |texts: &[&str]| texts.iter().map(|path| ClaimPath::parse(path)).collect();
    let leeway = fields.of("leeway", cx, scalar::duration("0s", "60s"));
    let max_lifetime = fields.of("max_lifetime", cx, scalar::duration("1m", "30d"));
    Some(ClaimRules {
        tenant_claim: tenant_claim?.or_else(|| paths(tenant))?,
        roles_claim: roles_claim?,
        scopes_claim: scopes_claim?.or_else(|| paths(SCOPES_CLAIM))?,
        leeway: leeway?,
        max_lifetime: max_lifetime?,
    })
}

/// Decodes a key that this kind of provider cannot be without.
fn required<T>(
    fields: &Fields<'_>,
    name: &str,
    cx: &mut Context<'_>,
    decode: impl FnOnce(&Node, &mut Context<'_>) -> Option<T>,
) -> Option<T> {
    let Some(node) = fields.get(name) else {
        fields.missing(&format!("the key `{name}` is missing for this kind of provider"), cx);
        return None;
    };
    decode(node, cx)
}

fn text(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    scalar::text(node, cx).map(str::to_owned)
}

fn algorithms(node: &Node, cx: &mut Context<'_>) -> Option<Vec<Alg>> {
    scalar::some_items(node, cx, algorithm)
}

fn algorithm(node: &Node, cx: &mut Context<'_>) -> Option<Alg> {
    let written = scalar::text(node, cx)?;
    if written.eq_ignore_ascii_case("none") || written.starts_with("HS") {
        let refused =
            Diagnostic::error("wrong-value", format!("tokens with `{written}` are never accepted"));
        let help = "use a public-key algorithm, such as `ES256`; shared secrets are `kind: hmac`";
        cx.report(refused.help(help), node.value_place());
        return None;
    }
    scalar::choice(node, cx, &Alg::ALL.map(|alg| (alg.as_str(), alg)))
}

pub(super) fn claim(node: &Node, cx: &mut Context<'_>) -> Option<ClaimPath> {
    let written = scalar::text(node, cx)?;
    let path = ClaimPath::parse(written);
    if path.is_none() {
        let wrong = Diagnostic::error("wrong-value", format!("`{written}` is not a claim path"));
        cx.report(
            wrong.help("write names separated by dots, such as `firebase.tenant`"),
            node.value_place(),
        );
    }
    path
}
