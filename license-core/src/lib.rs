//! Floating licenses whose seats are never given twice.
//!
//! A *seat* is leased to a machine (or a user) as a *session*, kept by heartbeats, given back or lost. This crate holds
//! the domain (pure), its stores, the HTTP service over them and the verification of the edge's assertion. It knows
//! nothing of the proxy in front of it: the edge starts it in process through [`Service`], or it runs on its own as
//! `license-core serve`.
#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod command;
pub mod limits;
pub mod settings;
pub mod signing;

mod assertion;
mod domain;
mod http;
mod metrics;
mod reason;
mod service;
mod store;
mod vault;
mod webhooks;

pub use assertion::KeySetError;
pub use clock::{Clock, SystemClock, Timestamp};
pub use domain::key::{InvalidKey, KeyPrefix};
pub use domain::license::{Leasing, NewLicense};
pub use domain::names::{LicenseName, NameError, TenantId};
pub use metrics::MetricsPage;
pub use service::Resealed;
pub use service::{
    CreatedLicense, LocalAddress, Operator, OperatorError, Running, Service, StartError,
};
pub use settings::Settings;
pub use store::OpenError;
pub use vault::VaultError;
