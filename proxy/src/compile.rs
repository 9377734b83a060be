//! The one function of `check`, start-up and reload: from what the operator wrote to a snapshot, or every error at once.

mod certificates;
mod geo;
mod identity;
mod lists;
mod policies;
mod sources;
mod upstreams;

use std::sync::Arc;

use portcullis_config::armor::lint::Strictness;
use portcullis_config::{Config, Diagnostic, Loaded, Report};
use portcullis_policy::GeoState;

use crate::geo::Country;
use crate::router::Router;
use crate::snapshot::Snapshot;
use sources::Sources;

/// Reads everything that the configuration names and makes a snapshot of it; the warnings stand beside it.
///
/// # Errors
/// Every problem of every file, warnings among them.
pub fn compile(loaded: Loaded, generation: u64) -> Result<(Snapshot, Vec<Diagnostic>), Report> {
    compile_as(loaded, generation, Strictness::Native)
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
    compile_with(loaded, generation, strictness, Countries::Looked)
}

/// Like [`compile`], for judging requests offline: rules that ask for a country are active without a database, because
/// a request can state its country.
///
/// # Errors
/// Every problem of every file, warnings among them.
pub fn compile_for_trial(loaded: Loaded) -> Result<(Snapshot, Vec<Diagnostic>), Report> {
    compile_with(loaded, 1, Strictness::Native, Countries::Stated)
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
    strictness: Strictness,
    countries: Countries,
) -> Result<(Snapshot, Vec<Diagnostic>), Report> {
    let mut sources = Sources::new(&loaded);
    let config = loaded.config;
    sources.hash(b"configuration", format!("{config:?}").as_bytes());
    let certificates = certificates::load(&config, &mut sources);
    let upstream_tls = upstreams::load(&config, &mut sources);
    let verifiers = identity::load(&config, &mut sources);
    let geo = geo::load(&config, &mut sources);
    let lists = lists::with_unread(lists::load(&config, &mut sources), &config);
    let geo_state = match countries {
        Countries::Looked => geo_state(&config, geo.as_ref()),
        Countries::Stated => GeoState::Loaded,
    };
    let (policies, answer_rules) =
        policies::load(&config, &lists, geo_state, strictness, &mut sources);
    let router = Router::new(&config);
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
        answer_rules,
        upstream_tls,
        policies,
        definitions,
        known_bad,
        verifiers,
        geo,
        files,
    };
    Ok((snapshot, problems))
}

/// Where the database that the configuration names could not be read, its error is told already.
const fn geo_state(config: &Config, geo: Option<&Arc<Country>>) -> GeoState {
    match (geo, &config.geo.country, config.geo.required) {
        (Some(_), _, _) | (None, Some(_), _) => GeoState::Loaded,
        (None, None, true) => GeoState::Required,
        (None, None, false) => GeoState::Absent,
    }
}
