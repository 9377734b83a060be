//! Pure: verifies a token against a key set at a time, normalises headers, mints the edge assertion. It knows no
//! network, no file and no clock: keys are bytes that are handed in, `now` is an argument.
//!
//! ```
//! use portcullis_identity::{Refusal, credential};
//!
//! let headers: [(&[u8], &[u8]); 1] = [(b"authorization", b"Basic YTpi")];
//! let refusal = credential(headers).unwrap_err();
//! assert_eq!((refusal.status(), refusal.code()), (401, "invalid_token"));
//! ```

mod algorithm;
pub mod assertion;
#[cfg(test)]
mod attacks;
pub mod authorization;
mod base64url;
mod cache;
mod credential;
pub mod discovery;
#[cfg(test)]
mod forge;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod headers;
mod identity;
mod json;
mod jws;
pub mod keys;
mod owners;
pub mod places;
mod platform;
mod refusal;
pub mod revocation;
#[cfg(test)]
mod shared_secrets;
#[cfg(test)]
mod vectors;
mod verifier;

pub use algorithm::Algorithm;
pub use cache::{CacheFigures, TokenCache};
pub use credential::{credential, is_in_query};
pub use identity::Identity;
pub use jws::{HEADER_BYTES_MAX, TOKEN_BYTES_MAX};
pub use keys::{KeyError, KeySet};
pub use owners::{OwnerFigures, OwnerIndex};
pub use refusal::{Refusal, Why};
pub use verifier::claims::is_plain;
pub use verifier::{LEEWAY_MAX, Verifier, choose, verify_any};
