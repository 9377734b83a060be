//! The readers for SQLite's rows.

crate::store::rows::readers!(sqlx::sqlite::SqliteRow);
