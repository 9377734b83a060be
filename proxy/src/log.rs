//! The request log: what one line says, and how lines leave the worker. Events have a way of their own (`events`).
//!
//! A worker hands over a record and goes on: one bounded channel per log, one writer thread; what does not fit is
//! dropped and counted. Serialisation happens on the writer's side.

mod combined;
mod csp;
mod escape;
mod flat;
mod json;
mod line;
mod record;
mod redact;
mod sign_in;
mod writer;

pub use csp::CspRecord;
pub use escape::Escaped;
pub use line::Line;
pub(crate) use line::rfc3339;
pub use record::{
    ClientRecord, IdentityRecord, PolicyRecord, RateLimitRecord, RequestRecord, SignatureRecord,
    WafRecord,
};
pub(crate) use redact::{REDACTED, Redaction};
pub use sign_in::{SignInEvent, SignInRecord};
pub(crate) use writer::QUEUE_RECORDS_MAX;
pub(crate) use writer::Sink;
pub use writer::{Log, LogError, RequestLog, Target};

#[cfg(test)]
pub(crate) mod tests;
