//! The YAML of regression trees, as it is written: version 3 wraps a stage in `stage`, version 4 does not.

use serde::Deserialize;
use std::collections::BTreeMap;

/// One file.
#[derive(Deserialize)]
pub(super) struct File {
    pub(super) rule_id: Option<u32>,
    #[serde(default)]
    pub(super) tests: Vec<Test>,
}

/// One case.
#[derive(Deserialize)]
pub(super) struct Test {
    pub(super) test_id: Option<u32>,
    pub(super) test_title: Option<String>,
    #[serde(default)]
    pub(super) stages: Vec<Wrapped>,
}

/// A stage in either format.
#[derive(Deserialize)]
pub(super) struct Wrapped {
    pub(super) stage: Option<Bare>,
    pub(super) input: Option<Input>,
    pub(super) output: Option<Output>,
}

/// A stage.
#[derive(Deserialize, Default)]
pub(super) struct Bare {
    #[serde(default)]
    pub(super) input: Input,
    #[serde(default)]
    pub(super) output: Output,
}

/// The request.
#[derive(Deserialize, Default)]
pub(super) struct Input {
    pub(super) method: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) version: Option<String>,
    pub(super) headers: Option<BTreeMap<String, String>>,
    pub(super) data: Option<Data>,
    pub(super) autocomplete_headers: Option<bool>,
    pub(super) stop_magic: Option<bool>,
    pub(super) encoded_request: Option<String>,
    pub(super) raw_request: Option<String>,
}

/// A body, as one text or as lines.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Data {
    Text(String),
    Lines(Vec<String>),
}

/// What is expected.
#[derive(Deserialize, Default)]
pub(super) struct Output {
    pub(super) log: Option<Log>,
    pub(super) log_contains: Option<String>,
    pub(super) no_log_contains: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) expect_error: Option<bool>,
}

/// The status, or any of several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Status {
    One(u16),
    Any(Vec<u16>),
}

/// What is expected of the log.
#[derive(Deserialize, Default)]
pub(super) struct Log {
    #[serde(default)]
    pub(super) expect_ids: Vec<u32>,
    #[serde(default)]
    pub(super) no_expect_ids: Vec<u32>,
    pub(super) match_regex: Option<String>,
    pub(super) no_match_regex: Option<String>,
}
