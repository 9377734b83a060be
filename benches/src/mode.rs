//! How much a bench is asked to do.

use std::time::Duration;

/// One short pass under `cargo test`, real measuring under `cargo bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Proves that the bench runs; its figures mean nothing.
    OnePass,
    /// Measures.
    Measure {
        /// Whether the table is written to `benches/record/`.
        record: bool,
    },
}

impl Mode {
    /// Reads the mode from the arguments that Cargo and the user gave.
    pub fn from_args() -> Self {
        let args: Vec<String> = std::env::args().collect();
        let has = |flag: &str| args.iter().any(|arg| arg == flag);
        if has("--bench") { Self::Measure { record: has("--record") } } else { Self::OnePass }
    }

    /// How long one figure is measured.
    pub fn span(self, full: Duration) -> Duration {
        match self {
            Self::OnePass => Duration::from_secs(1),
            Self::Measure { .. } => full,
        }
    }

    /// How many rounds are run.
    pub fn rounds(self, full: usize) -> usize {
        match self {
            Self::OnePass => 1,
            Self::Measure { .. } => full,
        }
    }
}
