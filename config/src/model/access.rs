//! What a route asks of a caller besides a valid credential.

/// What a route asks of a caller besides a valid credential. Nothing, where all is empty.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Access {
    /// The scopes that the token must have, every one; each a scope token of RFC 6749 section 3.3.
    pub scopes: Vec<String>,
    /// The roles of which the token must have one; no role is asked for where there is none.
    pub roles: Vec<String>,
}
