//! From rows to the domain, for either database. What this program never writes is refused, not guessed.

use sqlx::Error;

/// The columns that `license` reads.
macro_rules! license_columns {
    () => {
        "l.tenant_id, l.id, l.name, l.product, l.seats, l.leasing, l.standing, l.expires_at, \
         l.created_at, l.revision, l.policy, l.burst_seats, l.burst_until"
    };
}
/// The columns that `session` reads: of session `s`, or with no name before them where a statement knows but one table.
macro_rules! session_columns {
    () => {
        session_columns!("s.")
    };
    ($of:literal) => {
        concat!(
            $of,
            "id, ",
            $of,
            "license_id, ",
            $of,
            "subject, ",
            $of,
            "hardware, ",
            $of,
            "user_email, ",
            $of,
            "metadata, ",
            $of,
            "epoch, ",
            $of,
            "started_at, ",
            $of,
            "last_heartbeat_at, ",
            $of,
            "expires_at, ",
            $of,
            "ending, ",
            $of,
            "borrowed_until"
        )
    };
}
/// The columns that `policy` reads: of policy `p`, which need not be there.
macro_rules! policy_columns {
    () => {
        "p.ttl_secs, p.age_max_secs, p.offline_max_secs, coalesce(p.overdraft_percent, 0) AS overdraft_percent, \
         coalesce(p.take_over, 'never') AS take_over, coalesce(p.expiry, 'restrict') AS expiry, \
         coalesce(p.queue, 0) AS queue"
    };
}
/// The columns that `footing` reads: of tenant `t`, license `l` and, when there are such, subject `u` and policy `p`.
macro_rules! footing_columns {
    () => {
        concat!(
            "t.standing AS tenant_standing, l.standing AS license_standing, l.expires_at AS license_expires_at, \
             coalesce(u.standing, 'active') AS subject_standing, ",
            policy_columns!()
        )
    };
}
/// The columns that `event` reads.
macro_rules! audit_columns {
    () => {
        "id, at, kind, actor, license_id, session_id, detail, salt, commitment"
    };
}
/// Defines the readers for one database's kind of row.
macro_rules! readers {
    ($Row:ty) => {
        use crate::clock::Timestamp;
        use crate::domain::audit::{Event, Head, Linked, Veil};
        use crate::domain::denial::Ending;
        use crate::domain::lease::Session;
        use crate::domain::license::{Footing, Leasing, License, Standing};
        use crate::domain::policy::{Expiry, Policy, TakeOver};
        use crate::signing::{Algorithm, Use};
        use crate::store::rows::{count, foreign};
        use crate::store::{SealedKey, Seats};
        use sqlx::Row as _;
        use std::time::Duration;
        use uuid::Uuid;

        /// Reads the columns of `footing_columns`.
        pub(in crate::store) fn footing(row: &$Row) -> Result<Footing, sqlx::Error> {
            Ok(Footing {
                tenant: standing(row, "tenant_standing")?,
                license: standing(row, "license_standing")?,
                license_expires_at: row
                    .try_get::<Option<i64>, _>("license_expires_at")?
                    .map(Timestamp::from_column),
                subject: standing(row, "subject_standing")?,
                policy: policy(row)?,
            })
        }

        /// Reads the columns of `policy_columns`.
        pub(in crate::store) fn policy(row: &$Row) -> Result<Policy, sqlx::Error> {
            let secs = |column| {
                let secs = row.try_get::<Option<i64>, _>(column)?;
                Ok::<_, sqlx::Error>(
                    secs.map(|secs| Duration::from_secs(u64::try_from(secs).unwrap_or(0))),
                )
            };
            Ok(Policy {
                ttl: secs("ttl_secs")?,
                age_max: secs("age_max_secs")?,
                offline_max: secs("offline_max_secs")?,
                overdraft_percent: count(row.try_get("overdraft_percent")?)?,
                take_over: TakeOver::from_column(row.try_get("take_over")?)
                    .ok_or_else(|| foreign("take_over"))?,
                expiry: Expiry::from_column(row.try_get("expiry")?)
                    .ok_or_else(|| foreign("expiry"))?,
                queue: row.try_get::<i64, _>("queue")? != 0,
            })
        }

        /// Reads the columns of `license_columns`.
        pub(in crate::store) fn license(row: &$Row) -> Result<License, sqlx::Error> {
            Ok(License {
                id: uuid(row, "id")?,
                tenant: row
                    .try_get::<&str, _>("tenant_id")?
                    .parse()
                    .map_err(|_| foreign("tenant_id"))?,
                name: row.try_get("name")?,
                product: row.try_get("product")?,
                seats: count(row.try_get("seats")?)?,
                leasing: Leasing::from_column(row.try_get("leasing")?)
                    .ok_or_else(|| foreign("leasing"))?,
                standing: standing(row, "standing")?,
                expires_at: row
                    .try_get::<Option<i64>, _>("expires_at")?
                    .map(Timestamp::from_column),
                created_at: time(row, "created_at")?,
                revision: row.try_get("revision")?,
                policy: row.try_get("policy")?,
                burst_seats: count(row.try_get("burst_seats")?)?,
                burst_until: time(row, "burst_until")?,
            })
        }

        /// Reads the columns of `license_columns`, and how many seats are leased from `used`.
        pub(in crate::store) fn license_with_seats(
            row: &$Row,
            now: Timestamp,
        ) -> Result<(License, Seats), sqlx::Error> {
            let license = license(row)?;
            let total = license.seats_at(now);
            let seats = Seats { used: count(row.try_get("used")?)?, total };
            Ok((license, seats))
        }

        /// Reads the columns of `session_columns`.
        pub(in crate::store) fn session(row: &$Row) -> Result<Session, sqlx::Error> {
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
                borrowed_until: row
                    .try_get::<Option<i64>, _>("borrowed_until")?
                    .map(Timestamp::from_column),
            })
        }

        /// Reads a row of `signing_key`.
        pub(in crate::store) fn signing_key(row: &$Row) -> Result<SealedKey, sqlx::Error> {
            let algorithm = Algorithm::from_name(row.try_get("algorithm")?)
                .ok_or_else(|| foreign("algorithm"))?;
            Ok(SealedKey {
                generation: row.try_get("generation")?,
                algorithm,
                usage: Use::from_column(row.try_get("usage")?, algorithm)
                    .ok_or_else(|| foreign("usage"))?,
                kid: row.try_get("kid")?,
                public: row.try_get("public")?,
                sealed: row.try_get("sealed")?,
                created_at: time(row, "created_at")?,
                active_at: time(row, "active_at")?,
                revoked_at: row
                    .try_get::<Option<i64>, _>("revoked_at")?
                    .map(Timestamp::from_column),
            })
        }

        /// Reads the columns of `audit_columns`.
        pub(in crate::store) fn event(row: &$Row) -> Result<Event, sqlx::Error> {
            Ok(Event {
                id: row.try_get("id")?,
                at: row.try_get("at")?,
                kind: row.try_get("kind")?,
                actor: row.try_get("actor")?,
                license: row.try_get("license_id")?,
                session: row.try_get("session_id")?,
                detail: row.try_get("detail")?,
                veil: match row.try_get::<Option<Vec<u8>>, _>("commitment")? {
                    None => None,
                    Some(commitment) => Some(Veil {
                        salt: row.try_get("salt")?,
                        commitment: commitment.try_into().map_err(|_| foreign("commitment"))?,
                    }),
                },
            })
        }

        /// Reads an event's place.
        pub(in crate::store) fn head(row: &$Row) -> Result<Head, sqlx::Error> {
            let hash: Vec<u8> = row.try_get("hash")?;
            Ok(Head {
                position: row.try_get("position")?,
                hash: hash.try_into().map_err(|_| foreign("hash"))?,
            })
        }

        /// Reads the columns of `audit_columns` and the event's place.
        pub(in crate::store) fn linked(row: &$Row) -> Result<Linked, sqlx::Error> {
            Ok(Linked { event: event(row)?, head: head(row)? })
        }

        /// Reads a standing.
        pub(in crate::store) fn standing(
            row: &$Row,
            column: &'static str,
        ) -> Result<Standing, sqlx::Error> {
            Standing::from_column(row.try_get(column)?).ok_or_else(|| foreign(column))
        }

        fn uuid(row: &$Row, column: &'static str) -> Result<Uuid, sqlx::Error> {
            row.try_get::<&str, _>(column)?.parse().map_err(|_| foreign(column))
        }

        fn time(row: &$Row, column: &'static str) -> Result<Timestamp, sqlx::Error> {
            row.try_get(column).map(Timestamp::from_column)
        }
    };
}

pub(super) use {
    audit_columns, footing_columns, license_columns, policy_columns, readers, session_columns,
};

/// Reads a count from a column.
pub(super) fn count(column: i64) -> Result<u32, Error> {
    u32::try_from(column).map_err(|_| foreign("count"))
}

/// A column holds what this program never writes.
pub(super) fn foreign(column: &'static str) -> Error {
    Error::ColumnDecode {
        index: column.to_owned(),
        source: "not a value that this program writes".into(),
    }
}
