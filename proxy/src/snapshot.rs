//! Everything that a request is judged by, whole and immutable. Built only by `compile`, published by `Shared`.

mod certificates;
mod client_trust;
mod upstream_tls;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_config::Config;
use portcullis_config::armor::SecurityPolicy;
use portcullis_config::model::{BackendId, PolicyId, ProviderId};
use portcullis_identity::revocation::Revocations;
use portcullis_policy::waf::AnswerRules;
use portcullis_policy::{IpSet, LimitId, Policy};

pub use certificates::{Certificate, Certificates, Choices, Stapled};
pub use client_trust::{ClientTrust, TrustDigest};
pub use upstream_tls::UpstreamTls;

use crate::bypass::Bypass;
use crate::egress::Egress;
use crate::geo::{Country, Networks};
use crate::key_sets::{Ring, Verifiers};
use crate::login::Login;
use crate::router::Router;
use crate::tickets::{Terms, TicketSecret};
use crate::trial::{OwnSuite, Tested};
use portcullis_config::secret::Secret;
use portcullis_incident::travel::Place;

/// One generation of the configuration, compiled. A request pins one at its start and never looks again.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts the published configurations of this process, from 1.
    pub generation: u64,
    /// SHA-256 over every byte that the compilation read, in hex.
    pub fingerprint: String,
    /// What the operator decided.
    pub config: Arc<Config>,
    /// Hosts and routes.
    pub router: Router,
    /// The certificates of each listener, in the order of `config.listeners`; none for a plain one.
    pub certificates: Vec<Option<Arc<Certificates>>>,
    /// What verifies the certificates of clients, by the host that asks for them, in lower case.
    pub client_trust: HashMap<Box<str>, Arc<ClientTrust>>,
    /// The secrets of session tickets, the sealing one first; none where the process draws its own.
    pub(crate) ticket_secrets: Option<Arc<[TicketSecret]>>,
    /// What lifts limits for load tests; nothing but in staging.
    pub bypass: Option<Arc<Bypass>>,
    /// The key with which alerts are posted; none where they are not taken on the metrics listener.
    pub(crate) alerts_key: Option<Arc<Secret>>,
    /// How people sign in to hosts, by the host's name.
    pub logins: HashMap<Box<str>, Arc<Login>>,
    /// The rule sets, by name, with what they were made of: the next generation takes over what has not changed.
    pub rulesets: BTreeMap<String, Arc<portcullis_rulesets::Loaded>>,
    /// The rules for answers, by the name of their rule set.
    pub answer_rules: BTreeMap<String, AnswerRules>,
    /// TLS to the servers of each backend that has it.
    pub upstream_tls: BTreeMap<BackendId, Arc<UpstreamTls>>,
    /// The security policies, by id.
    pub policies: BTreeMap<PolicyId, Arc<Policy>>,
    /// What each policy was compiled from.
    pub definitions: BTreeMap<PolicyId, Arc<SecurityPolicy>>,
    /// The priority of the rule by which a policy refuses an SQL injection, where it has one without further conditions:
    /// what a probe asks for.
    pub known_bad: BTreeMap<PolicyId, u32>,
    /// What verifies the tokens of each identity provider. Keys that are fetched change by themselves.
    pub verifiers: BTreeMap<ProviderId, Verifiers>,
    /// What the file of `identity.revocations` lists.
    pub revoked: Arc<Revocations>,
    /// The country database, if one is loaded.
    pub geo: Option<Arc<Country>>,
    /// The database of networks' numbers, if one is loaded.
    pub networks: Option<Arc<Networks>>,
    /// Lists of addresses, by name, as the policies ask them.
    pub lists: BTreeMap<String, Arc<IpSet>>,
    /// What guards everything that the edge itself fetches.
    pub egress: Arc<Egress>,
    /// What is taken for an incident, beyond single events.
    pub scenarios: Arc<Vec<portcullis_incident::Scenario>>,
    /// The tests that the configuration names for itself.
    pub tests: Vec<Arc<OwnSuite>>,
    /// How these tests went before it was published.
    pub tested: Tested,
    /// Every file and directory that it was made of: a change of one is worth a reload.
    pub files: Vec<PathBuf>,
}

impl Snapshot {
    /// Returns what this generation says about session tickets.
    pub(crate) fn ticket_terms(&self) -> Terms<'_> {
        Terms {
            generation: self.generation,
            settings: &self.config.session_tickets,
            secrets: self.ticket_secrets.as_deref(),
        }
    }

    /// Returns what verifies the clients of a server name as sent; none where the host asks for no certificates.
    pub(crate) fn client_trust(&self, server_name: &str) -> Option<&Arc<ClientTrust>> {
        if self.client_trust.is_empty() {
            return None;
        }
        let name = server_name.to_ascii_lowercase();
        // A host of its own goes before a pattern, also where only the pattern asks for certificates.
        let host = self.config.host(&name)?;
        self.client_trust.get(host.name.as_str())
    }

    /// Returns the country of an address: `''` where it is unknown, or where no database is loaded.
    #[must_use]
    pub fn region_code(&self, address: IpAddr) -> &str {
        self.geo.as_ref().map_or("", |geo| geo.region_code(address))
    }

    /// Returns the number of an address's network: 0 where it is unknown, or where no database is loaded.
    #[must_use]
    pub fn asn(&self, address: IpAddr) -> u32 {
        self.networks.as_ref().map_or(0, |networks| networks.asn(address))
    }

    /// Returns where an address is, as far as that says something of where people are.
    #[must_use]
    pub fn place(&self, address: IpAddr) -> Option<Place> {
        let geo = self.geo.as_ref()?;
        let is_exit = self.config.incidents.exits.has(address, self.asn(address));
        if is_exit { None } else { geo.place(address) }
    }

    /// Returns the key sets that are fetched.
    pub fn rings(&self) -> impl Iterator<Item = &Arc<Ring>> {
        self.verifiers.values().filter_map(Verifiers::ring)
    }

    /// Returns the limits that its policies count: what the state keeps through a reload.
    #[must_use]
    pub fn limit_ids(&self) -> Vec<LimitId> {
        self.policies.values().flat_map(|policy| policy.limit_ids()).collect()
    }
}
