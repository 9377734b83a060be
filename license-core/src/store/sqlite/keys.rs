//! Signing keys on SQLite.

use super::{Sqlite, rows};
use crate::clock::Timestamp;
use crate::store::{Keys, SealedKey, StoreError, unavailable};
use async_trait::async_trait;

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
                        "INSERT INTO signing_key (generation, kid, public, sealed, created_at, active_at) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                    )
                    .bind(key.generation)
                    .bind(key.kid)
                    .bind(key.public)
                    .bind(key.sealed)
                    .bind(key.created_at.to_column())
                    .bind(key.active_at.to_column())
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
}
