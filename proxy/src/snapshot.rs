//! Everything that a request is judged by, whole and immutable. Built only by `compile`, published by `Shared`.

mod certificates;

pub use certificates::Certificates;

/// One generation of the configuration, compiled. A request pins one at its start and never looks again.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the published configurations of this process, from 1.
    pub generation: u64,
    /// SHA-256 over every byte that the compilation read, in hex.
    pub fingerprint: String,
}
