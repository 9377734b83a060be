//! The incident desk: one thread that reads security events, writes them as JSON lines, puts them into incidents and
//! keeps those in a small transactional file of the state directory.
//!
//! What is decided is decided by `portcullis-incident`; here are the clock, the disk and the order: an incident is on
//! disk before anything is done about it and before anybody is told.

mod desk;
mod lines;
mod store;

pub use desk::{Desk, DeskGone, DeskHandle, DeskSettings};
pub use lines::{EventLines, Rotation};
pub use store::{IncidentStore, IncidentStoreError};

pub(crate) use desk::{ChangeRefused, INCIDENTS_MAX, What, Word};
