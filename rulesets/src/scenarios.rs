//! The scenarios that the binary carries: what is taken for an incident where an operator writes nothing.

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$((concat!("scenarios/", $name), include_str!(concat!("../scenarios/", $name)))),*]
    };
}

/// File names and their text.
pub const SCENARIOS: &[(&str, &str)] = embedded![
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

#[cfg(test)]
mod tests {
    use super::SCENARIOS;

    #[test]
    fn every_file_of_the_folder_is_carried() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, SCENARIOS.len());
    }
}
