//! Access to Google's APIs: a token of the metadata server, which machines in Google's cloud have, or a JWT that a
//! service account's own key signs (which the API takes as a bearer token, so that nobody is asked for one).

use super::client::Client;
use crate::clock::Clock;
use crate::settings::{Endpoint, GoogleCredentials, GoogleKms, Secret, ServiceAccount};
use crate::signing::port::PortError;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// What the API wants to be called in a JWT.
const AUDIENCE: &str = "https://cloudkms.googleapis.com/";
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: HeaderValue = HeaderValue::from_static("Google");
/// A JWT lasts so long; the API takes none that lasts longer.
const JWT_LASTS: Duration = Duration::from_secs(3600);
/// A token is not used in its last minute.
const SPARE: Duration = Duration::from_secs(60);

/// The access, and the token that is in use.
pub(super) struct Credentials {
    source: Source,
    clock: Arc<dyn Clock>,
    /// Held while a token is fetched, so that one of all who wait for it fetches it.
    token: Mutex<Option<Token>>,
}

enum Source {
    Metadata(Client),
    ServiceAccount(ServiceAccount),
}

#[derive(Clone)]
struct Token {
    text: Secret,
    /// By uptime: nobody can set that.
    ends_at: Duration,
}

impl Credentials {
    pub(super) fn new(settings: &GoogleKms, clock: Arc<dyn Clock>) -> Self {
        let source = match &settings.credentials {
            GoogleCredentials::Metadata(host) => Source::Metadata(Client::new(host.clone(), None)),
            GoogleCredentials::ServiceAccount(account) => Source::ServiceAccount(account.clone()),
        };
        Self { source, clock, token: Mutex::new(None) }
    }

    /// Returns a token that is good for a while.
    pub(super) async fn token(&self) -> Result<Secret, PortError> {
        let mut held = self.token.lock().await;
        let now = self.clock.uptime();
        if let Some(token) = held.as_ref().filter(|token| now < token.ends_at) {
            return Ok(token.text.clone());
        }
        let (text, lasts) = match &self.source {
            Source::Metadata(client) => fetched(client).await?,
            Source::ServiceAccount(account) => {
                (signed(account, self.clock.now().as_secs())?, JWT_LASTS)
            }
        };
        let token = Token { text, ends_at: now.saturating_add(lasts.saturating_sub(SPARE)) };
        Ok(held.insert(token).text.clone())
    }

    /// Forgets a token that is not taken any more.
    pub(super) async fn forget(&self) {
        *self.token.lock().await = None;
    }
}

async fn fetched(client: &Client) -> Result<(Secret, Duration), PortError> {
    #[derive(Deserialize)]
    struct Body {
        access_token: String,
        expires_in: u64,
        token_type: String,
    }
    let answer = client.exchange(Method::GET, TOKEN, &[(FLAVOR, GOOGLE)], None).await?;
    let down = |text: &str| PortError::Down(format!("the metadata server {text}"));
    if answer.status != StatusCode::OK {
        return Err(down(&format!("answers {}", answer.status.as_u16())));
    }
    // By this header it tells itself from whatever else answers at its name.
    if answer.headers.get(FLAVOR) != Some(&GOOGLE) {
        return Err(down("is not the one of Google's cloud"));
    }
    let body: Body = serde_json::from_slice(&answer.body).map_err(|_| down("gives no token"))?;
    if !body.token_type.eq_ignore_ascii_case("bearer") {
        return Err(down("gives no bearer token"));
    }
    Ok((Secret::new(body.access_token), Duration::from_secs(body.expires_in)))
}

/// Signs a JWT of the account (RFC 7519, RS256).
fn signed(account: &ServiceAccount, now_secs: u64) -> Result<Secret, PortError> {
    let refused = || PortError::Refused("the service account's private key cannot be used".into());
    let der = PrivatePkcs8KeyDer::from_pem_slice(account.private_key.reveal().as_bytes());
    let der = der.map_err(|_| refused())?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| refused())?;
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": account.private_key_id});
    let claims = json!({
        "iss": account.client_email, "sub": account.client_email, "aud": AUDIENCE,
        "iat": now_secs, "exp": now_secs.saturating_add(JWT_LASTS.as_secs()),
    });
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| refused())?;
    Ok(Secret::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// The metadata server, by the name that it has in Google's cloud.
pub(crate) fn metadata_server() -> Endpoint {
    Endpoint { is_tls: false, host: "metadata.google.internal".to_owned(), port: 80 }
}
