//! From rows to the domain. What this program never writes is refused, not guessed.

use crate::clock::Timestamp;
use crate::domain::denial::Ending;
use crate::domain::lease::Session;
use crate::domain::license::{Footing, Leasing, License, Standing};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

/// The columns that [`license`] reads.
macro_rules! license_columns {
    () => {
        "l.tenant_id, l.id, l.name, l.product, l.seats, l.leasing, l.standing, l.expires_at, l.created_at"
    };
}
/// The columns that [`session`] reads.
macro_rules! session_columns {
    () => {
        "s.id, s.license_id, s.subject, s.hardware, s.user_email, s.metadata, s.epoch, s.started_at, \
         s.last_heartbeat_at, s.expires_at, s.ending"
    };
}
/// The columns that [`footing`] reads: of tenant `t`, license `l` and, when there is one, subject `u`.
macro_rules! footing_columns {
    () => {
        "t.standing AS tenant_standing, l.standing AS license_standing, l.expires_at AS license_expires_at, \
         coalesce(u.standing, 'active') AS subject_standing"
    };
}
pub(super) use {footing_columns, license_columns, session_columns};

/// Reads the columns of `footing_columns`.
pub(super) fn footing(row: &SqliteRow) -> Result<Footing, sqlx::Error> {
    Ok(Footing {
        tenant: standing(row, "tenant_standing")?,
        license: standing(row, "license_standing")?,
        license_expires_at: row
            .try_get::<Option<i64>, _>("license_expires_at")?
            .map(Timestamp::from_column),
        subject: standing(row, "subject_standing")?,
    })
}

/// Reads the columns of `license_columns`.
pub(super) fn license(row: &SqliteRow) -> Result<License, sqlx::Error> {
    Ok(License {
        id: uuid(row, "id")?,
        tenant: row.try_get::<&str, _>("tenant_id")?.parse().map_err(|_| foreign("tenant_id"))?,
        name: row.try_get("name")?,
        product: row.try_get("product")?,
        seats: row.try_get("seats")?,
        leasing: Leasing::from_column(row.try_get("leasing")?).ok_or_else(|| foreign("leasing"))?,
        standing: standing(row, "standing")?,
        expires_at: row.try_get::<Option<i64>, _>("expires_at")?.map(Timestamp::from_column),
        created_at: time(row, "created_at")?,
    })
}

/// Reads the columns of `session_columns`.
pub(super) fn session(row: &SqliteRow) -> Result<Session, sqlx::Error> {
    let ending: Option<&str> = row.try_get("ending")?;
    Ok(Session {
        id: uuid(row, "id")?,
        license: uuid(row, "license_id")?,
        subject: row.try_get("subject")?,
        hardware: row.try_get("hardware")?,
        user_email: row.try_get("user_email")?,
        metadata: serde_json::from_str(row.try_get("metadata")?)
            .map_err(|_| foreign("metadata"))?,
        epoch: row.try_get("epoch")?,
        started_at: time(row, "started_at")?,
        last_heartbeat_at: time(row, "last_heartbeat_at")?,
        expires_at: time(row, "expires_at")?,
        ended: ending
            .map(|word| Ending::from_column(word).ok_or_else(|| foreign("ending")))
            .transpose()?,
    })
}

fn standing(row: &SqliteRow, column: &'static str) -> Result<Standing, sqlx::Error> {
    Standing::from_column(row.try_get(column)?).ok_or_else(|| foreign(column))
}

fn uuid(row: &SqliteRow, column: &'static str) -> Result<Uuid, sqlx::Error> {
    row.try_get::<&str, _>(column)?.parse().map_err(|_| foreign(column))
}

fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, sqlx::Error> {
    row.try_get(column).map(Timestamp::from_column)
}

fn foreign(column: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "not a value that this program writes".into(),
    }
}
