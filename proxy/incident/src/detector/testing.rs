//! The house's scenarios, for the tests of this crate: the crate that carries them stands beside this one.

use portcullis_config::SourceFile;

use super::{Scenario, read_scenario};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../../../rulesets/scenarios/", $name))),*]
    };
}

pub(crate) const BUILT_IN: &[&str] = files![
    "activation-velocity.yaml",
    "flood-by-baseline.yaml",
    "flood-of-bans.yaml",
    "flood-of-limits.yaml",
    "forged-tokens.yaml",
    "impossible-travel.yaml",
    "key-enumeration-by-user.yaml",
    "key-enumeration.yaml",
    "key-in-many-networks.yaml",
    "login-brute-force.yaml",
    "login-stuffing.yaml",
    "malformed-requests.yaml",
    "new-network.yaml",
    "replayed-token.yaml",
    "scan-paths.yaml",
    "scan-rules.yaml",
    "shared-key.yaml",
    "signer-failures.yaml",
];

/// Returns them.
pub(crate) fn built_in() -> Vec<Scenario> {
    let read = |text: &&str| read_scenario(&SourceFile::new("built in", *text)).unwrap().scenario;
    BUILT_IN.iter().map(read).collect()
}
