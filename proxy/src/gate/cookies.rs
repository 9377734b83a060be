//! Cookies of an origin, made as strict as the route asks (RFC 6265, section 4.1.2, and its draft successor for `SameSite`).

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use portcullis_config::model::{Cookies, SameSite};

/// Rewrites every cookie of an answer: `Secure`, `HttpOnly` but for those that scripts read, and `SameSite` as strict as the
/// origin or the route says, whichever is stricter.
pub(super) fn rewrite(headers: &mut HeaderMap, rule: &Cookies) {
    let set: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    if set.is_empty() {
        return;
    }
    headers.remove(SET_COOKIE);
    // A value that were no header's would be one cookie less, never a laxer one.
    let strict = set.iter().filter_map(|one| HeaderValue::from_bytes(&stricter(one, rule)).ok());
    for one in strict {
        headers.append(SET_COOKIE, one);
    }
}

fn stricter(set: &HeaderValue, rule: &Cookies) -> Vec<u8> {
    let mut parts = set.as_bytes().split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default();
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    let mut is_hidden = !rule.script.iter().any(|one| one.as_bytes() == name);
    let mut same_site = rule.same_site;
    let mut out = pair.to_vec();
    for part in parts {
        let attribute = part.trim_ascii();
        let key = attribute.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        if key.eq_ignore_ascii_case(b"httponly") {
            is_hidden = true;
        } else if key.eq_ignore_ascii_case(b"samesite") {
            same_site = same_site.max(said(attribute));
        } else if !key.eq_ignore_ascii_case(b"secure") && !attribute.is_empty() {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(attribute);
        }
    }
    out.extend_from_slice(b"; Secure");
    if is_hidden {
        out.extend_from_slice(b"; HttpOnly");
    }
    out.extend_from_slice(b"; SameSite=");
    out.extend_from_slice(same_site.as_str().as_bytes());
    out
}

fn said(attribute: &[u8]) -> SameSite {
    let value = attribute.splitn(2, |byte| *byte == b'=').nth(1).unwrap_or_default().trim_ascii();
    let is = |word: SameSite| value.eq_ignore_ascii_case(word.as_str().as_bytes());
    [SameSite::Strict, SameSite::Lax].into_iter().find(|word| is(*word)).unwrap_or(SameSite::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_become_stricter_and_never_laxer() {
        let rule = |same_site| Cookies { same_site, script: vec!["theme".to_owned()] };
        for (set, same_site, expected) in [
            ("a=1", SameSite::Lax, "a=1; Secure; HttpOnly; SameSite=Lax"),
            (
                "a=1; Path=/; SameSite=None",
                SameSite::Lax,
                "a=1; Path=/; Secure; HttpOnly; SameSite=Lax",
            ),
            ("a=1; samesite=STRICT", SameSite::Lax, "a=1; Secure; HttpOnly; SameSite=Strict"),
            (
                "a=1;SameSite = Lax;secure",
                SameSite::Strict,
                "a=1; Secure; HttpOnly; SameSite=Strict",
            ),
            ("a=1; SameSite=Lax", SameSite::None, "a=1; Secure; HttpOnly; SameSite=Lax"),
            (
                "theme=dark; Max-Age=9",
                SameSite::None,
                "theme=dark; Max-Age=9; Secure; SameSite=None",
            ),
            ("theme=dark; HttpOnly", SameSite::Lax, "theme=dark; Secure; HttpOnly; SameSite=Lax"),
            (
                "a=b=c; Domain=x.test;; Expires=Thu, 01 Jan 2026 00:00:00 GMT",
                SameSite::Lax,
                "a=b=c; Domain=x.test; Expires=Thu, 01 Jan 2026 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax",
            ),
            (
                "a=1; SameSite=; SameSite=Strict; SameSite=None",
                SameSite::Lax,
                "a=1; Secure; HttpOnly; SameSite=Strict",
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, HeaderValue::from_str(set).unwrap());
            rewrite(&mut headers, &rule(same_site));
            assert_eq!(headers[SET_COOKIE], expected, "{set}");
        }
    }
}
