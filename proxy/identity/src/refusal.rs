//! Why a caller is turned away: a code for the client, a reason for the log. The client never learns the reason.

/// A refusal. What the client reads is [`Self::code`] and [`Self::status`]; [`Why`] is for the log and the metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// The request carries no credential.
    #[error("no credential")]
    MissingAuth,
    /// The request carries several credentials; which is meant is a guess.
    #[error("more than one credential")]
    MoreThanOneCredential,
    /// The token is not one that vouches for anybody here.
    #[error("{}", .0.as_str())]
    InvalidToken(Why),
    /// The token is good and names no tenant.
    #[error("the token names no tenant")]
    MissingTenant,
    /// The token is good and lacks a scope that the route asks for.
    #[error("the token lacks a scope")]
    MissingScope,
    /// The token is good and has none of the roles that the route asks for.
    #[error("the token has none of the roles")]
    MissingRole,
    /// There are no keys that the token could be verified with: nobody can say whether it is good.
    #[error("the issuer's keys are not to be had")]
    KeysUnavailable,
}

impl Refusal {
    /// Returns the public error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MissingAuth => "missing_auth",
            Self::MoreThanOneCredential => "invalid_request",
            Self::InvalidToken(_) => "invalid_token",
            Self::MissingTenant => "missing_tenant",
            Self::MissingScope | Self::MissingRole => "insufficient_scope",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }

    /// Returns the HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::MissingAuth | Self::InvalidToken(_) => 401,
            Self::MoreThanOneCredential => 400,
            Self::MissingTenant | Self::MissingScope | Self::MissingRole => 403,
            Self::KeysUnavailable => 503,
        }
    }

    /// Returns the reason in one word, for the log and as a metric's label.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::MissingAuth => "missing_auth",
            Self::MoreThanOneCredential => "more_than_one_credential",
            Self::InvalidToken(why) => why.as_str(),
            Self::MissingTenant => "missing_tenant",
            Self::MissingScope => "missing_scope",
            Self::MissingRole => "missing_role",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }

    /// Returns the `WWW-Authenticate` value (RFC 6750 section 3), where the status asks for one. Without a credential
    /// it names no error.
    #[must_use]
    pub const fn www_authenticate(&self) -> Option<&'static str> {
        match self {
            Self::MissingAuth => Some("Bearer"),
            Self::InvalidToken(_) => Some("Bearer error=\"invalid_token\""),
            Self::MoreThanOneCredential => Some("Bearer error=\"invalid_request\""),
            Self::MissingScope | Self::MissingRole => Some("Bearer error=\"insufficient_scope\""),
            Self::MissingTenant | Self::KeysUnavailable => None,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $forged:literal;)*) => {
        /// The reason for which a token is refused.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Why { $($(#[$doc])* $name,)* }

        impl Why {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the reason in one word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Says whether no honest client would send such a token: somebody made or changed it.
            #[must_use]
            pub const fn is_forgery(self) -> bool {
                match self { $(Self::$name => $forged,)* }
            }
        }
    };
}

reasons! {
    /// Another scheme than `Bearer`, or nothing after it.
    NotBearer = "not_bearer", false;
    /// An API key that is not of the form.
    NotApiKey = "not_an_api_key", false;
    /// An API key whose id nobody has: never issued, or revoked.
    UnknownApiKey = "unknown_api_key", false;
    /// An API key with another secret than its id's.
    WrongApiKey = "wrong_api_key", true;
    /// An API key that has ended, or the one before a rotation whose overlap has.
    ExpiredApiKey = "expired_api_key", false;
    /// A credential of a provider that the route does not accept.
    OtherProvider = "other_provider", false;
    /// Longer than 8 KiB.
    TooLong = "too_long", false;
    /// Not three parts with dots between.
    NotCompact = "not_compact", false;
    /// Five parts: an encrypted token.
    Encrypted = "encrypted", false;
    /// JSON serialization.
    JsonSerialization = "json_serialization", true;
    /// A part is not canonical base64url.
    BadBase64 = "bad_base64", true;
    /// The header is no object, too long, too deep, or names a member twice.
    BadHeader = "bad_header", true;
    /// `alg` is `none` in some spelling.
    AlgNone = "alg_none", true;
    /// `alg` is missing or not one that is known.
    UnknownAlg = "unknown_alg", false;
    /// `alg` is not one that the key is pinned to.
    AlgNotOfKey = "alg_not_of_key", true;
    /// `crit` names an extension; none is understood here.
    Critical = "critical_extension", false;
    /// `b64` is set: the payload would not be what it seems.
    Unencoded = "unencoded_payload", true;
    /// The header brings a key of its own (`jwk`, `jku`, `x5u`).
    EmbeddedKey = "embedded_key", true;
    /// `typ` or `cty` says that it is another kind of token.
    WrongType = "wrong_type", false;
    /// `kid` is no text, or longer than 256 bytes.
    BadKid = "bad_kid", true;
    /// A key id is needed and missing.
    MissingKid = "missing_kid", false;
    /// No key of the set has the id.
    UnknownKid = "unknown_kid", false;
    /// The signature is missing.
    NoSignature = "no_signature", true;
    /// The signature is not the key's.
    BadSignature = "bad_signature", true;
    /// The payload is no object, too deep, or names a member twice.
    BadPayload = "bad_payload", false;
    /// `iss` is not the provider's.
    WrongIssuer = "wrong_issuer", false;
    /// No provider that the route accepts has the issuer.
    UnknownIssuer = "unknown_issuer", false;
    /// `aud` does not name this service.
    WrongAudience = "wrong_audience", false;
    /// `exp` is missing.
    NoExpiry = "no_expiry", false;
    /// A time is no finite number of seconds.
    BadTime = "bad_time", false;
    /// `exp` has passed.
    Expired = "expired", false;
    /// `nbf` has not come.
    NotYetValid = "not_yet_valid", false;
    /// `iat` or `auth_time` lies in the future.
    IssuedInFuture = "issued_in_future", false;
    /// Valid for longer than the provider may grant.
    LivesTooLong = "lives_too_long", false;
    /// `sub` is missing, empty, too long or not plain text.
    BadSubject = "bad_subject", false;
    /// The tenant is no plain text.
    BadTenant = "bad_tenant", false;
    /// Two tenant claims that differ.
    TenantConflict = "tenant_conflict", false;
    /// The roles are no list of plain texts, or too many.
    BadRoles = "bad_roles", false;
    /// `jti` is no plain text.
    BadTokenId = "bad_token_id", false;
    /// A session cookie of Identity Platform, where an ID token is asked for.
    SessionCookie = "session_cookie", false;
    /// A custom token of Identity Platform, which only its own sign-in accepts.
    CustomToken = "custom_token", false;
    /// An anonymous sign-in of Identity Platform.
    Anonymous = "anonymous", false;
    /// The subject is revoked.
    RevokedSubject = "revoked_subject", false;
    /// The tenant is revoked.
    RevokedTenant = "revoked_tenant", false;
    /// The token is revoked.
    RevokedToken = "revoked_token", false;
    /// The key is revoked.
    RevokedKey = "revoked_key", false;
    /// Issued before everything older was revoked.
    RevokedByTime = "revoked_by_time", false;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_client_reads_the_code_and_never_the_reason() {
        for why in Why::ALL {
            let refusal = Refusal::InvalidToken(*why);
            assert_eq!((refusal.status(), refusal.code()), (401, "invalid_token"));
            assert_eq!(refusal.www_authenticate(), Some("Bearer error=\"invalid_token\""));
            assert_eq!(refusal.reason(), why.as_str());
        }
        assert_eq!(
            (Refusal::MissingAuth.status(), Refusal::MissingAuth.code()),
            (401, "missing_auth")
        );
        assert_eq!(Refusal::MissingAuth.www_authenticate(), Some("Bearer"));
        let tenant = Refusal::MissingTenant;
        assert_eq!((tenant.status(), tenant.code()), (403, "missing_tenant"));
        assert_eq!(Refusal::MoreThanOneCredential.status(), 400);
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: HashSet<_> = Why::ALL.iter().map(|why| why.as_str()).collect();
        assert_eq!(words.len(), Why::ALL.len());
    }
}
