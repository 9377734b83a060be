//! The service as its clients see it: over a real socket, with assertions that a test's own edge signed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a harness fails the test where it stands, and says what it skips"
)]

mod accelerator;
mod administration;
mod adversity;
mod algorithms;
mod audit;
mod bad_input;
mod client;
mod cluster;
mod contract;
mod erasure;
mod fault_run;
mod gate;
mod harness;
mod hsm;
mod isolation;
mod kms;
mod offline;
mod outage;
mod personal;
mod policies;
mod process;
mod races;
mod rates;
mod receipts;
mod receiver;
mod restore;
mod retention;
mod seats;
mod signatures;
mod valkey;
mod webhooks;
