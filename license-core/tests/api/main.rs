//! The service as its clients see it: over a real socket, with assertions that a test's own edge signed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a harness fails the test where it stands")]

mod bad_input;
mod gate;
mod harness;
mod process;
mod seats;
