//! Seats that are taken offline and brought back, and clients that come back after an absence.

use super::gate::Member;
use super::request::{Asked, Id, Moment, Plain, Reply, Sent, wrong};
use super::{Api, Held, Person, answer};
use crate::domain::denial::{Denial, Ending};
use crate::reason::{Reason, Refusal};
use crate::signing::{Kind, SigningError};
use crate::store::{Acquire, Fresh, Named, SessionRef};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a seat is to be offline.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Borrow {
    #[schemars(range(min = 3600, max = 604_800))]
    duration_secs: u64,
}

/// A seat that is offline.
#[derive(Serialize, JsonSchema)]
pub(super) struct Borrowed {
    session_id: Uuid,
    license_id: Uuid,
    /// Of two tokens for one license, the greater was given later.
    sequence: i64,
    borrowed_until: Option<Moment>,
    borrow_token: String,
}

/// The receipt of a lease.
#[derive(Serialize, JsonSchema)]
pub(super) struct Receipt {
    session_id: Uuid,
    receipt: String,
}

/// A seat that came back.
#[derive(Serialize, JsonSchema)]
pub(super) struct Returned {
    session_id: Uuid,
    license_id: Uuid,
    sequence: i64,
    #[schemars(extend("enum" = ["expired", "released", "revoked", null]))]
    ending: Option<&'static str>,
    /// `null` where it could not be signed: ask again.
    return_receipt: Option<String>,
}

/// The shortest time that a seat is borrowed for; a lease covers less.
const BORROW_SECS_MIN: u64 = 3600;

/// Answers 200 with a borrow token. The seat is leased until the token ends, whatever happens meanwhile.
pub(super) async fn borrow(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
    Sent(Borrow { duration_secs }): Sent<Borrow>,
) -> Reply {
    // A heartbeat first: it says all that there is to say against the session.
    let named = SessionRef { tenant: member.tenant.clone(), subject: member.subject.clone(), id };
    let held = api.store.heartbeat(named).await??;
    let policy = api.store.policy_of(member.scope(), held.license).await?;
    let longest = policy.offline_max.unwrap_or(api.lease.offline_max).as_secs();
    if longest == 0 {
        return Err(Reason::OfflineNotAllowed.into());
    }
    if !(BORROW_SECS_MIN..=longest).contains(&duration_secs) {
        return Err(Refusal::field(
            "duration_secs",
            &format!("it is not between {BORROW_SECS_MIN} and {longest}"),
        ));
    }
    let signer = api.signer.as_ref().filter(|signer| signer.may_sign());
    let signer = signer.ok_or(Reason::SigningUnavailable)?;
    let ended = || Denial::SessionEnded(Ending::Expired);
    let reserved = api.store.reserve(member.scope(), member.subject.clone(), id, duration_secs);
    let reserved = reserved.await?.ok_or_else(ended)?;
    // No seat is taken offline without a token: it is signed first, and given out when the seat is taken.
    let token = signer.sign(Kind::Borrow, &member.tenant, &reserved).await.map_err(unsigned)?;
    if !api.store.borrow(member.scope(), reserved.clone()).await? {
        return Err(ended().into());
    }
    let borrowed = reserved;
    let body = Borrowed {
        session_id: id,
        license_id: held.license,
        sequence: borrowed.epoch,
        borrowed_until: borrowed.borrowed_until.map(Moment::from),
        borrow_token: token,
    };
    Ok(answer::json(StatusCode::OK, &body))
}

/// Answers 200 with the receipt of a live lease as it was last renewed, for whoever's answer came without one because
/// the signer was slow or down; 503 while it is.
pub(super) async fn receipt(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
    Asked(Plain {}): Asked<Plain>,
) -> Reply {
    let found = api.store.session(member.scope(), id).await?;
    let own = found.filter(|(session, _)| session.subject == member.subject.as_str());
    let (session, now) = own.ok_or(Reason::TenantAccess)?;
    if let Some(ending) = session.ending(now) {
        return Err(Denial::SessionEnded(ending).into());
    }
    let signer = api.signer.as_ref().ok_or(Reason::SigningUnavailable)?;
    let receipt = signer.sign(Kind::Lease, &member.tenant, &session).await.map_err(unsigned)?;
    Ok(answer::json(StatusCode::OK, &Receipt { session_id: id, receipt }))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unsigned(error: SigningError) -> Refusal {
    let error = error.with_causes();
    tracing::error!(error, "a request that is nothing without a signature was refused");
    Reason::SigningUnavailable.into()
}

/// Answers 200 with a return receipt; the seat is free of this session.
pub(super) async fn give_back(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Id(id): Id,
) -> Reply {
    let named = SessionRef { tenant: member.tenant.clone(), subject: member.subject.clone(), id };
    api.store.release(named).await??;
    let (session, _) = api.store.session(member.scope(), id).await?.ok_or(Reason::TenantAccess)?;
    // The seat is free with or without it; whoever gets none asks again, as returning twice is returning once.
    let receipt = match &api.signer {
        Some(signer) => signer.sign(Kind::Return, &member.tenant, &session).await.ok(),
        None => None,
    };
    let ending = session.ended.map(Ending::as_str);
    let body = Returned {
        session_id: id,
        license_id: session.license,
        sequence: session.epoch,
        ending,
        return_receipt: receipt,
    };
    Ok(answer::json(StatusCode::OK, &body))
}

/// Who comes back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reconnect {
    old_session_id: Uuid,
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[!-~]+$"))]
    hardware_id: String,
}

/// Answers 200 with the old session when it lives, 201 with a new one when its lease ran out and a seat is free, and
/// 410 when it was released or taken back.
pub(super) async fn reconnect(
    State(api): State<Api>,
    Extension(member): Extension<Member>,
    Sent(body): Sent<Reconnect>,
) -> Reply {
    let hardware = body.hardware_id.parse().map_err(wrong("hardware_id"))?;
    let found = api.store.session(member.scope(), body.old_session_id).await?;
    let own = found.filter(|(session, _)| {
        session.subject == member.subject.as_str() && session.hardware == body.hardware_id
    });
    let (old, now) = own.ok_or(Reason::TenantAccess)?;
    if let Some(ending @ (Ending::Released | Ending::Revoked)) = old.ending(now) {
        return Err(Denial::SessionEnded(ending).into());
    }
    let tenant = member.tenant.clone();
    let old = api.open(&tenant, old).await;
    let person = Person { email: old.user_email, metadata: old.metadata };
    let held = Held { tenant: &tenant, subject: &old.subject, hardware: &old.hardware };
    let person = api.seal(person, held)?;
    let wanted = Acquire {
        tenant: member.tenant,
        subject: member.subject,
        license: Named::Id(old.license),
        hardware,
        user_email: person.email,
        metadata: person.metadata,
        take_over: None,
        proven: None,
    };
    let granted = api.store.acquire(wanted).await??;
    let status = match granted.fresh {
        Fresh::New => StatusCode::CREATED,
        Fresh::Renewed => StatusCode::OK,
    };
    Ok(super::acquire::granted(&api, &tenant, granted, status).await)
}
