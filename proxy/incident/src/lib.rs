//! Pure: security events in, correlated incidents and actions out. It knows no network, no file and no clock: events
//! are handed in, `now` is an argument, and whatever is to be done comes back as a value.
//!
//! An [`Event`] goes through the [`Detectors`], which may raise further ones; each goes to the [`Correlator`], which
//! puts it into an [`Incident`]; the [`Responder`] plans what is done about it, and a [`Notice`] says who is told.

pub mod category;
pub mod correlator;
#[cfg(test)]
mod day;
pub mod detector;
pub mod event;
pub mod export;
pub mod incident;
mod mask;
pub mod notice;
pub mod response;
pub mod source;
mod stored;
pub mod travel;

pub use category::{Category, Priority};
pub use correlator::{Change, ChangeKind, Correlator, Numbered};
pub use detector::{Detectors, Scenario};
pub use event::{Breach, Event};
pub use incident::Incident;
pub use mask::is_secret_name;
pub use notice::Notice;
pub use response::{Action, ActionKind, PlanRule, Responder, Response, ResponseSettings};
pub use stored::BadRecord;
