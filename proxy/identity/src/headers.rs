//! Header names that only the edge may set. An origin may read `X_Edge_Subject` or `X.Edge.Subject` as
//! `X-Edge-Subject` (CGI, WSGI and PHP do), so names are compared after everything but letters and digits is folded.

/// Names that speak for an identity. A name is reserved when, folded, it is one of these or goes on after one of those
/// that end in `-`.
const IDENTITY: [&str; 27] = [
    "x-edge",
    "x-edge-",
    "x-user",
    "x-user-",
    "x-tenant",
    "x-tenant-",
    "x-role",
    "x-roles",
    "x-subject",
    "x-auth-request-",
    "x-auth-user",
    "x-authenticated-",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-remote-user",
    "remote-user",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-client-cert",
    "x-client-cert-",
    "x-ssl-client-",
    "x-jwt-",
    "x-original-user",
    "x-webauth-",
];

/// Names that speak for an address, a scheme or a host.
const FORWARDING: [&str; 14] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-rewrite-url",
];

/// Says whether a client may not send the header: it would speak for an identity. In a trailer neither.
#[must_use]
pub fn is_reserved(name: &[u8]) -> bool {
    is_one_of(&IDENTITY, name)
}

/// Says whether the header tells the origin where a request came from. The edge sets those anew and strips every other
/// spelling.
#[must_use]
pub fn is_forwarding(name: &[u8]) -> bool {
    is_one_of(&FORWARDING, name)
}

/// Says whether some server reads `name` as `known`.
#[must_use]
pub fn is_spelling_of(known: &str, name: &[u8]) -> bool {
    Folded::of(known.as_bytes()).eq(Folded::of(name))
}

/// Returns the names that `Connection` headers nominate for removal by the next hop. A nominated name must not remove
/// what the edge sets: the edge strips `Connection` and what it names first, and sets its own headers after.
pub fn connection_nominated<'a>(
    headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .into_iter()
        .filter(|(name, _)| {
            name.eq_ignore_ascii_case(b"connection")
                || name.eq_ignore_ascii_case(b"proxy-connection")
        })
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
}

/// Says whether a `Connection` header nominates a header that decides something: an identity, a credential, an address,
/// the framing. No honest client does.
#[must_use]
pub fn nominates_a_deciding_header<'a>(
    headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> bool {
    const DECIDING: [&str; 6] =
        ["authorization", "cookie", "host", "content-length", "content-type", "x-request-id"];
    connection_nominated(headers).any(|name| {
        is_reserved(name)
            || is_forwarding(name)
            || DECIDING.iter().any(|deciding| covers(deciding, name))
    })
}

/// Asked of every header of every request, and most differ in their first letter.
fn is_one_of(table: &[&str], name: &[u8]) -> bool {
    let Some(first) = Folded::of(name).next() else { return false };
    let begins_alike = |reserved: &&&str| reserved.as_bytes().first() == Some(&first);
    table.iter().filter(begins_alike).any(|reserved| covers(reserved, name))
}

/// Says whether `name`, folded, is `reserved`, or goes on after it where it ends in `-`.
fn covers(reserved: &str, name: &[u8]) -> bool {
    let mut folded = Folded::of(name);
    for wanted in reserved.bytes() {
        if folded.next() != Some(wanted) {
            return false;
        }
    }
    reserved.ends_with('-') || folded.next().is_none()
}

/// A name in lower case, each run of other characters than letters and digits as one `-`, none at either end.
struct Folded<'a> {
    rest: &'a [u8],
    between: bool,
}

impl<'a> Folded<'a> {
    const fn of(name: &'a [u8]) -> Self {
        Self { rest: name, between: false }
    }
}

impl Iterator for Folded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let skipped = self.rest.iter().take_while(|byte| !byte.is_ascii_alphanumeric()).count();
        let rest = self.rest.get(skipped..).unwrap_or_default();
        let (first, after) = rest.split_first()?;
        if skipped > 0 && self.between {
            self.rest = rest;
            return Some(b'-');
        }
        self.rest = after;
        self.between = true;
        Some(first.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests;
