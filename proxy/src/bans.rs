//! Bans that survive a restart, and who is spared: a small transactional file in the state directory, written as soon as
//! the lists change.
//!
//! `State` knows nothing of files. A keeper thread compares its ban list with what is stored and writes the difference
//! in one transaction, so that a process killed at any moment leaves a whole list behind. What an operator changes is
//! on disk before it is answered.

mod allowed;
mod keeper;
mod row;
mod store;

pub use allowed::{AllowEntry, AllowRefused, Allowances, apply, spares};
pub use keeper::BanKeeper;
pub use store::{BanStore, StoreError};
