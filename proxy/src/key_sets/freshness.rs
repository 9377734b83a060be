//! For how long an answer may be taken for fresh (RFC 9111 section 4.2), inside bounds of ours.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES};
use jiff::fmt::rfc2822;

/// No issuer is asked more often, whatever it says.
pub(super) const FRESH_MIN: Duration = Duration::from_secs(60);
/// A set is renewed at least that often: a key that was withdrawn is gone by then.
pub(super) const FRESH_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// Where the answer says nothing.
const FRESH_UNSAID: Duration = Duration::from_secs(60 * 60);

/// Returns for how long an answer is fresh. What is malformed says nothing.
pub(super) fn freshness(headers: &HeaderMap) -> Duration {
    said(headers).unwrap_or(FRESH_UNSAID).clamp(FRESH_MIN, FRESH_MAX)
}

fn said(headers: &HeaderMap) -> Option<Duration> {
    let control = text(headers, &CACHE_CONTROL);
    let directives = || control.iter().flat_map(|line| line.split(',')).map(str::trim);
    let is = |name: &str| directives().any(|directive| directive.eq_ignore_ascii_case(name));
    if is("no-store") || is("no-cache") {
        return Some(Duration::ZERO);
    }
    let age = || text(headers, &AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0_u64);
    let most = directives().find_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        let is_most = name.trim().eq_ignore_ascii_case("max-age");
        is_most.then(|| seconds.trim().trim_matches('"').parse::<u64>().ok())?
    });
    if let Some(most) = most {
        return Some(Duration::from_secs(most.saturating_sub(age())));
    }
    let expires = text(headers, &EXPIRES)?;
    // `Expires: 0` and the like mean that it is over already (RFC 9111 section 5.3).
    let Some(expires) = seconds(expires) else { return Some(Duration::ZERO) };
    let date = seconds(text(headers, &DATE)?)?;
    Some(Duration::from_secs(u64::try_from(expires.saturating_sub(date)).unwrap_or(0)))
}

fn text<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// An HTTP date (RFC 9110 section 5.6.7) in seconds since the Unix epoch.
fn seconds(date: &str) -> Option<i64> {
    Some(rfc2822::parse(date).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_fresh_as_it_says_inside_bounds() {
        let date = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
        for (headers, expected) in [
            (&[][..], 3600),
            (&[("cache-control", "public, max-age=19804, must-revalidate")][..], 19804),
            (&[("cache-control", "MAX-AGE=\"600\"")][..], 600),
            (&[("cache-control", "max-age=600"), ("age", "200")][..], 400),
            (&[("cache-control", "max-age=600"), ("age", "9999")][..], 60),
            (&[("cache-control", "max-age=1")][..], 60),
            (&[("cache-control", "max-age=99999999999999999999")][..], 3600),
            (&[("cache-control", "max-age=99999999")][..], 21600),
            (&[("cache-control", "no-store, max-age=7200")][..], 60),
            (&[("cache-control", "max-age=-1")][..], 3600),
            (&[date, ("expires", "Thu, 01 Jan 2026 02:00:00 GMT")][..], 7200),
            (&[date, ("expires", "Wed, 31 Dec 2025 02:00:00 GMT")][..], 60),
            (&[date, ("expires", "0")][..], 60),
            (&[("expires", "Thu, 01 Jan 2026 02:00:00 GMT")][..], 3600),
            (
                &[
                    date,
                    ("expires", "Thu, 01 Jan 2026 02:00:00 GMT"),
                    ("cache-control", "max-age=90"),
                ][..],
                90,
            ),
        ] {
            let map = headers.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            });
            let map: HeaderMap = map.collect();
            assert_eq!(freshness(&map), Duration::from_secs(expected), "{headers:?}");
        }
    }
}
