//! Credentials that are no tokens of an issuer: keys of our own, and certificates of clients.

/// What proves who calls, where it is no token of an issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// Keys that the edge issues itself.
    ApiKeys(ApiKeys),
    /// Certificates that clients show in the handshake.
    Certificates(Vec<CertificateClient>),
}

/// Keys that the edge issues itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKeys {
    /// The header that carries one, in lower case. Origins do not see it.
    pub header: String,
}

/// Who shows a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateClient {
    /// An alternative name with its kind (`dns:`, `uri:`, `email:`, `ip:`), or `sha256:` and 64 hexadecimal digits.
    pub certificate: String,
    /// The tenant that it speaks for; never empty.
    pub tenant: String,
    /// The subject that it is; never empty.
    pub subject: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
}
