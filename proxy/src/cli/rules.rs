//! `rules`: what a rule set holds, what changes between two, and whether one passes a regression tree.

mod diff;
mod ftw;
mod ls;
mod opt_outs;
mod over_http;
mod seen;
mod show;

use std::sync::Arc;

use clap::{Args, Subcommand};
use portcullis_rulesets::{Loaded, RuleSet, Source};

use super::{Done, Failed};

#[derive(Subcommand, Debug)]
pub(super) enum Rules {
    /// List the rules of a set.
    Ls(ls::Ls),
    /// Show everything about one rule.
    Show(show::Show),
    /// Show what changes from one set to another: rules new, gone, retargeted, moved, and opt-outs left without a rule.
    Diff(diff::Diff),
    /// Run a regression tree of the OWASP CRS, in-process or against a running edge. Exit 1 if it does not pass.
    Ftw(ftw::Ftw),
}

/// Which rules.
#[derive(Args, Debug)]
struct Set {
    /// A set of the binary (`core`), a directory of the OWASP CRS, or a directory of `.conf` files.
    #[arg(long = "rules", value_name = "SET", default_value = "core")]
    name: String,
    /// The paranoia level up to which rules are loaded to run.
    #[arg(long, value_name = "1-4", default_value_t = 4)]
    level: u8,
}

pub(super) fn run(rules: &Rules) -> Done {
    match rules {
        Rules::Ls(ls) => ls::run(ls),
        Rules::Show(show) => show::run(show),
        Rules::Diff(diff) => diff::run(diff),
        Rules::Ftw(ftw) => ftw::run(ftw),
    }
}

impl Set {
    fn load(&self) -> Result<Arc<RuleSet>, Failed> {
        load(&self.name, self.level)
    }
}

/// Loads a set, or says everything that is wrong with it.
fn load(name: &str, level: u8) -> Result<Arc<RuleSet>, Failed> {
    whole(name, RuleSet::load(name, &Source::find(name), level))
}

fn whole<P: ToString>(name: &str, loaded: Result<Loaded, Vec<P>>) -> Result<Arc<RuleSet>, Failed> {
    loaded.map(|loaded| loaded.set).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let count = super::check::count(problems.len(), "error");
        Failed::Said(format!("{}\n\n`{name}` does not load ({count})", all.join("\n\n")))
    })
}

/// A level as a word; rules that prepare or evaluate have none.
fn level_word(level: Option<u8>) -> String {
    level.map_or_else(|| "-".to_owned(), |level| level.to_string())
}

/// A severity by ModSecurity's name.
fn severity_word(severity: Option<u8>) -> &'static str {
    const NAMES: [&str; 8] =
        ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];
    severity.and_then(|severity| NAMES.get(usize::from(severity)).copied()).unwrap_or("-")
}
