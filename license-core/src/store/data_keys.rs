//! The data keys that personal data is sealed under. They are no tenant's.

use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{StoreError, unavailable};
use crate::domain::names::TenantId;
use async_trait::async_trait;

/// A data key as the store holds it: sealed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct DataKey {
    pub(crate) generation: i64,
    pub(crate) sealed: String,
    /// How long its successor has been there; `None` while it has none.
    pub(crate) followed_for_ms: Option<i64>,
}

/// Where data keys are kept.
#[async_trait]
pub(crate) trait DataKeys: Send + Sync {
    /// Returns all data keys by generation.
    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError>;
    /// Adds a data key, unless there is one of its generation.
    async fn add_data_key(&self, generation: i64, sealed: String) -> Result<(), StoreError>;
    /// Writes a data key down sealed anew.
    async fn rewrap_data_key(&self, generation: i64, sealed: String) -> Result<(), StoreError>;
    /// Forgets a data key for good.
    async fn drop_data_key(&self, generation: i64) -> Result<(), StoreError>;
    /// Lists all tenants after one, at most 1000.
    async fn tenants_after(&self, after: String) -> Result<Vec<TenantId>, StoreError>;
}

/// Both databases run the same statements.
const LIST: &str = "SELECT k.generation, k.sealed, \
     $1 - (SELECT min(n.created_at) FROM data_key n WHERE n.generation > k.generation) AS followed_for_ms \
     FROM data_key k ORDER BY k.generation";
const ADD: &str = "INSERT INTO data_key (generation, sealed, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const REWRAP: &str = "UPDATE data_key SET sealed = $2 WHERE generation = $1";
const DROP: &str = "DELETE FROM data_key WHERE generation = $1";

#[async_trait]
impl DataKeys for Sqlite {
    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        let now = super::Leases::now(self).await?.to_column();
        sqlx::query_as(LIST).bind(now).fetch_all(&self.readers).await.map_err(unavailable)
    }

    async fn add_data_key(&self, generation: i64, sealed: String) -> Result<(), StoreError> {
        self.writer
            .write(move |connection, now| {
                Box::pin(async move {
                    let add = sqlx::query(ADD).bind(generation).bind(sealed).bind(now.to_column());
                    add.execute(connection).await.map(drop)
                })
            })
            .await
    }

    async fn rewrap_data_key(&self, generation: i64, sealed: String) -> Result<(), StoreError> {
        self.writer
            .write(move |connection, _| {
                Box::pin(async move {
                    let rewrap = sqlx::query(REWRAP).bind(generation).bind(sealed);
                    rewrap.execute(connection).await.map(drop)
                })
            })
            .await
    }

    async fn drop_data_key(&self, generation: i64) -> Result<(), StoreError> {
        self.writer
            .write(move |connection, _| {
                Box::pin(async move {
                    sqlx::query(DROP).bind(generation).execute(connection).await.map(drop)
                })
            })
            .await
    }

    async fn tenants_after(&self, after: String) -> Result<Vec<TenantId>, StoreError> {
        let found =
            sqlx::query_scalar("SELECT id FROM tenant WHERE id > $1 ORDER BY id LIMIT 1000")
                .bind(after)
                .fetch_all(&self.readers)
                .await;
        Ok(tenants(&found.map_err(unavailable)?))
    }
}

#[async_trait]
impl DataKeys for Postgres {
    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        let now = super::Leases::now(self).await?.to_column();
        sqlx::query_as(LIST).bind(now).fetch_all(&self.pool).await.map_err(unavailable)
    }

    async fn add_data_key(&self, generation: i64, sealed: String) -> Result<(), StoreError> {
        let now = super::Leases::now(self).await?.to_column();
        let add = sqlx::query(ADD).bind(generation).bind(sealed).bind(now);
        add.execute(&self.pool).await.map(drop).map_err(unavailable)
    }

    async fn rewrap_data_key(&self, generation: i64, sealed: String) -> Result<(), StoreError> {
        let rewrap = sqlx::query(REWRAP).bind(generation).bind(sealed);
        rewrap.execute(&self.pool).await.map(drop).map_err(unavailable)
    }

    async fn drop_data_key(&self, generation: i64) -> Result<(), StoreError> {
        let dropped = sqlx::query(DROP).bind(generation).execute(&self.pool).await;
        dropped.map(drop).map_err(unavailable)
    }

    async fn tenants_after(&self, after: String) -> Result<Vec<TenantId>, StoreError> {
        let found = sqlx::query_scalar("SELECT tenants_after($1)").bind(after);
        Ok(tenants(&found.fetch_all(&self.pool).await.map_err(unavailable)?))
    }
}

fn tenants(found: &[String]) -> Vec<TenantId> {
    found.iter().filter_map(|tenant| tenant.parse().ok()).collect()
}
