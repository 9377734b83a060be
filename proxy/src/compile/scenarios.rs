//! Scenarios: those that the binary carries, and those of the operator's folder, which take the place of others of their
//! name.

use std::path::{Path, PathBuf};

use portcullis_config::{Config, Diagnostic, SourceFile};
use portcullis_incident::Scenario;
use portcullis_incident::detector::{ScenarioFile, read_scenario};
use portcullis_rulesets::SCENARIOS;

use super::sources::Sources;

/// Files of one folder that are read.
const FILES_MAX: usize = 1000;

/// Reads every scenario.
pub(super) fn load(config: &Config, sources: &mut Sources) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (name, text) in SCENARIOS {
        match read_scenario(&SourceFile::new(*name, *text)) {
            Ok(file) => scenarios.push(file.scenario),
            Err(problems) => sources.problems.extend(problems),
        }
    }
    let Some(folder) = &config.incidents.scenarios else { return scenarios };
    let mut own: Vec<Scenario> = Vec::new();
    for path in files(folder, sources) {
        let Some(text) = sources.read_text("the scenario", &path) else { continue };
        match read_scenario(&text) {
            Ok(file) => own.extend(proved(file, &text, sources)),
            Err(problems) => sources.problems.extend(problems),
        }
    }
    scenarios.retain(|one| !own.iter().any(|other| other.name == one.name));
    scenarios.extend(own);
    scenarios
}

/// A scenario whose own tests fail is not what its author thinks.
fn proved(file: ScenarioFile, text: &SourceFile, sources: &mut Sources) -> Option<Scenario> {
    let mut is_good = true;
    for test in &file.tests {
        let raised = test.run(&file.scenario);
        if raised != test.raises {
            let message =
                format!("the test `{}` raises {raised} events, not {}", test.name, test.raises);
            let problem = Diagnostic::error("test-failed", message);
            sources.problems.push(problem.in_source(text, test.place.clone()));
            is_good = false;
        }
    }
    is_good.then_some(file.scenario)
}

fn files(folder: &Path, sources: &mut Sources) -> Vec<PathBuf> {
    sources.watch(folder);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let message =
                format!("the folder of scenarios `{}` cannot be read: {error}", folder.display());
            sources.report(Diagnostic::error("file-unreadable", message), folder);
            return Vec::new();
        }
    };
    let is_yaml =
        |path: &PathBuf| path.extension().is_some_and(|one| one == "yaml" || one == "yml");
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_yaml).collect();
    files.sort();
    if files.len() > FILES_MAX {
        let message =
            format!("there are more than {FILES_MAX} scenarios in `{}`", folder.display());
        sources.report(Diagnostic::error("too-many-files", message), folder);
        files.truncate(FILES_MAX);
    }
    files
}
