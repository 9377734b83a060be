//! `identity`.

use super::fields::Fields;
use super::{Context, keys, scalar, source};
use crate::diagnostic::Diagnostic;
use crate::model::{
    Alg, Assertion, AssertionKey, ClaimPath, Identity, KeySource, Provider, StaticProvider,
};
use crate::yaml::Node;

/// The claim that holds the tenant where nothing else is said.
const TENANT_CLAIM: &str = "tenant_id";

/// What `identity` is when it is not written.
pub(super) fn absent(cx: &Context<'_>) -> Identity {
    Identity { providers: std::collections::BTreeMap::new(), assertion: generated(cx) }
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
    Some(Identity { providers: providers?.unwrap_or_default(), assertion: assertion? })
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

/// Kinds of providers that the format knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Static,
    IdentityPlatform,
}

fn provider(node: &Node, cx: &mut Context<'_>) -> Option<Provider> {
    // The kind decides what the other keys mean, so one that is not built is the only thing said of such a provider.
    let kind = node.get("kind").and_then(Node::as_text);
    if kind == Some("identity_platform") {
        let later = Diagnostic::error("not-built", "`kind: identity_platform` is not built yet");
        let place = node.get("kind").unwrap_or(node).value_place();
        cx.report(later.help("save the issuer's keys as a JWK set and use `kind: static`"), place);
        return None;
    }
    let fields = Fields::open(node, &keys::PROVIDER, cx)?;
    let kind = fields.of("kind", cx, |node, cx| {
        scalar::choice(
            node,
            cx,
            &[("static", Kind::Static), ("identity_platform", Kind::IdentityPlatform)],
        )
    });
    let provider = static_provider(&fields, cx);
    match kind? {
        Kind::Static => provider.map(Provider::Static),
        Kind::IdentityPlatform => None,
    }
}

fn static_provider(fields: &Fields<'_>, cx: &mut Context<'_>) -> Option<StaticProvider> {
    let text = |node: &Node, cx: &mut Context<'_>| scalar::text(node, cx).map(str::to_owned);
    let issuer = fields.of("issuer", cx, text);
    let audience = fields.of("audience", cx, text);
    let algorithms =
        fields.of("algorithms", cx, |node, cx| scalar::some_items(node, cx, algorithm));
    let keys = match fields.one_of(&["jwks", "pem"], cx) {
        Some(("jwks", node)) => source::file(node, cx).map(KeySource::Jwks),
        Some((_, node)) => source::file(node, cx).map(KeySource::Pem),
        None => None,
    };
    let tenant_claim =
        fields.may("tenant_claim", cx, |node, cx| scalar::some_items(node, cx, claim));
    let roles_claim = fields.may("roles_claim", cx, claim);
    let leeway = fields.of("leeway", cx, scalar::duration("0s", "60s"));
    let max_lifetime = fields.of("max_lifetime", cx, scalar::duration("1m", "30d"));
    Some(StaticProvider {
        issuer: issuer?,
        audience: audience?,
        algorithms: algorithms?,
        keys: keys?,
        tenant_claim: match tenant_claim? {
            Some(paths) => paths,
            None => vec![ClaimPath::parse(TENANT_CLAIM)?],
        },
        roles_claim: roles_claim?,
        leeway: leeway?,
        max_lifetime: max_lifetime?,
    })
}

fn algorithm(node: &Node, cx: &mut Context<'_>) -> Option<Alg> {
    let written = scalar::text(node, cx)?;
    if written.eq_ignore_ascii_case("none") || written.starts_with("HS") {
        let refused =
            Diagnostic::error("wrong-value", format!("tokens with `{written}` are never accepted"));
        cx.report(refused.help("use a public-key algorithm, such as `ES256`"), node.value_place());
        return None;
    }
    scalar::choice(node, cx, &Alg::ALL.map(|alg| (alg.as_str(), alg)))
}

fn claim(node: &Node, cx: &mut Context<'_>) -> Option<ClaimPath> {
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
