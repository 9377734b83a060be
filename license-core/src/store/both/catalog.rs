//! Products.

use super::Connection;
use crate::clock::Timestamp;
use crate::domain::names::LicenseName;
use crate::store::office::{Kept, Page, Product, Scope};
use sqlx::Row as _;

pub(in crate::store) async fn products(
    connection: &mut Connection,
    scope: &Scope,
    page: Page,
    _now: Timestamp,
) -> Result<Vec<Product>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT name, description, created_at FROM product WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3",
    )
    .bind(scope.tenant.as_str())
    .bind(page.after)
    .bind(i64::from(page.limit))
    .fetch_all(connection)
    .await?;
    let read = |row| read(row);
    found.iter().map(read).collect()
}

fn read(
    row: &<<Connection as sqlx::Connection>::Database as sqlx::Database>::Row,
) -> Result<Product, sqlx::Error> {
    Ok(Product {
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        created_at: Timestamp::from_column(row.try_get("created_at")?),
    })
}

pub(in crate::store) async fn product(
    connection: &mut Connection,
    scope: &Scope,
    name: LicenseName,
    _now: Timestamp,
) -> Result<Option<Product>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT name, description, created_at FROM product WHERE tenant_id = $1 AND name = $2",
    )
    .bind(scope.tenant.as_str())
    .bind(name.as_str())
    .fetch_optional(connection)
    .await?;
    found.as_ref().map(read).transpose()
}

pub(in crate::store) async fn put_product(
    connection: &mut Connection,
    scope: &Scope,
    name: LicenseName,
    description: String,
    now: Timestamp,
) -> Result<Option<bool>, sqlx::Error> {
    let made = sqlx::query(
        "INSERT INTO product (tenant_id, name, description, created_at) SELECT id, $2, $3, $4 FROM tenant WHERE id = $1 \
         ON CONFLICT DO NOTHING",
    )
    .bind(scope.tenant.as_str())
    .bind(name.as_str())
    .bind(&description)
    .bind(now.to_column())
    .execute(&mut *connection)
    .await?;
    if made.rows_affected() > 0 {
        return Ok(Some(true));
    }
    let described =
        sqlx::query("UPDATE product SET description = $3 WHERE tenant_id = $1 AND name = $2")
            .bind(scope.tenant.as_str())
            .bind(name.as_str())
            .bind(&description)
            .execute(connection)
            .await?;
    Ok((described.rows_affected() > 0).then_some(false))
}

pub(in crate::store) async fn delete_product(
    connection: &mut Connection,
    scope: &Scope,
    name: LicenseName,
    _now: Timestamp,
) -> Result<Result<(), Kept>, sqlx::Error> {
    let gone = sqlx::query(
        "DELETE FROM product WHERE tenant_id = $1 AND name = $2 \
         AND NOT EXISTS (SELECT 1 FROM license l WHERE l.tenant_id = $1 AND l.product = $2)",
    )
    .bind(scope.tenant.as_str())
    .bind(name.as_str())
    .execute(&mut *connection)
    .await?;
    if gone.rows_affected() > 0 {
        return Ok(Ok(()));
    }
    let there: Option<String> =
        sqlx::query_scalar("SELECT name FROM product WHERE tenant_id = $1 AND name = $2")
            .bind(scope.tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(connection)
            .await?;
    Ok(Err(if there.is_some() { Kept::InUse } else { Kept::Missing }))
}
