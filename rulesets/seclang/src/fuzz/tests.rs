//! The targets on their seeds and on what was found once.

use super::*;
use std::path::{Path, PathBuf};

/// `tests/fuzz` of the workspace.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz")
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let kinds = ["seeds", "regressions"].map(|kind| folder().join(kind).join(target));
    let entries = kinds.iter().filter_map(|kind| std::fs::read_dir(kind).ok()).flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn every_target_holds_on_its_seeds_and_on_every_finding() {
    for (name, run) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() >= 3, "{name} has seeds");
        for (_, input) in inputs {
            run(&input);
            // Cut short, a seed is another input.
            (0..input.len()).step_by(7).for_each(|at| run(input.get(..at).unwrap()));
        }
    }
}

#[test]
fn every_target_has_its_file() {
    for name in TARGETS.iter().map(|target| target.0).chain(["transactions"]) {
        let file = folder().join("fuzz_targets").join(format!("{name}.rs"));
        assert!(file.is_file(), "{}", file.display());
    }
}
