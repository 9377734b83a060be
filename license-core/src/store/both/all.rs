//! The statements that both databases run as they stand: this folder is compiled once for each, against its own kind of
//! connection and rows.

pub(in crate::store) mod catalog;
pub(in crate::store) mod checkpoints;
pub(in crate::store) mod erasure;
pub(in crate::store) mod idempotency;
pub(in crate::store) mod licenses;
pub(in crate::store) mod people;
pub(in crate::store) mod personal;
pub(in crate::store) mod policies;
pub(in crate::store) mod reports;
pub(in crate::store) mod seating;
pub(in crate::store) mod sessions;
pub(in crate::store) mod webhooks;

pub(super) use super::{Connection, act_as_in, rows};
