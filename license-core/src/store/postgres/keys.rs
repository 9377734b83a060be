//! Signing keys on PostgreSQL.

use super::{Postgres, rows};
use crate::clock::Timestamp;
use crate::store::rows::count;
use crate::store::{Keys, SealedKey, StoreError, Stranded, unavailable};
use async_trait::async_trait;
use sqlx::Row as _;

#[async_trait]
impl Keys for Postgres {
    async fn signing_keys(&self) -> Result<(Vec<SealedKey>, Timestamp), StoreError> {
        let found = sqlx::query("SELECT * FROM signing_key")
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        let keys =
            found.iter().map(rows::signing_key).collect::<Result<_, _>>().map_err(unavailable)?;
        let now: i64 = sqlx::query_scalar("SELECT now_ms()")
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok((keys, Timestamp::from_column(now)))
    }

    async fn add_signing_key(&self, key: SealedKey) -> Result<bool, StoreError> {
        let added = sqlx::query(
            "INSERT INTO signing_key (generation, kid, public, sealed, created_at, active_at, algorithm, usage) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(key.generation)
        .bind(key.kid)
        .bind(key.public)
        .bind(key.sealed)
        .bind(key.created_at.to_column())
        .bind(key.active_at.to_column())
        .bind(key.algorithm.as_str())
        .bind(key.usage.as_str())
        .execute(&self.pool)
        .await
        .map_err(unavailable)?;
        Ok(added.rows_affected() > 0)
    }

    async fn revoke_signing_key(&self, kid: String) -> Result<bool, StoreError> {
        let revoked = sqlx::query(
            "UPDATE signing_key SET revoked_at = now_ms() WHERE kid = $1 AND revoked_at IS NULL",
        )
        .bind(kid)
        .execute(&self.pool)
        .await
        .map_err(unavailable)?;
        Ok(revoked.rows_affected() > 0)
    }

    async fn signed_between(&self, from: Timestamp, to: Timestamp) -> Result<Stranded, StoreError> {
        let row = sqlx::query("SELECT receipts, tokens FROM stranded($1, $2)")
            .bind(from.to_column())
            .bind(to.to_column())
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        stranded(&row).map_err(unavailable)
    }
}

fn stranded(row: &sqlx::postgres::PgRow) -> Result<Stranded, sqlx::Error> {
    Ok(Stranded {
        receipts: count(row.try_get("receipts")?)?,
        borrow_tokens: count(row.try_get("tokens")?)?,
    })
}
