//! The scenarios that the binary carries: what is taken for an incident where an operator writes nothing.

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$((concat!("scenarios/", $name), include_str!(concat!("../scenarios/", $name)))),*]
    };
}

/// File names and their text.
pub const SCENARIOS: &[(&str, &str)] = embedded![
    "flood-of-bans.yaml",
    "flood-of-limits.yaml",
    "forged-tokens.yaml",
    "login-brute-force.yaml",
    "login-stuffing.yaml",
    "malformed-requests.yaml",
    "scan-paths.yaml",
    "scan-rules.yaml",
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
