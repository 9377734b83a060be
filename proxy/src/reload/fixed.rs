//! What a running process cannot change: sockets that are bound, files that are open, tables that have their size.

use std::collections::BTreeMap;

use portcullis_config::Config;
use portcullis_config::model::{Keep, Listener, ListenerCertificate, ListenerKind, Log};

/// Names the settings that differ and need a new process; certificates may change.
pub(super) fn changes(served: &Config, candidate: &Config) -> Vec<String> {
    let compared = [
        ("`listeners`", sockets(&served.listeners) == sockets(&candidate.listeners)),
        ("`admin`", served.admin == candidate.admin),
        ("`state_dir`", served.state_dir == candidate.state_dir),
        ("`workers`", served.workers == candidate.workers),
        ("`log`", opened(&served.log) == opened(&candidate.log)),
        ("`license`", served.license == candidate.license),
        ("`identity.assertion`", served.identity.assertion == candidate.identity.assertion),
        ("`limits`", served.limits == candidate.limits),
    ];
    compared.iter().filter(|(_, same)| !same).map(|(name, _)| (*name).to_owned()).collect()
}

/// The listeners without their certificates.
fn sockets(listeners: &[Listener]) -> Vec<Listener> {
    let without = |listener: &Listener| {
        let mut listener = listener.clone();
        match &mut listener.kind {
            ListenerKind::Tls(tls) => tls.certificates = Vec::<ListenerCertificate>::new(),
            ListenerKind::Plain | ListenerKind::RedirectToHttps { .. } => {}
        }
        listener
    };
    listeners.iter().map(without).collect()
}

/// The logs without what is taken up while they are written: who else gets events, and how long files are kept.
fn opened(log: &Log) -> Log {
    Log { sinks: BTreeMap::new(), keep: Keep::default(), ..log.clone() }
}
