//! The headers that every answer carries, the origin's and our own, and those that none carries.

use http::header::{HeaderName, SERVER};
use http::{HeaderMap, HeaderValue};
use portcullis_config::model::HeaderProfile;

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' https: data:; connect-src 'self'; font-src 'self'; object-src 'none'; frame-src 'none'; \
     base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

/// The profile `api`.
const API: &[(&str, &str)] = &[
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "0"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// What tells strangers which software answers.
const UNSENT: [HeaderName; 2] = [SERVER, HeaderName::from_static("x-powered-by")];

/// What else is usually set on an answer: the request's id, `Connection` and `Date`.
const SET_BESIDE: usize = 3;
const REPORTING_ENDPOINTS: HeaderName = HeaderName::from_static("reporting-endpoints");

/// The headers of one route's answers.
#[derive(Clone, Debug)]
pub struct SecurityHeaders(Vec<(HeaderName, HeaderValue)>);

impl Default for SecurityHeaders {
    fn default() -> Self {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Self(API.iter().map(pair).collect())
    }
}

impl SecurityHeaders {
    /// Makes those of a profile. Where there is a path for reports, policies name it, in the old way and the new one.
    #[must_use]
    pub fn of(profile: &HeaderProfile, reports: Option<&str>) -> Self {
        let Self(mut headers) = Self::default();
        let is_left = |name: &HeaderName| profile.remove.iter().any(|one| one == name.as_str());
        headers.retain(|(name, _)| !is_left(name));
        for (name, value) in &profile.set {
            // Decoding has seen that they are a header's.
            let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
            let (Ok(name), Ok(value)) = pair else { continue };
            headers.retain(|(known, _)| *known != name);
            headers.push((name, value));
        }
        if let Some(path) = reports {
            report_to(&mut headers, path);
        }
        Self(headers)
    }

    /// Sets them on an answer, over whatever the origin said, and takes away what no answer carries.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &UNSENT {
            headers.remove(name);
        }
        headers.reserve(self.0.len() + SET_BESIDE);
        for (name, value) in &self.0 {
            headers.insert(name.clone(), value.clone());
        }
    }
}

fn report_to(headers: &mut Vec<(HeaderName, HeaderValue)>, path: &str) {
    let is_policy = |name: &HeaderName| name.as_str().starts_with("content-security-policy");
    let policies = headers.iter_mut().filter(|(name, _)| is_policy(name));
    for (_, policy) in policies {
        let said = policy.to_str().unwrap_or_default();
        let with = format!("{said}; report-uri {path}; report-to csp");
        if let Ok(with) = HeaderValue::from_str(&with) {
            *policy = with;
        }
    }
    if let Ok(named) = HeaderValue::from_str(&format!("csp=\"{path}\"")) {
        headers.push((REPORTING_ENDPOINTS, named));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origins_word_is_overruled_and_its_name_removed() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("server", "x/1"),
            ("x-powered-by", "y"),
            ("x-frame-options", "SAMEORIGIN"),
            ("a", "b"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        SecurityHeaders::default().apply(&mut headers);
        assert_eq!(headers.len(), API.len() + 1);
        assert_eq!(headers.get_all("x-frame-options").iter().collect::<Vec<_>>(), ["DENY"]);
    }

    #[test]
    fn a_profile_sets_leaves_and_reports() {
        let profile = HeaderProfile {
            set: vec![
                ("content-security-policy".to_owned(), "default-src 'none'".to_owned()),
                ("x-own".to_owned(), "1".to_owned()),
            ],
            remove: vec!["x-frame-options".to_owned()],
        };
        let mut headers = HeaderMap::new();
        headers.append("x-frame-options", HeaderValue::from_static("SAMEORIGIN"));
        SecurityHeaders::of(&profile, Some("/csp")).apply(&mut headers);
        for (name, value) in [
            ("x-frame-options", "SAMEORIGIN"),
            ("x-own", "1"),
            ("content-security-policy", "default-src 'none'; report-uri /csp; report-to csp"),
            ("reporting-endpoints", "csp=\"/csp\""),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
    }
}
