//! The readers for PostgreSQL's rows.

crate::store::rows::readers!(sqlx::postgres::PgRow);
