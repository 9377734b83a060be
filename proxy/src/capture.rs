//! Requests kept whole: head, body and what was decided, for `replay` to judge again.
//!
//! They hold tokens and passwords. So each is encrypted on its own to a public key of the operator's, and this process
//! could not read them back. A request is never delayed: a worker hands over what it holds anyway, through a queue that
//! is bounded in records and bytes; what does not fit is dropped and counted.

mod key;
mod reader;
mod seal;
mod writer;

pub use key::{KeyError, KeyPair, PrivateKey};
pub(crate) use reader::{LINE_BYTES_MAX, Unsealed, unsealed};
pub use seal::OpenError;
pub(crate) use seal::Opener;
pub use writer::{Capture, CaptureError};
pub(crate) use writer::{Captured, QUEUE_BYTES_MAX, QUEUE_RECORDS_MAX};

#[cfg(test)]
mod tests;
