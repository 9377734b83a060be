//! The tests that the configuration names for itself: each is about this configuration, or about one of its policies.

use std::path::Path;
use std::sync::Arc;

use portcullis_config::model::{PolicyId, PolicySource};
use portcullis_config::{Config, Diagnostic};

use super::sources::Sources;
use crate::trial::{About, OwnSuite, Subject, Suite, read_suite};

/// Reads every file of tests. `own` is the configuration's own file.
pub(super) fn load(
    config: &Config,
    own: Option<&Path>,
    sources: &mut Sources,
) -> Vec<Arc<OwnSuite>> {
    let mut suites = Vec::new();
    for path in &config.tests {
        let Some(text) = sources.read_text("the test file", path) else { continue };
        match read_suite(&text) {
            Ok(suite) => match about(&suite, config, own) {
                Ok(about) => suites.push(Arc::new(OwnSuite { suite, about })),
                Err(problem) => sources.report(problem, path),
            },
            Err(problems) => sources.problems.extend(problems),
        }
    }
    suites
}

/// A test of something else would say nothing of a candidate.
fn about(suite: &Suite, config: &Config, own: Option<&Path>) -> Result<About, Diagnostic> {
    let elsewhere = |what: &str, help: &str| {
        let message = format!("the test file `{}` tests {what}", suite.name);
        Diagnostic::error("test-subject", message).help(help)
    };
    match &suite.subject {
        Subject::Config(file) if own.is_some_and(|own| is_same(own, file)) => Ok(About::Whole),
        Subject::Config(file) => Err(elsewhere(
            &format!("`{}`, another configuration", file.display()),
            "name this one as its `config`, relative to the test file",
        )),
        Subject::Policy { file, lists } => {
            let is_it = |source: &PolicySource| match source {
                PolicySource::File(path) => is_same(path, file),
                PolicySource::Builtin(_) => false,
            };
            let found = config.policies.iter().find(|(_, source)| is_it(source));
            let (id, _) = found.ok_or_else(|| {
                elsewhere(
                    &format!("`{}`, which is no policy of this configuration", file.display()),
                    "name one of the files of `policies`, relative to the test file",
                )
            })?;
            Ok(About::Policy { id: PolicyId::new(id), lists: lists.clone() })
        }
        Subject::Expression(_) => Err(elsewhere(
            "an expression of its own",
            "run it with `portcullis test`: no change of this configuration can break it",
        )),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}
