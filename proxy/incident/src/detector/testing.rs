//! The house's scenarios, for the tests of this crate: the crate that carries them stands beside this one.

use portcullis_config::SourceFile;

use super::{Scenario, read_scenario};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../../../rulesets/scenarios/", $name))),*]
    };
}

pub(crate) const BUILT_IN: &[&str] = files![
    "flood-of-bans.yaml",
    "flood-of-limits.yaml",
    "forged-tokens.yaml",
    "login-brute-force.yaml",
    "login-stuffing.yaml",
    "malformed-requests.yaml",
    "scan-paths.yaml",
    "scan-rules.yaml",
];

/// Returns them.
pub(crate) fn built_in() -> Vec<Scenario> {
    let read = |text: &&str| read_scenario(&SourceFile::new("built in", *text)).unwrap().scenario;
    BUILT_IN.iter().map(read).collect()
}
