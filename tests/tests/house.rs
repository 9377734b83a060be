//! The arrows of the house: which crate of the workspace may know which, and what a pure crate may never pull in.
//! The table is literal on purpose: an arrow that turns must be changed here too, in the open.

#[path = "house/limits.rs"]
mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// One crate of the house.
struct Row {
    package: &'static str,
    /// The workspace crates it may name among its normal dependencies: exactly these.
    knows: &'static [&'static str],
    /// Direct dependencies from outside that it must never have.
    never: &'static [&'static str],
}

const RUNTIMES: &[&str] =
    &["tokio", "pingora", "hyper", "axum", "notify", "prometheus", "rustls", "sqlx"];

const HOUSE: &[Row] = &[
    Row {
        package: "seclang",
        knows: &[],
        never: &[
            "tokio",
            "pingora",
            "http",
            "hyper",
            "axum",
            "serde",
            "serde_json",
            "serde-saphyr",
            "prometheus",
            "notify",
            "rustls",
        ],
    },
    Row {
        package: "portcullis-rulesets",
        knows: &["seclang"],
        never: &["tokio", "pingora", "http", "hyper", "axum", "prometheus", "rustls"],
    },
    Row { package: "portcullis-config", knows: &[], never: RUNTIMES },
    Row {
        package: "portcullis-policy",
        knows: &["portcullis-config", "portcullis-rulesets", "seclang"],
        never: RUNTIMES,
    },
    Row { package: "portcullis-identity", knows: &["portcullis-config"], never: RUNTIMES },
    Row { package: "portcullis-incident", knows: &["portcullis-config"], never: RUNTIMES },
    Row { package: "license-core", knows: &[], never: &["pingora"] },
    Row {
        package: "portcullis",
        knows: &[
            "license-core",
            "portcullis-config",
            "portcullis-identity",
            "portcullis-incident",
            "portcullis-policy",
            "portcullis-rulesets",
        ],
        never: &[],
    },
    Row {
        package: "portcullis-benches",
        knows: &[
            "license-core",
            "portcullis",
            "portcullis-config",
            "portcullis-identity",
            "portcullis-incident",
            "portcullis-policy",
            "portcullis-rulesets",
            "seclang",
        ],
        never: &[],
    },
    Row {
        package: "portcullis-tests",
        knows: &[
            "license-core",
            "portcullis",
            "portcullis-config",
            "portcullis-identity",
            "portcullis-incident",
            "portcullis-policy",
            "portcullis-rulesets",
        ],
        never: &[],
    },
];

#[test]
fn the_arrows_between_the_crates_are_those_of_the_table() {
    let packages = normal_dependencies();
    let house: BTreeSet<&str> = HOUSE.iter().map(|row| row.package).collect();
    let found: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    assert_eq!(found, house, "the workspace's crates and the table's rows");
    for row in HOUSE {
        let inner: BTreeSet<&str> = packages[row.package]
            .iter()
            .map(String::as_str)
            .filter(|name| house.contains(name))
            .collect();
        let allowed: BTreeSet<&str> = row.knows.iter().copied().collect();
        assert_eq!(inner, allowed, "what `{}` knows of the house", row.package);
    }
}

#[test]
fn a_pure_crate_names_no_runtime_and_no_socket() {
    let packages = normal_dependencies();
    for row in HOUSE {
        for banned in row.never {
            assert!(
                !packages[row.package].contains(*banned),
                "`{}` must not know `{banned}`",
                row.package
            );
        }
    }
}

/// The normal (not dev, not build) direct dependencies of every workspace crate, by package name.
fn normal_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", output.stderr.escape_ascii());
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages.iter().map(|package| (text(&package["name"]), normal(package))).collect()
}

fn normal(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().expect("a list of dependencies");
    all.iter()
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| text(&dependency["name"]))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
