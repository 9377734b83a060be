//! Who a verified token speaks for.

use portcullis_config::Timestamp;
use portcullis_config::model::Access;
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// What a verified token says. Every text in it is plain: no control characters, bounded length.
#[derive(Clone, PartialEq, Debug)]
pub struct Identity {
    /// The provider whose key signed it, by its configured name.
    pub provider: String,
    /// `sub`.
    pub subject: String,
    /// The tenant, from the first configured claim that is there.
    pub tenant: Option<String>,
    /// The roles, from the configured claim.
    pub roles: Vec<String>,
    /// The scopes, from the first configured claim that is there.
    pub scopes: Vec<String>,
    /// `jti`.
    pub token_id: Option<String>,
    /// `iss`.
    pub issuer: String,
    /// The id of the key that signed it, where the token names one.
    pub key_id: Option<String>,
    /// `iat`, where the token has it.
    pub issued: Option<Timestamp>,
    /// When it stops being accepted: `exp` and the provider's leeway.
    pub expires: Timestamp,
    /// Every claim.
    pub claims: Map<String, Value>,
}

impl Identity {
    /// Returns the tenant, for a route that needs one.
    ///
    /// # Errors
    /// [`Refusal::MissingTenant`].
    pub fn require_tenant(&self) -> Result<&str, Refusal> {
        self.tenant.as_deref().ok_or(Refusal::MissingTenant)
    }

    /// Checks that the token grants what a route asks for: every scope, and one of the roles.
    ///
    /// # Errors
    /// [`Refusal::MissingScope`] or [`Refusal::MissingRole`].
    pub fn require(&self, access: &Access) -> Result<(), Refusal> {
        if !access.scopes.iter().all(|scope| self.scopes.contains(scope)) {
            return Err(Refusal::MissingScope);
        }
        if !access.roles.is_empty() && !access.roles.iter().any(|role| self.roles.contains(role)) {
            return Err(Refusal::MissingRole);
        }
        Ok(())
    }
}
