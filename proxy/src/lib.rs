//! The shell around the pure crates: sockets, TLS, files, signals, the clock, the admin socket.
//!
//! One function, `compile`, turns what the operator wrote into a [`Snapshot`](snapshot::Snapshot);
//! start-up, `check` and reload all call it. One [`Shared`](shared::Shared) per process holds the published snapshot
//! and everything that outlives it: counters and bans, the clock, metrics, logs.

pub mod acme;
pub mod admin;
mod alerts;
pub mod api_keys;
mod atomic_file;
pub mod audit;
pub mod bans;
pub mod bypass;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod compile;
pub mod csp;
pub mod dev;
pub mod edge;
pub mod egress;
pub mod events;
pub mod exposition;
pub mod failure;
pub mod feeds;
mod gate;
pub mod geo;
mod hex;
pub mod incidents;
pub mod key_sets;
pub mod license;
pub mod limits;
pub mod lockdown;
pub mod log;
pub mod login;
pub mod metrics;
pub mod origin;
mod path_form;
pub mod reason;
pub mod recent;
pub mod reload;
pub mod remedy;
pub mod replay;
mod restraint;
pub mod revocations;
pub mod router;
pub mod run;
pub mod security_headers;
pub mod shared;
pub mod sign_in;
pub mod signing;
mod sinks;
pub mod snapshot;
pub mod tickets;
pub mod trial;
pub mod tune;
pub mod upgrade;
mod upstream;
