//! Which route a host and a path lead to: hosts exactly, then wildcards; paths by the longest prefix.

use std::collections::HashMap;

/// Finds a `T` by host and path. Immutable; built by `compile`.
#[derive(Debug)]
pub struct Router<T> {
    exact: HashMap<Box<[u8]>, Paths<T>>,
    /// `*.example.com` as `.example.com`, longest first: the most specific wildcard answers.
    wildcard: Vec<(Box<[u8]>, Paths<T>)>,
}

/// The routes of one host.
#[derive(Debug)]
struct Paths<T>(
    /// Longest prefix first.
    Vec<(Box<[u8]>, T)>,
);

/// What a request's host and path lead to.
#[derive(Debug)]
pub enum Routed<'a, T> {
    /// A route.
    Route(&'a T),
    /// The host is served, the path is not.
    NoRoute,
    /// The host is not served.
    NoHost,
}

impl<T> Router<T> {
    /// Makes a router of hosts and their `(prefix, route)` pairs. A host `*.name` stands for every name below `name`.
    /// Of two equal hosts or prefixes the first one answers; the configuration refuses such pairs before.
    #[must_use]
    pub fn new(hosts: Vec<(String, Vec<(String, T)>)>) -> Self {
        let mut exact = HashMap::new();
        let mut wildcard = Vec::new();
        for (host, routes) in hosts {
            let paths = Paths::new(routes);
            match host.strip_prefix('*') {
                Some(suffix) => wildcard.push((boxed(&suffix.to_ascii_lowercase()), paths)),
                None => drop(exact.insert(boxed(&host.to_ascii_lowercase()), paths)),
            }
        }
        wildcard.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        Self { exact, wildcard }
    }

    /// Finds the route. `host` is the name without its port, in any case; one trailing dot is ignored.
    ///
    /// Costs one hash of the host, at most one comparison per wildcard, and one per route of the host.
    #[must_use]
    pub fn find(&self, host: &[u8], path: &[u8]) -> Routed<'_, T> {
        let Some(paths) = self.paths(host) else { return Routed::NoHost };
        paths.find(path).map_or(Routed::NoRoute, Routed::Route)
    }

    /// Says whether `host` is served.
    #[must_use]
    pub fn serves(&self, host: &[u8]) -> bool {
        self.paths(host).is_some()
    }

    /// Returns every route, in no particular order.
    pub fn routes(&self) -> impl Iterator<Item = &T> {
        let all = self.exact.values().chain(self.wildcard.iter().map(|(_, paths)| paths));
        all.flat_map(|paths| paths.0.iter().map(|(_, route)| route))
    }

    fn paths(&self, host: &[u8]) -> Option<&Paths<T>> {
        let host = host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase();
        let wild = || self.wildcard.iter().find(|(suffix, _)| is_below(&host, suffix));
        self.exact.get(host.as_slice()).or_else(|| wild().map(|(_, paths)| paths))
    }
}

fn is_below(host: &[u8], suffix: &[u8]) -> bool {
    host.len() > suffix.len() && host.ends_with(suffix)
}

impl<T> Paths<T> {
    fn new(routes: Vec<(String, T)>) -> Self {
        let mut routes: Vec<_> =
            routes.into_iter().map(|(prefix, route)| (boxed(&prefix), route)).collect();
        routes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(routes)
    }

    fn find(&self, path: &[u8]) -> Option<&T> {
        self.0.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, route)| route)
    }
}

fn boxed(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<u8> {
        let routes = |pairs: &[(&str, u8)]| {
            pairs.iter().map(|(prefix, id)| ((*prefix).to_owned(), *id)).collect()
        };
        Router::new(vec![
            ("a.test".to_owned(), routes(&[("/", 1), ("/api/v1/", 2), ("/api/v1/auth/", 3)])),
            ("b.test".to_owned(), routes(&[("/only/", 4)])),
            ("*.w.test".to_owned(), routes(&[("/", 5)])),
            ("*.x.w.test".to_owned(), routes(&[("/", 6)])),
            ("exact.w.test".to_owned(), routes(&[("/", 7)])),
        ])
    }

    #[test]
    fn host_and_longest_prefix_lead_to_one_route() {
        let router = router();
        for (host, path, expected) in [
            ("a.test", "/", Some(Some(1))),
            ("A.TEST.", "/x", Some(Some(1))),
            ("a.test", "/api/v1/x", Some(Some(2))),
            ("a.test", "/api/v1", Some(Some(1))),
            ("a.test", "/api/v1/auth/login", Some(Some(3))),
            ("b.test", "/", Some(None)),
            ("b.test", "/only/", Some(Some(4))),
            ("one.w.test", "/", Some(Some(5))),
            ("one.x.w.test", "/", Some(Some(6))),
            ("exact.w.test", "/", Some(Some(7))),
            (".w.test", "/", None),
            ("w.test", "/", None),
            ("c.test", "/", None),
            ("", "/", None),
        ] {
            let found = match router.find(host.as_bytes(), path.as_bytes()) {
                Routed::Route(id) => Some(Some(*id)),
                Routed::NoRoute => Some(None),
                Routed::NoHost => None,
            };
            assert_eq!(found, expected, "{host}{path}");
        }
    }
}
