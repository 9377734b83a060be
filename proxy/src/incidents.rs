//! The incident desk: one thread that reads security events, writes them as JSON lines, puts them into incidents and
//! keeps those in a small transactional file of the state directory, and carries out what is done about them.
//!
//! What is decided is decided by `portcullis-incident`; here are the clock, the disk and the order: an incident and its
//! responses are on disk before anything is done and before anybody is told.

mod desk;
mod evidence;
mod hands;
mod letter;
mod license;
mod lines;
mod notify;
mod settings;
mod store;
mod tightened;
mod working;

pub use desk::{Desk, DeskGone, DeskHandle, DeskSettings};
pub use license::LicensePort;
pub use lines::{EventLines, Rotation};
pub use store::{IncidentStore, IncidentStoreError};
pub use tightened::Tightened;

pub(crate) use letter::Letter;
pub(crate) use notify::{Outcome, Sending, judge, of_error, secret};
pub(crate) use working::{ChangeRefused, INCIDENTS_MAX, LETTERS_MAX, What, Word};
