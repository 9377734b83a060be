//! Resident memory over many transactions and many reloads: it has to stay flat.
//!
//! `memory RULES CASES TRANSACTIONS RELOADS`: RULES is a directory of the OWASP CRS, CASES its regression tree, whose
//! requests are the mix. Prints a line per twentieth of the way; exit 1 when the last quarter lies more than a twentieth
//! above the second.

#![expect(clippy::print_stdout, reason = "what it measures is its output")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_rulesets::ftw::{self, Request};
use portcullis_rulesets::{RuleSet, Source};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: memory RULES CASES TRANSACTIONS RELOADS");
    let (rules, cases) = (PathBuf::from(next()?), PathBuf::from(next()?));
    let (transactions, reloads) = (next()?.parse()?, next()?.parse()?);
    let requests: Vec<Request> = ftw::read(&cases)?
        .into_iter()
        .flat_map(|case| case.stages)
        .map(|stage| ftw::framed(stage.request))
        .collect();
    println!("before the rules are loaded: {} KiB", resident_kib()?);
    let set = load(&rules)?;
    println!("with one set loaded: {} KiB", resident_kib()?);
    let second = Arc::clone(set.program());
    println!("with a second user of the set: {} KiB", resident_kib()?);
    let flat = run("transactions", transactions, |at| {
        if let Some(request) = requests.get(at % requests.len().max(1)) {
            ftw::feed(&mut second.start(), request);
        }
        Ok(())
    })?;
    let reloaded_flat = run("reloads", reloads, |_| load(&rules).map(drop))?;
    Ok(if flat && reloaded_flat { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(rules: &Path) -> Result<Arc<RuleSet>, Box<dyn std::error::Error>> {
    let loaded = RuleSet::load("crs", &Source::Crs(rules.to_owned()), 2);
    loaded.map(|loaded| loaded.set).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        all.join("\n").into()
    })
}

/// Does something many times and samples memory on the way; says whether it stayed flat.
fn run(
    what: &str,
    times: usize,
    mut step: impl FnMut(usize) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<bool, Box<dyn std::error::Error>> {
    let every = (times / 20).max(1);
    let mut samples = Vec::new();
    for at in 1..=times {
        step(at)?;
        if at % every == 0 {
            let kib = resident_kib()?;
            println!("after {at} {what}: {kib} KiB");
            samples.push(kib);
        }
    }
    // The first quarter fills caches; the second is what is held against the last.
    let highest = |from: usize, to: usize| samples.get(from..to).and_then(|part| part.iter().max());
    let quarter = samples.len() / 4;
    let (early, late) = (highest(quarter, 2 * quarter), highest(3 * quarter, samples.len()));
    Ok(early.zip(late).is_none_or(|(early, late)| *late <= early + early / 20))
}

/// What the process holds, as the kernel counts it.
fn resident_kib() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("the kernel says nothing of resident memory")?.parse()?)
}
