//! The cases of a CRS regression tree, version 3 and version 4 formats.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) rule_id: Option<u32>,
    #[serde(default)]
    pub(crate) tests: Vec<Test>,
}

#[derive(Deserialize)]
pub(crate) struct Test {
    pub(crate) test_id: Option<u32>,
    pub(crate) test_title: Option<String>,
    pub(crate) stages: Vec<Wrapped>,
}

/// Version 3 wraps a stage in `stage`, version 4 does not.
#[derive(Deserialize)]
pub(crate) struct Wrapped {
    stage: Option<Stage>,
    input: Option<Input>,
    output: Option<Output>,
}

#[derive(Deserialize)]
pub(crate) struct Stage {
    pub(crate) input: Input,
    pub(crate) output: Output,
}

#[derive(Deserialize, Default)]
pub(crate) struct Input {
    pub(crate) method: Option<String>,
    pub(crate) uri: Option<String>,
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) headers: Option<BTreeMap<String, String>>,
    pub(crate) data: Option<Data>,
    pub(crate) autocomplete_headers: Option<bool>,
    pub(crate) stop_magic: Option<bool>,
    pub(crate) encoded_request: Option<String>,
    pub(crate) raw_request: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Data {
    Text(String),
    Lines(Vec<String>),
}

#[derive(Deserialize, Default)]
pub(crate) struct Output {
    pub(crate) log: Option<Log>,
    pub(crate) log_contains: Option<String>,
    pub(crate) no_log_contains: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) expect_error: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Status {
    One(u16),
    Any(Vec<u16>),
}

#[derive(Deserialize, Default)]
pub(crate) struct Log {
    #[serde(default)]
    pub(crate) expect_ids: Vec<u32>,
    #[serde(default)]
    pub(crate) no_expect_ids: Vec<u32>,
    pub(crate) match_regex: Option<String>,
    pub(crate) no_match_regex: Option<String>,
}

/// One case with its name, `920100-3`.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) stages: Vec<Stage>,
}

/// Reads every case below a directory, in order of file names.
pub(crate) fn read(directory: &Path) -> Vec<Case> {
    let mut files = Vec::new();
    collect(directory, &mut files);
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.trim().is_empty() {
            continue;
        }
        let file: File = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for test in file.tests {
            let number = || format!("{}-{}", file.rule_id.unwrap(), test.test_id.unwrap());
            let name = test.test_title.clone().unwrap_or_else(number);
            let stages = test.stages.into_iter().map(unwrap).collect();
            cases.push(Case { name, stages });
        }
    }
    cases
}

fn unwrap(wrapped: Wrapped) -> Stage {
    wrapped.stage.unwrap_or_else(|| Stage {
        input: wrapped.input.unwrap_or_default(),
        output: wrapped.output.unwrap_or_default(),
    })
}

fn collect(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml") {
            into.push(path);
        }
    }
}
