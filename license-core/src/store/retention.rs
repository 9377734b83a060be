//! What is forgotten by age, over all tenants and in bounded batches.
//!
//! The audit trail goes up to the head of a signed checkpoint that is old enough: that head is where the chain begins
//! from then on, and an event in the chain itself (`audit.retained`) tells of it, so that nobody can take away the
//! beginning unseen (`service/audit.rs`).

use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{StoreError, unavailable};
use crate::clock::Timestamp;
use async_trait::async_trait;
use sqlx::SqliteConnection;
use std::time::Duration;

/// The kind of the event that tells where a chain begins.
pub(crate) const RETAINED: &str = "audit.retained";

/// A class of data that is forgotten by its age.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DataClass {
    /// Events of the audit trail, and their checkpoints.
    Audit,
    /// Sessions, by their end.
    Sessions,
    /// How often seats were denied, by its hour.
    Denials,
    /// Answers that repeated requests get again.
    Answers,
}

impl DataClass {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Audit, Self::Sessions, Self::Denials, Self::Answers];

    /// Returns the word of the settings and of the metric's label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Sessions => "sessions",
            Self::Denials => "denials",
            Self::Answers => "answers",
        }
    }
}

/// What forgets.
#[async_trait]
pub(crate) trait Forgets: Send + Sync {
    /// Forgets at most `limit` rows of this class that are older than `age`, and returns how many it forgot.
    async fn forget(&self, class: DataClass, age: Duration, limit: u32) -> Result<u64, StoreError>;
}

#[async_trait]
impl Forgets for Postgres {
    async fn forget(&self, class: DataClass, age: Duration, limit: u32) -> Result<u64, StoreError> {
        let statement = match class {
            DataClass::Audit => "SELECT forget_audit($1, $2)",
            DataClass::Sessions => "SELECT forget_sessions($1, $2)",
            DataClass::Denials => "SELECT forget_denials($1, $2)",
            DataClass::Answers => "SELECT forget_answers($1, $2)",
        };
        let forgotten: i64 = sqlx::query_scalar(statement)
            .bind(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(u64::try_from(forgotten).unwrap_or(0))
    }
}

#[async_trait]
impl Forgets for Sqlite {
    async fn forget(&self, class: DataClass, age: Duration, limit: u32) -> Result<u64, StoreError> {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        self.writer
            .write(move |connection, now| {
                let before = now.to_column().saturating_sub(age);
                Box::pin(async move {
                    if class == DataClass::Audit {
                        begin_anew(connection, before, now).await?;
                    }
                    delete(connection, class, before, limit).await
                })
            })
            .await
    }
}

/// Moves the beginnings of chains, once a day at most and where more than such moves would go, and tells of it in the
/// chain itself.
async fn begin_anew(
    connection: &mut SqliteConnection,
    before: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let due: Vec<(String, i64, Vec<u8>, i64)> = sqlx::query_as(
        "SELECT c.tenant_id, c.position, c.hash, c.at FROM checkpoint c \
         LEFT JOIN audit_beginning o ON o.tenant_id = c.tenant_id WHERE c.at <= ?1 \
         AND c.position = (SELECT max(n.position) FROM checkpoint n WHERE n.tenant_id = c.tenant_id AND n.at <= ?1) \
         AND c.position > coalesce(o.position, 0) AND c.at >= coalesce(o.at + 86400000, 0) \
         AND EXISTS (SELECT 1 FROM audit_event e WHERE e.tenant_id = c.tenant_id \
             AND e.position > coalesce(o.position, 0) AND e.position <= c.position AND e.kind <> ?2)",
    )
    .bind(before)
    .bind(RETAINED)
    .fetch_all(&mut *connection)
    .await?;
    for (tenant, position, hash, at) in due {
        let through: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        sqlx::query(
            "INSERT INTO audit_beginning (tenant_id, position, hash, at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (tenant_id) DO UPDATE SET position = excluded.position, hash = excluded.hash, at = excluded.at",
        )
        .bind(&tenant)
        .bind(position)
        .bind(hash)
        .bind(at)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO audit_event (tenant_id, at, kind, actor, detail) VALUES (?1, ?2, ?3, 'service', ?4)",
        )
        .bind(tenant)
        .bind(now.to_column())
        .bind(RETAINED)
        .bind(serde_json::json!({ "through": format!("{position}:{through}") }).to_string())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn delete(
    connection: &mut SqliteConnection,
    class: DataClass,
    before: i64,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let statement = match class {
        // Where chains begin says what goes, and `?1` nothing.
        DataClass::Audit => {
            "DELETE FROM audit_event WHERE id IN (SELECT e.id FROM audit_beginning b CROSS JOIN audit_event e \
             WHERE e.tenant_id = b.tenant_id AND e.position < b.position AND ?1 IS NOT NULL LIMIT ?2)"
        }
        DataClass::Sessions => {
            "DELETE FROM session WHERE rowid IN (SELECT rowid FROM session \
             WHERE ended_at IS NOT NULL AND ended_at < ?1 ORDER BY ended_at LIMIT ?2)"
        }
        DataClass::Denials => {
            "DELETE FROM denial WHERE rowid IN (SELECT rowid FROM denial WHERE hour < ?1 ORDER BY hour LIMIT ?2)"
        }
        DataClass::Answers => {
            "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency \
             WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)"
        }
    };
    let forgotten =
        sqlx::query(statement).bind(before).bind(limit).execute(&mut *connection).await?;
    if class == DataClass::Audit {
        sqlx::query(
            "DELETE FROM checkpoint WHERE rowid IN (SELECT c.rowid FROM audit_beginning b CROSS JOIN checkpoint c \
             WHERE c.tenant_id = b.tenant_id AND c.position < b.position LIMIT ?1)",
        )
        .bind(limit)
        .execute(connection)
        .await?;
    }
    Ok(forgotten.rows_affected())
}
