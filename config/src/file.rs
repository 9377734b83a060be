//! The configuration file: its keys ([`keys`]), and the decoding of a tree into the resolved [`Config`].
//!
//! One pass decodes, applies defaults and checks references; it notes every problem and goes on, so that a file with ten
//! mistakes is told all ten. The names that references may use are gathered from the tree before the pass, so that a
//! backend with a mistake inside is not also reported as unknown wherever it is used.

mod backend;
mod credential;
mod document;
mod fields;
mod host;
mod id_places;
mod identity;
mod incidents;
pub mod keys;
pub mod limits;
mod lint;
mod listener;
mod load_test;
mod log;
pub mod problems;
mod scalar;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, SourceFile};
use crate::model::{Config, Environment, HeaderProfile, Places};
use crate::yaml::{self, Node};

/// Whether the files that the configuration names are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Files {
    /// They have to be there.
    Checked,
    /// Whoever starts the process makes them first.
    MadeLater,
}

/// What came out of a text.
pub(crate) struct Decoded {
    pub(crate) config: Option<Config>,
    pub(crate) problems: Vec<Diagnostic>,
    /// Every file that the configuration names, in the order of the text.
    pub(crate) files: Vec<PathBuf>,
    /// The keys that the text uses, as section and name: how the tests know that every key has a sample.
    #[cfg(test)]
    pub(crate) used: BTreeSet<(&'static str, &'static str)>,
}

/// Decodes a text whose paths are relative to `base`.
pub(crate) fn decode(source: &SourceFile, base: &Path, files: Files) -> Decoded {
    let mut context = Context::new(source, base, files);
    let (root, problems) = yaml::read(source);
    context.problems = problems;
    let config = root.and_then(|root| {
        context.names = Names::of(&root);
        document::config(&root, &mut context)
    });
    context.problems.sort_by_key(|problem| problem.at.as_ref().map(|at| at.span.start));
    // What stands under an alias is decoded once for each place that names it.
    context.problems.dedup();
    context.hide_secrets();
    Decoded {
        config,
        problems: context.problems,
        files: context.found,
        #[cfg(test)]
        used: context.used,
    }
}

/// What decoding carries along: where texts and paths come from, and what was found so far.
struct Context<'a> {
    source: &'a SourceFile,
    base: &'a Path,
    files: Files,
    names: Names,
    environment: Environment,
    body_bytes: u64,
    state_dir: PathBuf,
    /// Profiles of response headers, by name.
    profiles: BTreeMap<String, HeaderProfile>,
    problems: Vec<Diagnostic>,
    found: Vec<PathBuf>,
    places: Places,
    /// What stands in the text where a reference to a secret belongs.
    inline_secrets: Vec<Range<usize>>,
    used: BTreeSet<(&'static str, &'static str)>,
}

impl<'a> Context<'a> {
    fn new(source: &'a SourceFile, base: &'a Path, files: Files) -> Self {
        Self {
            source,
            base,
            files,
            names: Names::default(),
            environment: Environment::Development,
            body_bytes: 0,
            state_dir: base.to_owned(),
            profiles: BTreeMap::new(),
            problems: Vec::new(),
            found: Vec::new(),
            places: Places::default(),
            inline_secrets: Vec::new(),
            used: BTreeSet::new(),
        }
    }

    fn error(&mut self, code: &'static str, message: impl Into<String>, place: Range<usize>) {
        self.report(Diagnostic::error(code, message), place);
    }

    fn warn(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        help: &str,
        place: Range<usize>,
    ) {
        self.report(Diagnostic::warning(code, message).help(help), place);
    }

    fn report(&mut self, diagnostic: Diagnostic, place: Range<usize>) {
        self.problems.push(diagnostic.in_source(self.source, place));
    }

    /// Notes that the text names a file.
    fn names_file(&mut self, path: PathBuf, place: Range<usize>) {
        self.places.note(path.clone(), self.source.location(place));
        self.found.push(path);
    }

    /// Draws every problem from a text without the inline secrets: a problem's neighbouring lines are shown too.
    fn hide_secrets(&mut self) {
        if self.inline_secrets.is_empty() {
            return;
        }
        let hidden = self.source.without(&self.inline_secrets);
        for at in self.problems.iter_mut().filter_map(|problem| problem.at.as_mut()) {
            at.file = hidden.clone();
        }
    }
}

/// The names that the file defines, whatever else is wrong with what they name.
#[derive(Default)]
struct Names {
    backends: Vec<String>,
    policies: Vec<String>,
    rulesets: Vec<String>,
    providers: Vec<String>,
    /// Providers that are no issuers of tokens.
    credentials: Vec<String>,
    /// Kinds of objects that belong to tenants.
    owners: Vec<String>,
    lists: Vec<String>,
    /// Providers with `kind: oidc`.
    oidc: Vec<String>,
    /// Backends whose requests are gRPC.
    grpc: Vec<String>,
}

impl Names {
    fn of(root: &Node) -> Self {
        let keys = |node: Option<&Node>| {
            let entries = node.and_then(Node::as_map).unwrap_or_default();
            entries.iter().map(|entry| entry.key.clone()).collect()
        };
        Self {
            backends: keys(root.get("backends")),
            policies: keys(root.get("policies")),
            lists: keys(root.get("lists")),
            rulesets: keys(root.get("rulesets")),
            providers: keys(root.get("identity").and_then(|identity| identity.get("providers"))),
            credentials: Self::of_kind(
                &["api_keys", "certificates"],
                root.get("identity").and_then(|identity| identity.get("providers")),
            ),
            owners: keys(root.get("identity").and_then(|identity| identity.get("owners"))),
            oidc: Self::of_kind(
                &["oidc"],
                root.get("identity").and_then(|identity| identity.get("providers")),
            ),
            grpc: Self::with("grpc", root.get("backends")),
        }
    }

    /// The names of the mappings in `node` whose `kind` is one of these.
    fn of_kind(kinds: &[&str], node: Option<&Node>) -> Vec<String> {
        let entries = node.and_then(Node::as_map).unwrap_or_default();
        let is_one = |node: &Node| {
            let kind = node.get("kind").and_then(Node::as_text);
            kind.is_some_and(|kind| kinds.contains(&kind))
        };
        let named = entries.iter().filter(|entry| is_one(&entry.node));
        named.map(|entry| entry.key.clone()).collect()
    }

    /// The names of the mappings in `node` that have `key`.
    fn with(key: &str, node: Option<&Node>) -> Vec<String> {
        let entries = node.and_then(Node::as_map).unwrap_or_default();
        let with = entries.iter().filter(|entry| entry.node.get(key).is_some());
        with.map(|entry| entry.key.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
