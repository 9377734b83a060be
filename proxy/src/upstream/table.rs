//! What outlives the snapshots: how each server and each backend stands. Bounded by the configuration: what it no longer
//! names is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_config::model::Server;
use prometheus::IntCounter;

use super::breaker::Breaker;
use super::budget::RetryBudget;
use super::member::{self, Member};
use super::names::Name;
use crate::metrics::Metrics;

/// Every backend of the configuration, by its id.
#[derive(Debug)]
pub(crate) struct Table {
    metrics: Metrics,
    backends: Mutex<HashMap<String, Arc<Standings>>>,
}

/// One backend's part.
#[derive(Debug)]
pub(super) struct Standings {
    pub(super) breaker: Arc<Breaker>,
    pub(super) budget: RetryBudget,
    /// Further tries that were made.
    pub(super) retried: IntCounter,
    /// Further tries that the budget refused.
    pub(super) over_budget: IntCounter,
    members: Mutex<HashMap<String, Arc<Member>>>,
}

impl Table {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, backends: Mutex::default() }
    }

    /// Finds a backend's part, or makes it.
    pub(super) fn backend(&self, id: &str) -> Arc<Standings> {
        let mut backends = self.backends();
        let made = || Arc::new(Standings::new(id, &self.metrics));
        Arc::clone(backends.entry(id.to_owned()).or_insert_with(made))
    }

    /// Finds a server of a backend, or makes it.
    pub(super) fn member(&self, id: &str, standings: &Standings, server: &Server) -> Arc<Member> {
        let name = member::name(server);
        let mut members = standings.members();
        let made = || Arc::new(self.make(id, name.clone(), server));
        Arc::clone(members.entry(name.clone()).or_insert_with(made))
    }

    fn make(&self, id: &str, name: String, server: &Server) -> Member {
        let failed = self.metrics.backend_failures.with_label_values(&[id, name.as_str()]);
        let resolved = match server {
            Server::Name { host, port } => {
                let failed = self.metrics.backend_name_errors.with_label_values(&[id]);
                Some(Arc::new(Name::new(host, *port, failed)))
            }
            Server::Tcp(_) | Server::Unix(_) | Server::EmbeddedLicense => None,
        };
        Member::new(name, resolved, failed)
    }

    /// Every name that is looked up.
    pub(super) fn names(&self) -> Vec<Arc<Name>> {
        let backends: Vec<_> = self.backends().values().cloned().collect();
        let members = backends.iter().flat_map(|backend| {
            let members: Vec<_> = backend.members().values().cloned().collect();
            members
        });
        members.filter_map(|member| member.resolved.clone()).collect()
    }

    /// Forgets servers for which `is_named` says no, and backends without servers.
    pub(super) fn retain(&self, is_named: impl Fn(&str, &str) -> bool) {
        self.backends().retain(|id, backend| {
            let mut members = backend.members();
            members.retain(|name, _| is_named(id, name));
            !members.is_empty()
        });
    }

    fn backends(&self) -> MutexGuard<'_, HashMap<String, Arc<Standings>>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standings {
    fn new(id: &str, metrics: &Metrics) -> Self {
        let breaker = Breaker::new(
            metrics.backend_in_flight.with_label_values(&[id]),
            metrics.backend_shed.with_label_values(&[id]),
        );
        Self {
            breaker: Arc::new(breaker),
            budget: RetryBudget::default(),
            retried: metrics.backend_retries.with_label_values(&[id, "sent"]),
            over_budget: metrics.backend_retries.with_label_values(&[id, "over_budget"]),
            members: Mutex::default(),
        }
    }

    fn members(&self) -> MutexGuard<'_, HashMap<String, Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_configuration_no_longer_names_is_forgotten_and_the_rest_stays_the_same() {
        let table = Table::new(Metrics::new());
        let server = |port| Server::Name { host: "a".to_owned(), port };
        let standings = table.backend("b");
        let one = table.member("b", &standings, &server(1));
        table.member("b", &standings, &server(2));
        table.member("gone", &table.backend("gone"), &server(1));
        assert_eq!(table.names().len(), 3);
        table.retain(|backend, name| backend == "b" && name == "a:1");
        assert_eq!(table.names().len(), 1);
        let again = table.member("b", &table.backend("b"), &server(1));
        assert!(Arc::ptr_eq(&one, &again));
    }
}
