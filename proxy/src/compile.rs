//! The one function of `check`, start-up and reload: from what the operator wrote to a snapshot, or every error at once.

mod alerts_key;
mod bypass;
mod certificates;
mod client_trust;
mod egress;
mod geo;
mod identity;
mod lists;
mod logins;
mod ocsp;
mod policies;
mod revocations;
mod scenarios;
mod sources;
mod suites;
mod tickets;
mod upstreams;

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_config::armor::lint::Strictness;
use portcullis_config::model::ProviderId;
use portcullis_config::{Diagnostic, Loaded, Report};
use portcullis_policy::waf::AnswerRules;
use portcullis_rulesets::Loaded as Rules;

use crate::key_sets::Verifiers;
use crate::router::Router;
use crate::snapshot::Snapshot;
use crate::trial::Tested;
pub use policies::with_stated_countries;
pub(crate) use revocations::moment_of;
use sources::Sources;

/// Reads everything that the configuration names and makes a snapshot of it; the warnings stand beside it.
///
/// # Errors
/// Every problem of every file, warnings among them.
pub fn compile(loaded: Loaded, generation: u64) -> Result<(Snapshot, Vec<Diagnostic>), Report> {
    compile_as(loaded, generation, Strictness::Native)
}

/// Makes the generation after `served`, with its rule sets where nothing of them has changed (compiling rules is most of
/// what a compilation costs), and with its fetched key sets where their provider has not changed.
///
/// # Errors
/// Every problem of every file, warnings among them.
pub fn compile_after(
    served: &Snapshot,
    loaded: Loaded,
) -> Result<(Snapshot, Vec<Diagnostic>), Report> {
    let how = How {
        rulesets: &served.rulesets,
        verifiers: &served.verifiers,
        ..How::new(Strictness::Native)
    };
    compile_with(loaded, served.generation + 1, how)
}

/// Like [`compile`]; with [`Strictness::Gcp`] the policies must be ones that Google takes.
///
/// # Errors
/// Every problem of every file, warnings among them.
pub fn compile_as(
    loaded: Loaded,
    generation: u64,
    strictness: Strictness,
) -> Result<(Snapshot, Vec<Diagnostic>), Report> {
    compile_with(loaded, generation, How::new(strictness))
}

/// Like [`compile`], for judging requests offline: rules that ask for a country are active without a database, because
/// a request can state its country.
///
/// # Errors
/// Every problem of every file, warnings among them.
pub fn compile_for_trial(loaded: Loaded) -> Result<(Snapshot, Vec<Diagnostic>), Report> {
    compile_with(loaded, 1, How { countries: Countries::Stated, ..How::new(Strictness::Native) })
}

/// How a configuration is compiled.
#[derive(Clone, Copy)]
struct How<'s> {
    strictness: Strictness,
    countries: Countries,
    /// Rule sets that stand already.
    rulesets: &'s BTreeMap<String, Arc<Rules>>,
    /// Fetched key sets that stand already.
    verifiers: &'s BTreeMap<ProviderId, Verifiers>,
}

impl How<'_> {
    const fn new(strictness: Strictness) -> Self {
        const NONE: &BTreeMap<String, Arc<Rules>> = &BTreeMap::new();
        const NOBODY: &BTreeMap<ProviderId, Verifiers> = &BTreeMap::new();
        Self { strictness, countries: Countries::Looked, rulesets: NONE, verifiers: NOBODY }
    }
}

/// Where countries come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Countries {
    /// From the database.
    Looked,
    /// From the database, or the request itself.
    Stated,
}

fn compile_with(
    loaded: Loaded,
    generation: u64,
    how: How<'_>,
) -> Result<(Snapshot, Vec<Diagnostic>), Report> {
    let own = loaded.files.first().cloned();
    let mut sources = Sources::new(&loaded);
    let config = loaded.config;
    sources.hash(b"configuration", format!("{config:?}").as_bytes());
    let certificates = certificates::load(&config, &mut sources);
    let client_trust = client_trust::load(&config, &mut sources);
    let bypass = bypass::load(&config, &mut sources);
    let alerts_key = alerts_key::load(&config, &mut sources);
    let logins = logins::load(&config, &mut sources);
    let ticket_secrets = tickets::load(&config, &mut sources);
    let upstream_tls = upstreams::load(&config, &mut sources);
    let verifiers = identity::load(&config, how.verifiers, &mut sources);
    let revoked = revocations::load(&config, &mut sources);
    let egress = egress::load(&config, &mut sources);
    let geo = geo::country(&config, &mut sources);
    let networks = geo::networks(&config, &mut sources);
    let lists = lists::with_unread(lists::load(&config, &mut sources), &config);
    let (policies, rulesets) = policies::load(&config, &lists, how, &mut sources);
    let answer_rules =
        rulesets.iter().map(|(name, rules)| (name.clone(), AnswerRules::of(&rules.set)));
    let answer_rules = answer_rules.collect();
    let router = Router::new(&config);
    let scenarios = scenarios::load(&config, &mut sources);
    let tests = suites::load(&config, own.as_deref(), &mut sources);
    let (fingerprint, files, problems) = sources.finish();
    if problems.iter().any(Diagnostic::is_error) {
        return Err(Report { problems, files });
    }
    let known_bad = policies.iter().filter_map(|(id, one)| Some((id.clone(), one.known_bad?)));
    let known_bad = known_bad.collect();
    let definitions = policies.iter().map(|(id, one)| (id.clone(), Arc::clone(&one.definition)));
    let definitions = definitions.collect();
    let policies = policies.into_iter().map(|(id, one)| (id, one.policy)).collect();
    let config = Arc::new(config);
    let snapshot = Snapshot {
        generation,
        fingerprint,
        config,
        router,
        certificates,
        client_trust,
        ticket_secrets,
        bypass,
        alerts_key,
        logins,
        answer_rules,
        rulesets,
        upstream_tls,
        policies,
        definitions,
        known_bad,
        verifiers,
        revoked,
        geo,
        networks,
        lists,
        egress,
        scenarios: Arc::new(scenarios),
        tests,
        tested: Tested::default(),
        files,
    };
    Ok((snapshot, problems))
}
