//! Bans that survive a restart: a small transactional file in the state directory, written as soon as the list changes.
//!
//! `State` knows nothing of files. A keeper thread compares its ban list with what is stored and writes the difference
//! in one transaction, so that a process killed at any moment leaves a whole list behind.

mod keeper;
mod store;

pub use keeper::BanKeeper;
pub use store::{BanStore, StoreError};
