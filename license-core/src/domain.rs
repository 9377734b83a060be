//! The license domain, pure: no clock, no store, no socket. Time comes in as an argument, denials go out as values.

pub(crate) mod audit;
pub(crate) mod denial;
pub(crate) mod key;
pub(crate) mod lease;
pub(crate) mod license;
pub(crate) mod names;
pub(crate) mod policy;
pub(crate) mod webhook;
