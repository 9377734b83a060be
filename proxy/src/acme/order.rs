//! One order, from the account to a certificate that can be served.

use std::path::Path;
use std::time::Duration;

use instant_acme::{
    AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use portcullis_config::Timestamp;
use portcullis_config::model::{Acme, AcmeChallenge, HostName};

use super::client::Guarded;
use super::proofs::{Proofs, Standing};
use super::{AcmeError, Issued, Unusable, account};

/// How the authority is asked whether it has looked, and whether it has issued.
const POLLS: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(90));

/// Orders a certificate; returns key and chain in PEM.
pub(super) async fn order(
    state_dir: &Path,
    acme: &Acme,
    client: Guarded,
    proofs: &Proofs,
    now: Timestamp,
) -> Result<Vec<u8>, AcmeError> {
    let account = account::open(state_dir, acme, client).await?;
    let names: Vec<Identifier> =
        acme.names.iter().map(|name| Identifier::Dns(name.to_string())).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let standing = prove(&mut order, acme, proofs).await?;
    let ready = order.poll_ready(&POLLS).await;
    drop(standing);
    match ready {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
        Ok(OrderStatus::Invalid | OrderStatus::Pending | OrderStatus::Processing) => {
            let why = "the order is invalid".to_owned();
            return Err(refused(&mut order).await.unwrap_or_else(|| unproved(acme, why)));
        }
        Err(error) => return Err(refused(&mut order).await.unwrap_or_else(|| error.into())),
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&POLLS).await?;
    let pem = format!("{key}{chain}").into_bytes();
    let issued = Issued::read(&pem, &acme.names)?;
    if issued.renew_at() <= now { Err(Unusable::Old.into()) } else { Ok(pem) }
}

fn unproved(acme: &Acme, why: String) -> AcmeError {
    let name = acme.names.first().map_or_else(String::new, HostName::to_string);
    AcmeError::Unproved { name, why }
}

/// Makes every proof that is asked for, and says so. They stand as long as what is returned.
async fn prove<'p>(
    order: &mut Order,
    acme: &Acme,
    proofs: &'p Proofs,
) -> Result<Vec<Standing<'p>>, AcmeError> {
    let mut standing = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        standing.extend(prove_one(authorization?, acme, proofs).await?);
    }
    Ok(standing)
}

async fn prove_one<'p>(
    mut authorization: AuthorizationHandle<'_>,
    acme: &Acme,
    proofs: &'p Proofs,
) -> Result<Option<Standing<'p>>, AcmeError> {
    let name = authorization.identifier().to_string();
    let refused = |why: &str| AcmeError::Unproved { name: name.clone(), why: why.to_owned() };
    // What it names is a stranger's word: nothing is proved but what was asked for.
    if !acme.names.iter().any(|ours| ours.as_str() == name) {
        return Err(refused("the authority asks for a name that was not ordered"));
    }
    match authorization.status {
        AuthorizationStatus::Valid => return Ok(None),
        AuthorizationStatus::Pending => {}
        AuthorizationStatus::Invalid
        | AuthorizationStatus::Revoked
        | AuthorizationStatus::Expired
        | AuthorizationStatus::Deactivated => {
            return Err(refused("the authority does not await a proof"));
        }
    }
    let (kind, word) = match acme.challenge {
        AcmeChallenge::Http01 => (ChallengeType::Http01, "http-01"),
        AcmeChallenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let Some(mut challenge) = authorization.challenge(kind) else {
        return Err(refused(&format!("the authority does not offer `{word}`")));
    };
    let proof = challenge.key_authorization();
    let standing = match acme.challenge {
        AcmeChallenge::Http01 => proofs.answer_http(&challenge.token, &proof),
        AcmeChallenge::TlsAlpn01 => proofs
            .answer_tls(&name, &proof)
            .map_err(|source| AcmeError::Proof { name: name.clone(), source })?,
    };
    challenge.set_ready().await?;
    Ok(Some(standing))
}

/// Asks which proof the authority did not believe, and why.
async fn refused(order: &mut Order) -> Option<AcmeError> {
    order.refresh().await.ok()?;
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let said = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(said) = said {
            let name = authorization.identifier().to_string();
            return Some(AcmeError::Unproved { name, why: said.to_string() });
        }
    }
    None
}
