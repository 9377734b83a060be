//! The one function of `check`, start-up and reload: from what the operator wrote to a snapshot, or every error at once.

mod certificates;
mod sources;
