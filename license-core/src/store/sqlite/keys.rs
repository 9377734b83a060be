//! Signing keys on SQLite.

use super::{Sqlite, rows};
use crate::clock::Timestamp;
use crate::store::rows::count;
use crate::store::{Keys, SealedKey, StoreError, Stranded, unavailable};
use async_trait::async_trait;
use sqlx::Row as _;

#[async_trait]
impl Keys for Sqlite {
    async fn signing_keys(&self) -> Result<(Vec<SealedKey>, Timestamp), StoreError> {
        let found = sqlx::query("SELECT * FROM signing_key")
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        let keys =
            found.iter().map(rows::signing_key).collect::<Result<_, _>>().map_err(unavailable)?;
        Ok((keys, self.clock.now()))
    }

    async fn add_signing_key(&self, key: SealedKey) -> Result<bool, StoreError> {
        self.writer
            .write(move |connection, _| {
                Box::pin(async move {
                    let added = sqlx::query(
                        "INSERT INTO signing_key (generation, kid, public, sealed, created_at, active_at, algorithm, usage) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
                    )
                    .bind(key.generation)
                    .bind(key.kid)
                    .bind(key.public)
                    .bind(key.sealed)
                    .bind(key.created_at.to_column())
                    .bind(key.active_at.to_column())
        .bind(key.algorithm.as_str())
        .bind(key.usage.as_str())
                    .execute(connection)
                    .await?;
                    Ok(added.rows_affected() > 0)
                })
            })
            .await
    }

    async fn revoke_signing_key(&self, kid: String) -> Result<bool, StoreError> {
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let revoked =
                        sqlx::query("UPDATE signing_key SET revoked_at = ?2 WHERE kid = ?1 AND revoked_at IS NULL")
                            .bind(kid)
                            .bind(now.to_column())
                            .execute(connection)
                            .await?;
                    Ok(revoked.rows_affected() > 0)
                })
            })
            .await
    }

    async fn signed_between(&self, from: Timestamp, to: Timestamp) -> Result<Stranded, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM session s WHERE s.ended_at IS NULL AND s.expires_at > ?3 \
              AND s.last_heartbeat_at >= ?1 AND s.last_heartbeat_at < ?2) AS receipts, \
             (SELECT count(*) FROM session s WHERE s.ended_at IS NULL AND s.borrowed_until > ?3 \
              AND EXISTS (SELECT 1 FROM audit_event e WHERE e.tenant_id = s.tenant_id AND e.session_id = s.id \
                          AND e.kind = 'seat.borrowed' AND e.at >= ?1 AND e.at < ?2)) AS tokens",
        )
        .bind(from.to_column())
        .bind(to.to_column())
        .bind(self.clock.now().to_column())
        .fetch_one(&self.readers)
        .await
        .map_err(unavailable)?;
        stranded(&row).map_err(unavailable)
    }
}

fn stranded(row: &sqlx::sqlite::SqliteRow) -> Result<Stranded, sqlx::Error> {
    Ok(Stranded {
        receipts: count(row.try_get("receipts")?)?,
        borrow_tokens: count(row.try_get("tokens")?)?,
    })
}
