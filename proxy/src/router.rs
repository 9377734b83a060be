//! Which route a host and a path lead to: hosts exactly, paths by the longest prefix of whole segments.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use portcullis_config::Config;
use portcullis_config::model::{Backend, BackendId, Host, HostName, PolicyId, Route, RouteAction};

use crate::metrics::RouteDurations;
use crate::security_headers::SecurityHeaders;

/// A route of the published configuration, with what it refers to.
#[derive(Debug)]
pub struct RouteEntry {
    /// The host that it belongs to.
    pub host: HostName,
    /// Path and action as configured.
    pub route: Route,
    /// The backend that it forwards to; none for a redirect.
    pub backend: Option<(BackendId, Arc<Backend>)>,
    /// The response headers of its answers.
    pub security: Arc<SecurityHeaders>,
    /// Where its host's pages report to.
    pub reports: Option<String>,
    /// The id of the policy it is under, its own or its backend's.
    pub policy: Option<PolicyId>,
    /// How long its requests took.
    pub(crate) durations: RouteDurations,
    /// Requests since the incident desk last looked; without those of load tests.
    pub(crate) traffic: AtomicU64,
}

/// Finds a route by host and path. Immutable; built by `compile`.
#[derive(Clone, Debug, Default)]
pub struct Router {
    hosts: HashMap<Box<[u8]>, Vec<Arc<RouteEntry>>>,
    /// The response headers of answers without a route.
    security: Arc<SecurityHeaders>,
    /// Whether a host stands for all names one label below a domain.
    has_patterns: bool,
}

/// What a request's host and path lead to.
#[derive(Debug)]
pub enum Routed<'a> {
    /// A route.
    Route(&'a Arc<RouteEntry>),
    /// The host is served, the path is not.
    NoRoute,
    /// The host is not served.
    NoHost,
}

impl Router {
    /// Resolves the hosts of a checked configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let backends: HashMap<&str, Arc<Backend>> =
            config.backends.iter().map(|(id, b)| (id.as_str(), Arc::new(b.clone()))).collect();
        let hosts = config.hosts.iter().map(|host| {
            let entry = |route: &Route| Arc::new(resolve(config, &backends, host, route));
            (host.name.as_str().as_bytes().into(), host.routes.iter().map(entry).collect())
        });
        let has_patterns = config.hosts.iter().any(|host| host.name.as_str().starts_with('*'));
        let security = Arc::new(SecurityHeaders::of(&config.headers, None));
        Self { hosts: hosts.collect(), security, has_patterns }
    }

    /// Finds the route. `host` is the name without its port, in any case; one trailing dot is ignored.
    ///
    /// Costs one hash of the host, and one comparison per route of the host.
    #[must_use]
    pub fn find(&self, host: &[u8], path: &[u8]) -> Routed<'_> {
        let Some(routes) = self.routes(host) else { return Routed::NoHost };
        routes.iter().find(|entry| entry.route.matches(path)).map_or(Routed::NoRoute, Routed::Route)
    }

    /// Returns the response headers of answers without a route.
    #[must_use]
    pub fn security(&self) -> &SecurityHeaders {
        &self.security
    }

    /// Says whether `host` is served.
    #[must_use]
    pub fn serves(&self, host: &[u8]) -> bool {
        self.routes(host).is_some()
    }

    /// Returns every route, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<RouteEntry>> {
        self.hosts.values().flatten()
    }

    /// Says whether a host as configured has a route of this path as configured.
    #[must_use]
    pub fn has(&self, host: &str, path: &str) -> bool {
        let routes = self.hosts.get(host.as_bytes());
        routes.is_some_and(|routes| routes.iter().any(|entry| entry.route.path == path))
    }

    fn routes(&self, host: &[u8]) -> Option<&Vec<Arc<RouteEntry>>> {
        let host = host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase();
        if let Some(routes) = self.hosts.get(host.as_slice()) {
            return Some(routes);
        }
        if !self.has_patterns {
            return None;
        }
        let dot = host.iter().position(|byte| *byte == b'.')?;
        let pattern = [b"*", host.get(dot..)?].concat();
        self.hosts.get(pattern.as_slice())
    }
}

fn resolve(
    config: &Config,
    backends: &HashMap<&str, Arc<Backend>>,
    host: &Host,
    route: &Route,
) -> RouteEntry {
    let backend = match &route.action {
        RouteAction::Forward { backend, .. } => {
            backends.get(backend.as_str()).map(|found| (backend.clone(), Arc::clone(found)))
        }
        RouteAction::Redirect { .. } => None,
    };
    let profile = route.headers.as_deref().unwrap_or(&config.headers);
    RouteEntry {
        security: Arc::new(SecurityHeaders::of(profile, host.csp_reports.as_deref())),
        reports: host.csp_reports.clone(),
        durations: RouteDurations::default(),
        traffic: AtomicU64::new(0),
        host: host.name.clone(),
        route: route.clone(),
        backend,
        policy: config.policy_of(&route.action).cloned(),
    }
}
