//! Which servers are up, as their probes say. Kept beside the snapshots: a reload does not forget a server that is down.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_config::model::{Health, Server};

/// The health of every server that is probed. Bounded by the configuration: what it no longer names is forgotten.
#[derive(Debug, Default)]
pub(super) struct Table {
    servers: Mutex<HashMap<(String, String), Standing>>,
}

/// One server's standing. A server that has not been probed counts as up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Standing {
    is_up: bool,
    /// Probes in a row that said otherwise.
    against: u32,
}

impl Table {
    /// Says whether a server is used.
    pub(super) fn is_up(&self, backend: &str, server: &Server) -> bool {
        self.servers().get(&key(backend, server)).is_none_or(|standing| standing.is_up)
    }

    /// Takes a probe's word; returns whether that changed the server's standing.
    pub(super) fn note(
        &self,
        backend: &str,
        server: &Server,
        health: &Health,
        is_good: bool,
    ) -> bool {
        let mut servers = self.servers();
        let standing =
            servers.entry(key(backend, server)).or_insert(Standing { is_up: true, against: 0 });
        if is_good == standing.is_up {
            standing.against = 0;
            return false;
        }
        standing.against += 1;
        let enough = if standing.is_up { health.unhealthy } else { health.healthy };
        if standing.against < enough {
            return false;
        }
        *standing = Standing { is_up: is_good, against: 0 };
        true
    }

    /// Forgets servers for which `is_named` says no.
    pub(super) fn retain(&self, is_named: impl Fn(&str, &str) -> bool) {
        self.servers().retain(|(backend, server), _| is_named(backend, server));
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<(String, String), Standing>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(backend: &str, server: &Server) -> (String, String) {
    (backend.to_owned(), name(server))
}

/// A server's name in the table.
pub(super) fn name(server: &Server) -> String {
    match server {
        Server::Tcp(address) => address.to_string(),
        Server::Name { host, port } => format!("{host}:{port}"),
        Server::Unix(path) => format!("unix:{}", path.display()),
        Server::EmbeddedLicense => "embedded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_server_falls_after_three_bad_probes_and_rises_after_two_good_ones() {
        let health = Health {
            path: "/health".to_owned(),
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            healthy: 2,
            unhealthy: 3,
        };
        let table = Table::default();
        let server = Server::Name { host: "a".to_owned(), port: 1 };
        let mut seen = String::new();
        for probe in "++--+---+-++-".chars() {
            table.note("b", &server, &health, probe == '+');
            seen.push(if table.is_up("b", &server) { 'u' } else { 'd' });
        }
        assert_eq!(seen, "uuuuuuudddduu");
        table.retain(|_, _| false);
        assert!(table.servers().is_empty());
    }
}
