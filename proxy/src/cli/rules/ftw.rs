//! `rules ftw`: a regression tree of the OWASP CRS, in-process or against a running edge.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use portcullis_rulesets::RuleSet;
use portcullis_rulesets::ftw::{self, Case, Overrides, Report};

use super::over_http::Edge;
use super::{load, seen, whole};
use crate::cli::{Done, Failed, say, say_json};

#[derive(Args, Debug)]
pub(crate) struct Ftw {
    /// A directory of the OWASP CRS, 3.3 or 4: the rules that the cases are written for.
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,
    /// The tree of cases: `tests/regression/tests` of the rules' sources.
    #[arg(long, value_name = "DIR")]
    tests: PathBuf,
    /// Cases that are known not to pass: `NAME: reason` per line. One that passes again fails the run.
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    /// The least number of cases that must run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    expect: usize,
    /// Only cases whose name starts like this; may stand more than once.
    #[arg(long, value_name = "PREFIX")]
    only: Vec<String>,
    /// Send the requests to this edge, `https://HOST:PORT`, instead of running the rules here.
    #[arg(long, value_name = "URL", requires = "ca")]
    url: Option<String>,
    /// The certificates that vouch for the edge.
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    /// The edge's request log (`log.requests: file:PATH`), which says what fired. Without it the status decides: 403 is
    /// a match.
    #[arg(long, value_name = "FILE", requires = "url")]
    log: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(ftw: &Ftw) -> Done {
    let overrides = ftw.read_overrides()?;
    let cases = ftw.read_cases()?;
    let name = ftw.rules.display().to_string();
    let report = match &ftw.url {
        None => {
            let set = whole(&name, ftw::load_rules(&ftw.rules))?;
            ftw::run(&set, &cases, &overrides, ftw.expect)
        }
        // The edge's own rules decide; here they only say which level a case belongs to.
        Some(url) => {
            let set = load(&name, 4)?;
            ftw.over_http(url, &set, &cases, &overrides)?
        }
    };
    if ftw.json {
        say_json(&report.to_json())?;
    } else {
        say(&format!("{report}\n"))?;
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Ftw {
    fn read_overrides(&self) -> Result<Overrides, Failed> {
        let Some(file) = &self.overrides else { return Ok(Overrides::default()) };
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failed::Said(format!("error: `{}` cannot be read: {error}", file.display()))
        })?;
        Overrides::parse(&text).map_err(|errors| {
            let lines = errors.iter().map(|error| format!("{}: {error}\n", file.display()));
            Failed::Said(lines.collect::<String>().trim_end().to_owned())
        })
    }

    fn read_cases(&self) -> Result<Vec<Case>, Failed> {
        let cases = ftw::read(&self.tests).map_err(|error| Failed::because(&error, None))?;
        let wanted = |case: &Case| {
            self.only.is_empty() || self.only.iter().any(|prefix| case.name.starts_with(prefix))
        };
        Ok(cases.into_iter().filter(wanted).collect())
    }

    fn over_http(
        &self,
        url: &str,
        set: &RuleSet,
        cases: &[Case],
        overrides: &Overrides,
    ) -> Result<Report, Failed> {
        let edge = Edge::open(url, self.ca.as_deref())?;
        let log = self.log.as_deref().map(seen::Log::open).transpose()?;
        let stages = cases.iter().flat_map(|case| &case.stages);
        let asked = stages.map(|stage| &stage.request);
        let asked = asked.map(|request| edge.ask(&request.to_wire(), request.header("host")));
        let answers: Vec<_> = asked.collect::<Result<_, _>>()?;
        let fired = log.map(|log| log.read(&answers)).transpose()?;
        // The stages are asked for in the order in which they were sent.
        let mut seen = answers.iter().map(|answer| seen::of(answer, fired.as_ref(), set));
        Ok(ftw::judge(set, cases, overrides, self.expect, |_| seen.next().unwrap_or_default()))
    }
}
