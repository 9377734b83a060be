//! The attributes, in one table each for plain values and maps, and the names that people write instead.

use super::typed::{Need, Type};

/// A single value of the request, the client or the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// The client's address, decided from trusted hops.
    OriginIp,
    /// The address from the configured user-IP headers, else the client's.
    OriginUserIp,
    /// The ISO 3166-1 country, upper case, `''` when unknown.
    OriginRegionCode,
    /// The autonomous system, 0 when unknown.
    OriginAsn,
    /// The JA3 fingerprint, `''` without TLS.
    OriginJa3,
    /// The JA4 fingerprint, `''` without TLS.
    OriginJa4,
    /// The subject of the client's certificate as RFC 4514 writes it, `''` without one (extension).
    ClientSubject,
    /// Its issuer, written the same way (extension).
    ClientIssuer,
    /// Its SHA-256 in hexadecimal digits (extension).
    ClientSha256,
    /// Its alternative names, each with its kind: `dns:`, `email:`, `uri:`, `ip:` (extension).
    ClientNames,
    /// The method as sent.
    Method,
    /// The path as sent: no decoding, no query.
    Path,
    /// The query as sent, without `?`.
    Query,
    /// `http` or `https`.
    Scheme,
    /// The inspected part of the body (extension).
    Body,
    /// Whether a valid token came (extension).
    TokenValid,
    /// The token's subject, `''` without one (extension).
    TokenSubject,
    /// The token's tenant, `''` without one (extension).
    TokenTenant,
    /// The token's issuer, `''` without one (extension).
    TokenIssuer,
    /// The token's roles, empty without one (extension).
    TokenRoles,
    /// A reCAPTCHA result. No assessment exists here: a comparison with one is false.
    Recaptcha(Recaptcha),
}

/// The reCAPTCHA attributes of Cloud Armor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recaptcha {
    /// `token.recaptcha_exemption.valid`, `…action.valid`, `…session.valid`.
    Valid,
    /// `token.recaptcha_action.score`, `…session.score`.
    Score,
    /// `token.recaptcha_action.captcha_status`.
    CaptchaStatus,
    /// `token.recaptcha_action.action`.
    Action,
}

/// A map of the request or the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapAttribute {
    /// Header values by name; several of one name joined by a comma.
    Headers,
    /// Cookie values by name, first wins (extension).
    Cookies,
    /// The parameters of query and body by name; several of one name joined by a comma (extension).
    Params,
    /// The token's claims (extension).
    Claims,
}

pub(super) const ATTRIBUTES: &[(&str, Type, Attribute)] = &[
    ("origin.ip", Type::String, Attribute::OriginIp),
    ("origin.user_ip", Type::String, Attribute::OriginUserIp),
    ("origin.region_code", Type::String, Attribute::OriginRegionCode),
    ("origin.asn", Type::Int, Attribute::OriginAsn),
    ("origin.tls_ja3_fingerprint", Type::String, Attribute::OriginJa3),
    ("origin.tls_ja4_fingerprint", Type::String, Attribute::OriginJa4),
    ("origin.tls_client_subject", Type::String, Attribute::ClientSubject),
    ("origin.tls_client_issuer", Type::String, Attribute::ClientIssuer),
    ("origin.tls_client_sha256", Type::String, Attribute::ClientSha256),
    ("origin.tls_client_names", Type::Strings, Attribute::ClientNames),
    ("request.method", Type::String, Attribute::Method),
    ("request.path", Type::String, Attribute::Path),
    ("request.query", Type::String, Attribute::Query),
    ("request.scheme", Type::String, Attribute::Scheme),
    ("request.body", Type::String, Attribute::Body),
    ("token.valid", Type::Bool, Attribute::TokenValid),
    ("token.subject", Type::String, Attribute::TokenSubject),
    ("token.tenant", Type::String, Attribute::TokenTenant),
    ("token.issuer", Type::String, Attribute::TokenIssuer),
    ("token.roles", Type::Strings, Attribute::TokenRoles),
    ("token.recaptcha_exemption.valid", Type::Bool, Attribute::Recaptcha(Recaptcha::Valid)),
    ("token.recaptcha_action.valid", Type::Bool, Attribute::Recaptcha(Recaptcha::Valid)),
    ("token.recaptcha_action.score", Type::Double, Attribute::Recaptcha(Recaptcha::Score)),
    (
        "token.recaptcha_action.captcha_status",
        Type::String,
        Attribute::Recaptcha(Recaptcha::CaptchaStatus),
    ),
    ("token.recaptcha_action.action", Type::String, Attribute::Recaptcha(Recaptcha::Action)),
    ("token.recaptcha_session.valid", Type::Bool, Attribute::Recaptcha(Recaptcha::Valid)),
    ("token.recaptcha_session.score", Type::Double, Attribute::Recaptcha(Recaptcha::Score)),
];

pub(super) const MAPS: &[(&str, MapAttribute)] = &[
    ("request.headers", MapAttribute::Headers),
    ("request.cookies", MapAttribute::Cookies),
    ("request.params", MapAttribute::Params),
    ("token.claims", MapAttribute::Claims),
];

/// What people write, and what they mean.
const MEANT: &[(&str, &str)] = &[
    ("request.host", "request.headers['host']"),
    ("request.hostname", "request.headers['host']"),
    ("request.url", "request.path"),
    ("request.uri", "request.path"),
    ("request.query_params", "request.params"),
    ("request.args", "request.params"),
    ("request.parameters", "request.params"),
    ("request.query_string", "request.query"),
    ("request.user_agent", "request.headers['user-agent']"),
    ("request.referer", "request.headers['referer']"),
    ("request.header", "request.headers"),
    ("request.cookie", "request.cookies"),
    ("request.ip", "origin.ip"),
    ("request.protocol", "request.scheme"),
    ("source.ip", "origin.ip"),
    ("source.region_code", "origin.region_code"),
    ("origin.country", "origin.region_code"),
    ("origin.country_code", "origin.region_code"),
    ("origin.region", "origin.region_code"),
    ("origin.address", "origin.ip"),
    ("client.ip", "origin.ip"),
    ("ip.src", "origin.ip"),
    ("list", "lists['…']"),
    ("token.sub", "token.subject"),
    ("token.iss", "token.issuer"),
];

/// Returns the attribute that someone who wrote `name` most likely meant.
pub(super) fn meant(name: &str) -> Option<String> {
    if let Some((_, meant)) = MEANT.iter().find(|(written, _)| *written == name) {
        return Some((*meant).to_owned());
    }
    if name == "origin.sni" {
        return None;
    }
    ATTRIBUTES
        .iter()
        .map(|(known, _, _)| *known)
        .chain(MAPS.iter().map(|(known, _)| *known))
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, _)| *distance <= 4)
        .min()
        .map(|(_, known)| known.to_owned())
}

impl Attribute {
    /// Returns the name in the language; the first one for the reCAPTCHA attributes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ATTRIBUTES
            .iter()
            .find(|(_, _, attribute)| *attribute == self)
            .map_or("", |(name, _, _)| name)
    }

    /// Returns what must be fetched before it can be read.
    #[must_use]
    pub const fn need(self) -> Option<Need> {
        match self {
            Self::Body => Some(Need::Body),
            Self::TokenValid
            | Self::TokenSubject
            | Self::TokenTenant
            | Self::TokenIssuer
            | Self::TokenRoles => Some(Need::Identity),
            Self::OriginIp
            | Self::OriginUserIp
            | Self::OriginRegionCode
            | Self::OriginAsn
            | Self::OriginJa3
            | Self::OriginJa4
            | Self::ClientSubject
            | Self::ClientIssuer
            | Self::ClientSha256
            | Self::ClientNames
            | Self::Method
            | Self::Path
            | Self::Query
            | Self::Scheme
            | Self::Recaptcha(_) => None,
        }
    }

    /// Whether Google's production language has it.
    #[must_use]
    pub const fn is_google(self) -> bool {
        match self {
            Self::Body
            | Self::ClientSubject
            | Self::ClientIssuer
            | Self::ClientSha256
            | Self::ClientNames
            | Self::TokenValid
            | Self::TokenSubject
            | Self::TokenTenant
            | Self::TokenIssuer
            | Self::TokenRoles => false,
            Self::OriginIp
            | Self::OriginUserIp
            | Self::OriginRegionCode
            | Self::OriginAsn
            | Self::OriginJa3
            | Self::OriginJa4
            | Self::Method
            | Self::Path
            | Self::Query
            | Self::Scheme
            | Self::Recaptcha(_) => true,
        }
    }
}

impl MapAttribute {
    /// Returns the name in the language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Headers => "request.headers",
            Self::Cookies => "request.cookies",
            Self::Params => "request.params",
            Self::Claims => "token.claims",
        }
    }

    /// Returns what must be fetched before it can be read.
    #[must_use]
    pub const fn need(self) -> Option<Need> {
        match self {
            Self::Headers | Self::Cookies => None,
            Self::Params => Some(Need::Body),
            Self::Claims => Some(Need::Identity),
        }
    }
}
