//! What goes over the socket, both ways. The one place outside the configuration where types are read from JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::remedy::Remedy;

/// Bans to place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddBan {
    /// Whom they name, in the words of `BanKey`.
    pub keys: Vec<String>,
    /// How long they last, in seconds; none means for good.
    pub for_secs: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

/// A ban in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BanView {
    /// Whom it names.
    pub key: String,
    /// Who placed it: `rule`, `operator:NAME`, `incident:ID`.
    pub origin: String,
    /// The rule that placed it, as `POLICY/PRIORITY`.
    pub rule: Option<String>,
    /// The generation of the configuration that was served then; 0 where nobody knows any more.
    pub generation: u64,
    /// Why.
    pub reason: String,
    /// When it was placed, RFC 3339.
    pub since: String,
    /// When it ends, RFC 3339; none means never.
    pub until: Option<String>,
    /// Seconds until it ends, rounded up; none means never.
    pub remaining_secs: Option<u64>,
}

/// A person whose data is to be erased: one of the two.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantErasure {
    /// The subject of tokens.
    pub subject: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// What was erased.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErasedView {
    /// Lines that were taken out of the request log.
    pub request_lines: u64,
    /// Lines of the event log that name nobody any more.
    pub event_lines: u64,
    /// Incidents that name nobody any more.
    pub incidents: u64,
    /// Incidents that name them and are not over.
    pub open_incidents: Vec<String>,
    /// Files beside the logs that were not read.
    pub left_out: Vec<String>,
}

/// An entry for the allow-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddAllow {
    /// Whom it spares, in the words of `BanKey`.
    pub key: String,
    /// How long it holds, in seconds; none means for good.
    pub for_secs: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

/// An operator's entry of the allow-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AllowView {
    /// Whom it spares.
    pub key: String,
    /// Who added it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it was added, RFC 3339.
    pub since: String,
    /// When it ends, RFC 3339; none means never.
    pub until: Option<String>,
    /// Seconds until it ends, rounded up; none means never.
    pub remaining_secs: Option<u64>,
}

/// What an entry did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AllowAdded {
    /// The entry.
    pub entry: AllowView,
    /// The bans that it ended.
    pub ended: Vec<BanView>,
}

/// A reload to do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantReload {
    /// Take back what is published after so many seconds, unless it is kept before.
    pub confirm_secs: Option<u64>,
}

/// A server of a backend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackendView {
    /// The backend's id.
    pub backend: String,
    /// The server as configured.
    pub server: String,
    /// `up`, `down` (its probes fail), `ejected` (requests to it failed) or `drained`.
    pub state: String,
    /// Its weight.
    pub weight: u32,
    /// Requests that it has in work.
    pub in_flight: u64,
    /// Requests that the backend has in work.
    pub backend_in_flight: u64,
    /// Requests that the backend may have in work now; none means no bound.
    pub backend_limit: Option<u64>,
    /// Requests that wait for the backend.
    pub backend_waiting: u64,
}

/// A server or a backend to take out, or to take back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainBackend {
    /// `BACKEND/SERVER` or `BACKEND`.
    pub name: String,
    /// Whether it is taken out.
    pub drained: bool,
    /// Why.
    pub reason: Option<String>,
}

/// A route to close.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceLockdown {
    /// Its host and path, as `host/path`.
    pub route: String,
    /// For how long, in seconds.
    pub for_secs: u64,
    /// Why.
    pub reason: Option<String>,
}

/// A key to issue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueKey {
    /// The provider of keys; none means the only one.
    pub provider: Option<String>,
    /// The tenant that it speaks for.
    pub tenant: String,
    /// The subject that it is.
    pub subject: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// How long it is good, in seconds; none means until it is revoked.
    pub for_secs: Option<u64>,
    /// What for.
    pub reason: Option<String>,
}

/// A key whose text is to change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Its id.
    pub id: String,
    /// How long the text before is taken, in seconds.
    pub overlap_secs: u64,
    /// Why.
    pub reason: Option<String>,
}

/// A key that was issued.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiKeyView {
    /// Its id: the part of its text behind `pck_`.
    pub id: String,
    /// Its provider.
    pub provider: String,
    /// The tenant that it speaks for.
    pub tenant: String,
    /// The subject that it is.
    pub subject: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// When it was issued, RFC 3339.
    pub issued: String,
    /// When it ends, RFC 3339; none means never.
    pub expires: Option<String>,
    /// Whether it has ended.
    pub has_ended: bool,
    /// Until when the text before the last rotation is taken, RFC 3339; none where it is not.
    pub overlap_until: Option<String>,
    /// Who issued it.
    pub by: String,
    /// What for.
    pub reason: Option<String>,
}

/// A key with its text, which is said once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewKey {
    /// What its owner sends.
    pub text: String,
    /// What is known of it.
    pub key: ApiKeyView,
}

/// The key of assertions to rotate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateAssertion {
    /// How long the old key is published, in seconds; 60 at least.
    pub overlap_secs: u64,
    /// Why.
    pub reason: Option<String>,
}

/// Which key signs assertions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AssertionView {
    /// The id of the key that signs.
    pub kid: String,
    /// The file of public keys.
    pub jwks: PathBuf,
    /// The keys before it that are published still.
    pub retired: Vec<RetiredView>,
}

/// A key that signs no more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RetiredView {
    /// Its id.
    pub kid: String,
    /// Until when it is published, RFC 3339.
    pub until: String,
}

/// Something to revoke.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// What, in the words of `Revoked`.
    pub what: String,
    /// Only what was issued before this moment, RFC 3339; none means before now, or as `all` says.
    pub before: Option<String>,
    /// Whether what will be issued is revoked too.
    pub all: bool,
    /// Why.
    pub reason: Option<String>,
}

/// Something that is revoked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevocationView {
    /// What.
    pub what: String,
    /// Only what was issued before this moment is, RFC 3339; none means all of it.
    pub before: Option<String>,
    /// When it was revoked, RFC 3339.
    pub since: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// A closed route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LockdownView {
    /// Its host and path.
    pub route: String,
    /// When it opens, RFC 3339.
    pub until: String,
    /// Seconds until then.
    pub remaining_secs: u64,
    /// Why.
    pub reason: Option<String>,
}

/// What a reload did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReloadView {
    /// The generation that is served now.
    pub generation: u64,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Whether something was published; false when nothing had changed.
    pub changed: bool,
    /// What the known-good and known-bad requests gave.
    pub probes: Vec<String>,
    /// How many of the tests that the configuration names passed.
    pub tests: u64,
    /// Warnings, one line each.
    pub warnings: Vec<String>,
    /// Rate keys whose definition is gone and were forgotten.
    pub forgotten_keys: u64,
    /// Live bans of rules that are gone or defined otherwise now. They stand until they are released.
    pub changed_bans: Vec<BanView>,
    /// When it is taken back unless it is kept before, RFC 3339.
    pub revert_at: Option<String>,
}

/// How the tests of a configuration went before it was published.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TestedView {
    /// Files of cases.
    pub files: u64,
    /// Cases that passed.
    pub passed: u64,
    /// Cases that failed: only a start, which warns, lets them.
    pub failed: u64,
}

/// An upgrade to do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantUpgrade {
    /// The program; none means the path from which the running process was started.
    pub program: Option<PathBuf>,
}

/// The process that serves now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UpgradeView {
    /// Its process id.
    pub pid: u32,
    /// Its generation.
    pub generation: u64,
}

/// How the process is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StatusView {
    /// The program's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// `development`, `staging` or `production`.
    pub environment: String,
    /// Where the configuration is read from.
    pub config: String,
    /// The generation that is served.
    pub generation: u64,
    /// Its fingerprint.
    pub fingerprint: String,
    /// When it was published, RFC 3339.
    pub published: String,
    /// Why the last reload was refused; none if it was published.
    pub last_error: Option<String>,
    /// The generation that `policy rollback` would go back to.
    pub previous_generation: Option<u64>,
    /// When the served generation is taken back unless it is kept before, RFC 3339.
    pub revert_at: Option<String>,
    /// Whether the files hold what was gone back from.
    pub rolled_back: bool,
    /// The listeners' addresses.
    pub listeners: Vec<String>,
    /// The metrics listener's address.
    pub metrics: Option<String>,
    /// The policies, by id, with the routes that are under them.
    pub policies: Vec<PolicyView>,
    /// How the tests went that the configuration names; none if it names none.
    pub tests: Option<TestedView>,
    /// The country database's name; none if none is loaded.
    pub geo: Option<String>,
    /// The name of the database of networks' numbers; none if none is loaded.
    pub networks: Option<String>,
    /// The lists of addresses.
    pub lists: Vec<ListView>,
    /// The certificates that this process orders.
    pub certificates: Vec<CertificateView>,
    /// Bans in force.
    pub bans: u64,
    /// Rate keys held.
    pub rate_keys: u64,
    /// The cap on rate keys.
    pub rate_keys_max: u64,
}

/// One certificate that is ordered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateView {
    /// What it is for.
    pub names: Vec<String>,
    /// The authority's directory.
    pub directory: String,
    /// Until when it is valid, RFC 3339; none while there is none.
    pub not_after: Option<String>,
    /// When it is renewed, or ordered again, RFC 3339.
    pub next_order: Option<String>,
    /// What went wrong with the last order; none if it was good.
    pub last_error: Option<String>,
}

/// One list of the published snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListView {
    /// Its name in the configuration.
    pub name: String,
    /// Where it comes from.
    pub source: String,
    /// How many prefixes it has.
    pub prefixes: u64,
    /// For a list that is fetched: when it was last known to be what its source says, RFC 3339; none for never.
    pub fetched: Option<String>,
    /// For a list that is fetched: whether that is longer ago than its `max_age`.
    pub stale: bool,
}

/// One policy of the published snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its id in the configuration.
    pub id: String,
    /// Where it came from.
    pub source: String,
    /// `host/path` of each route that is under it.
    pub routes: Vec<String>,
    /// How many rules it has, the default rule among them.
    pub rules: usize,
    /// How many of them are in preview.
    pub previews: usize,
    /// Its text as it is served: rules by priority, in Cloud Armor's format.
    pub text: String,
}

/// What is remembered of a request, a client or a tenant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WhyView {
    /// The generation that is served now.
    pub generation: u64,
    /// The last decisions, the newest first.
    pub decisions: Vec<DecisionView>,
    /// Bans that stand against them now.
    pub bans: Vec<BanView>,
}

/// One decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DecisionView {
    /// When the request's head was read, RFC 3339.
    pub time: String,
    /// Its id.
    pub request_id: String,
    /// The generation that decided.
    pub generation: u64,
    /// The client's address.
    pub client: String,
    /// The country; empty if unknown.
    pub country: String,
    /// The token's tenant.
    pub tenant: Option<String>,
    /// The token's subject.
    pub subject: Option<String>,
    /// Method, host and target.
    pub request: String,
    /// The status that the client got.
    pub status: u16,
    /// Why the edge answered itself, in the metric's word.
    pub reason: Option<String>,
    /// What the client was told.
    pub told: Option<String>,
    /// What the client was not told.
    pub detail: Option<String>,
    /// The route's path.
    pub route: Option<String>,
    /// The rule that decided.
    pub rule: Option<RuleView>,
    /// Preview rules that matched.
    pub previews: Vec<RuleView>,
    /// What can be done about it.
    pub fix: Option<Remedy>,
    /// A test file of the fix, where it changes a policy.
    pub test: Option<String>,
}

/// One rule's part in a decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuleView {
    /// The policy's name.
    pub policy: String,
    /// Its file.
    pub file: Option<String>,
    /// The rule's priority.
    pub priority: u32,
    /// What it says it is for.
    pub description: String,
    /// Where it stands, if it still does.
    pub at: Option<String>,
    /// The action as written.
    pub action: String,
    /// What it did.
    pub outcome: String,
    /// The counter's key and what it said.
    pub counter: Option<String>,
    /// What matched, and where.
    pub fields: Vec<FieldView>,
    /// The beginning of what matched first.
    pub value: Option<String>,
}

/// One signature in one field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FieldView {
    /// The signature as the log names it.
    pub signature: String,
    /// `ARG_VALUES`, `HEADER_VALUES`, …
    pub field_type: String,
    /// The key of the pair; empty if the field has none.
    pub name: String,
}

/// Why a request on the socket was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What is wrong, one line.
    pub error: String,
    /// Every problem, drawn with carets; empty where `error` says it all.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// A word about an incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeIncident {
    /// The incident.
    pub id: String,
    /// `ack`, `contain`, `resolve`, `undo`.
    pub what: String,
    /// Why, for the audit file and the timeline.
    pub reason: Option<String>,
}

/// A test of notifiers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestNotify {
    /// The notifier; every one without it.
    pub notifier: Option<String>,
}

/// What came of a test.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotifiedView {
    /// The notifier.
    pub notifier: String,
    /// Why it was not told.
    pub error: Option<String>,
}

/// An incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IncidentView {
    /// `INC-YYYY-MM-DD-NNN`.
    pub id: String,
    /// `P0` to `P3`, as it stands.
    pub priority: String,
    /// `open`, `acknowledged`, `contained`, `resolved`.
    pub status: String,
    /// What it is, as in an event's `category`.
    pub category: String,
    /// The key under which its events meet.
    pub dedup_key: String,
    /// How many events it holds.
    pub events: u64,
    /// When its first event happened, RFC 3339.
    pub first_seen: String,
    /// When its latest event happened, RFC 3339.
    pub last_seen: String,
    /// Seconds from its first event until something held that stops it, or somebody said that it can do no more harm.
    pub contained_after_secs: Option<u64>,
    /// Seconds until it escalates, while nobody answers.
    pub escalates_in_secs: Option<u64>,
    /// The sources, at most 64.
    pub sources: Vec<String>,
    /// The verified subjects, at most 64.
    pub subjects: Vec<String>,
    /// The customers who are concerned, at most 64.
    pub tenants: Vec<String>,
    /// The rules that matched, at most 64.
    pub rules: Vec<String>,
    /// Foreign objects that were asked for, at most 64.
    pub objects: Vec<String>,
    /// What was done about it and is not over.
    pub responses: Vec<ResponseView>,
    /// What happened, in order.
    pub timeline: Vec<MomentView>,
}

/// A response to an incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResponseView {
    /// What, in words.
    pub what: String,
    /// `holds`, `is tried`, `dry run`, `undone`.
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when, RFC 3339.
    pub until: String,
}

/// One line of an incident's timeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MomentView {
    /// When, RFC 3339.
    pub at: String,
    /// What.
    pub what: String,
}
