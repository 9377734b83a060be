//! The erasure of a person: sessions get a pseudonym, kept answers and the standing go, and the audit trail keeps
//! commitments.

use super::Connection;
use crate::clock::Timestamp;
use crate::domain::audit::{ERASED_ACTOR, ERASED_DETAIL};
use crate::domain::names::SubjectId;
use crate::store::office::{ErasedSessions, Scope};
use sqlx::Row as _;
use uuid::Uuid;

pub(in crate::store) async fn erase_sessions(
    connection: &mut Connection,
    scope: &Scope,
    subject: SubjectId,
    now: Timestamp,
) -> Result<Option<ErasedSessions>, sqlx::Error> {
    let (tenant, at) = (scope.tenant.as_str(), now.to_column());
    let offline: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM session WHERE tenant_id = $1 AND subject = $2 AND ended_at IS NULL AND borrowed_until > $3",
    )
    .bind(tenant)
    .bind(subject.as_str())
    .bind(at)
    .fetch_one(&mut *connection)
    .await?;
    if offline > 0 {
        return Ok(None);
    }
    let pseudonym = format!("erased:{}", Uuid::new_v4());
    sqlx::query(
        "UPDATE session SET ended_at = CASE WHEN expires_at <= $3 THEN expires_at ELSE $3 END, \
         ending = CASE WHEN expires_at <= $3 THEN 'expired' ELSE 'revoked' END \
         WHERE tenant_id = $1 AND subject = $2 AND ended_at IS NULL",
    )
    .bind(tenant)
    .bind(subject.as_str())
    .bind(at)
    .execute(&mut *connection)
    .await?;
    let sessions = sqlx::query(
        "UPDATE session SET subject = $3, hardware = 'erased', holder = $3, user_email = NULL, metadata = '{}' \
         WHERE tenant_id = $1 AND subject = $2",
    )
    .bind(tenant)
    .bind(subject.as_str())
    .bind(&pseudonym)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    for forget in [
        "DELETE FROM idempotency WHERE tenant_id = $1 AND subject = $2",
        "DELETE FROM subject WHERE tenant_id = $1 AND id = $2",
    ] {
        sqlx::query(forget).bind(tenant).bind(subject.as_str()).execute(&mut *connection).await?;
    }
    Ok(Some(ErasedSessions { pseudonym, sessions }))
}

pub(in crate::store) async fn erase_events(
    connection: &mut Connection,
    scope: &Scope,
    subject: SubjectId,
    pseudonym: String,
    now: Timestamp,
) -> Result<(u64, u64), sqlx::Error> {
    let tenant = scope.tenant.as_str();
    let (mut named, mut kept) = (vec![], 0);
    // What others did to the person names it in its details.
    let found = sqlx::query(
        "SELECT id, actor, kind, detail, commitment FROM audit_event WHERE tenant_id = $1 AND position IS NOT NULL \
         AND (actor = $2 OR kind LIKE 'subject.%') AND kind <> 'audit.retained'",
    )
    .bind(tenant)
    .bind(subject.as_str())
    .fetch_all(&mut *connection)
    .await?;
    for row in &found {
        let (actor, detail): (&str, &str) = (row.try_get("actor")?, row.try_get("detail")?);
        let about = serde_json::from_str::<serde_json::Value>(detail).ok();
        let is_about = about.is_some_and(|about| {
            about.get("subject").and_then(serde_json::Value::as_str) == Some(subject.as_str())
        });
        if actor != subject.as_str() && !is_about {
            continue;
        }
        match row.try_get::<Option<Vec<u8>>, _>("commitment")? {
            Some(_) => named.push(row.try_get::<i64, _>("id")?),
            // Linked before there were commitments: to change it would break the chain.
            None => kept += 1,
        }
    }
    for id in &named {
        sqlx::query(
            "UPDATE audit_event SET actor = $3, detail = $4, salt = NULL WHERE tenant_id = $1 AND id = $2",
        )
        .bind(tenant)
        .bind(id)
        .bind(ERASED_ACTOR)
        .bind(ERASED_DETAIL)
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query(
        "INSERT INTO audit_event (tenant_id, at, kind, actor, detail) VALUES ($1, $2, 'subject.erased', $3, $4)",
    )
    .bind(tenant)
    .bind(now.to_column())
    .bind(if scope.actor == subject.as_str() { ERASED_ACTOR } else { &scope.actor })
    .bind(serde_json::json!({ "subject": pseudonym }).to_string())
    .execute(connection)
    .await?;
    Ok((u64::try_from(named.len()).unwrap_or(u64::MAX), kept))
}
