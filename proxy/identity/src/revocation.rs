//! What was valid and is no more: subjects, tenants, single tokens, keys, and everything issued before a moment. A list
//! is immutable; the shell publishes a new one, and the very next request is asked against it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use portcullis_config::Timestamp;

use crate::identity::Identity;
use crate::refusal::Why;

/// What a revocation names, written `subject:PROVIDER/NAME`, `tenant:NAME`, `token:PROVIDER/ID`, `key:PROVIDER/ID` or
/// `provider:NAME`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Revoked {
    /// Everything of a subject of a provider that was issued before [`Revocation::before`].
    Subject {
        /// The provider's configured name.
        provider: String,
        /// The subject.
        subject: String,
    },
    /// Everything of a tenant.
    Tenant(String),
    /// One token, by its `jti`.
    Token {
        /// The provider's configured name.
        provider: String,
        /// The token's `jti`.
        id: String,
    },
    /// Everything that a key of a provider signed.
    Key {
        /// The provider's configured name.
        provider: String,
        /// The key's id.
        kid: String,
    },
    /// Everything of a provider.
    Provider(String),
}

/// The text names nothing that can be revoked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` names nothing that can be revoked: write `subject:PROVIDER/NAME`, `tenant:NAME`, `token:PROVIDER/ID`, `key:PROVIDER/ID` or `provider:NAME`"
)]
pub struct BadRevoked(String);

impl Revoked {
    /// The longest text that names something, in bytes.
    pub const TEXT_BYTES_MAX: usize = 1024;

    /// Returns the provider that it names, if it does.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::Subject { provider, .. }
            | Self::Token { provider, .. }
            | Self::Key { provider, .. }
            | Self::Provider(provider) => Some(provider),
            Self::Tenant(_) => None,
        }
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject { provider, subject } => write!(f, "subject:{provider}/{subject}"),
            Self::Tenant(tenant) => write!(f, "tenant:{tenant}"),
            Self::Token { provider, id } => write!(f, "token:{provider}/{id}"),
            Self::Key { provider, kid } => write!(f, "key:{provider}/{kid}"),
            Self::Provider(provider) => write!(f, "provider:{provider}"),
        }
    }
}

impl FromStr for Revoked {
    type Err = BadRevoked;

    fn from_str(text: &str) -> Result<Self, BadRevoked> {
        let bad = || BadRevoked(text.escape_debug().take(200).collect());
        if text.len() > Self::TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(bad());
        }
        let (kind, name) = text.split_once(':').filter(|(_, n)| !n.is_empty()).ok_or_else(bad)?;
        // A provider's id holds no slash, so the first one ends it.
        let of = || {
            let (provider, name) = name.split_once('/').ok_or_else(bad)?;
            if provider.is_empty() || name.is_empty() {
                return Err(bad());
            }
            Ok((provider.to_owned(), name.to_owned()))
        };
        match kind {
            "subject" => of().map(|(provider, subject)| Self::Subject { provider, subject }),
            "tenant" => Ok(Self::Tenant(name.to_owned())),
            "token" => of().map(|(provider, id)| Self::Token { provider, id }),
            "key" => of().map(|(provider, kid)| Self::Key { provider, kid }),
            "provider" => Ok(Self::Provider(name.to_owned())),
            // Any other text.
            _ => Err(bad()),
        }
    }
}

/// A revocation with its reach in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// Only what was issued before this moment; `None` for all of it. A token without `iat` counts as issued before.
    pub before: Option<Timestamp>,
    /// When the entry may be dropped, because nothing that it concerns is valid any more; `None` for never.
    pub until: Option<Timestamp>,
}

/// A list of revocations, indexed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revocations {
    subjects: HashMap<String, HashMap<String, Reach>>,
    tenants: HashMap<String, Reach>,
    tokens: HashMap<String, HashMap<String, Reach>>,
    keys: HashMap<String, HashMap<String, Reach>>,
    providers: HashMap<String, Reach>,
    len: usize,
}

/// The list is full: [`Revocations::ENTRIES_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("more than {} revocations", Revocations::ENTRIES_MAX)]
pub struct TooManyRevocations;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    All,
    Before(Timestamp),
}

impl Reach {
    fn of(revocation: &Revocation) -> Self {
        revocation.before.map_or(Self::All, Self::Before)
    }

    /// Two revocations of one thing reach as far as the farther one.
    fn widen(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Before(a), Self::Before(b)) => Self::Before(a.max(b)),
        };
    }

    fn reaches(self, identity: &Identity) -> bool {
        match self {
            Self::All => true,
            Self::Before(moment) => identity.issued.is_none_or(|issued| issued < moment),
        }
    }
}

impl Revocations {
    /// The most entries of a list.
    pub const ENTRIES_MAX: usize = 1_000_000;

    /// Indexes a list; entries whose `until` has passed are left out.
    ///
    /// # Errors
    /// When there are more than [`Self::ENTRIES_MAX`]. A list is never cut: what it leaves out would be let in.
    pub fn new(
        entries: impl IntoIterator<Item = Revocation>,
        now: Timestamp,
    ) -> Result<Self, TooManyRevocations> {
        let mut list = Self::default();
        for entry in entries {
            if entry.until.is_none_or(|until| now < until) {
                list.add(entry);
            }
            if list.len > Self::ENTRIES_MAX {
                return Err(TooManyRevocations);
            }
        }
        Ok(list)
    }

    /// Returns how many entries the list has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Says whether nothing is revoked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Says why an identity is revoked, if it is.
    #[must_use]
    pub fn why(&self, identity: &Identity) -> Option<Why> {
        if self.is_empty() {
            return None;
        }
        let of = |map: &HashMap<String, HashMap<String, Reach>>, name: Option<&String>| {
            map.get(&identity.provider).zip(name).and_then(|(map, name)| map.get(name)).copied()
        };
        let found = [
            (of(&self.tokens, identity.token_id.as_ref()), Why::RevokedToken),
            (of(&self.subjects, Some(&identity.subject)), Why::RevokedSubject),
            (find(&self.tenants, identity.tenant.as_ref()), Why::RevokedTenant),
            (of(&self.keys, identity.key_id.as_ref()), Why::RevokedKey),
            (find(&self.providers, Some(&identity.provider)), Why::RevokedByTime),
        ];
        let reaches = |(reach, why): (Option<Reach>, Why)| {
            reach.filter(|reach| reach.reaches(identity)).map(|_| why)
        };
        found.into_iter().find_map(reaches)
    }

    fn add(&mut self, entry: Revocation) {
        let reach = Reach::of(&entry);
        self.len += 1;
        match entry.what {
            Revoked::Subject { provider, subject } => {
                insert(self.subjects.entry(provider).or_default(), subject, reach);
            }
            Revoked::Tenant(tenant) => insert(&mut self.tenants, tenant, reach),
            Revoked::Token { provider, id } => {
                insert(self.tokens.entry(provider).or_default(), id, reach);
            }
            Revoked::Key { provider, kid } => {
                insert(self.keys.entry(provider).or_default(), kid, reach);
            }
            Revoked::Provider(provider) => insert(&mut self.providers, provider, reach),
        }
    }
}

fn find(map: &HashMap<String, Reach>, name: Option<&String>) -> Option<Reach> {
    name.and_then(|name| map.get(name)).copied()
}

fn insert<K: Eq + Hash>(map: &mut HashMap<K, Reach>, key: K, reach: Reach) {
    map.entry(key).and_modify(|old| old.widen(reach)).or_insert(reach);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            provider: "p".to_owned(),
            subject: "alice".to_owned(),
            tenant: Some("acme".to_owned()),
            roles: Vec::new(),
            scopes: Vec::new(),
            token_id: Some("t1".to_owned()),
            issuer: "https://issuer".to_owned(),
            key_id: Some("k1".to_owned()),
            issued: Some(Timestamp::from_secs(1000)),
            expires: Timestamp::from_secs(2000),
            claims: serde_json::Map::new(),
        }
    }

    fn why(what: Revoked, before: Option<u64>) -> Option<Why> {
        let before = before.map(Timestamp::from_secs);
        let entry = Revocation { what, before, until: None };
        Revocations::new([entry], Timestamp::from_secs(1500)).unwrap().why(&identity())
    }

    fn of(provider: &str, name: &str, make: fn(String, String) -> Revoked) -> Revoked {
        make(provider.to_owned(), name.to_owned())
    }

    #[test]
    fn each_kind_refuses_what_it_names_and_nothing_else() {
        let subject = |provider, subject| Revoked::Subject { provider, subject };
        let token = |provider, id| Revoked::Token { provider, id };
        let key = |provider, kid| Revoked::Key { provider, kid };
        let cases = [
            (of("p", "alice", subject), Some(Why::RevokedSubject)),
            (of("p", "bob", subject), None),
            (of("q", "alice", subject), None),
            (Revoked::Tenant("acme".to_owned()), Some(Why::RevokedTenant)),
            (Revoked::Tenant("other".to_owned()), None),
            (of("p", "t1", token), Some(Why::RevokedToken)),
            (of("p", "t2", token), None),
            (of("q", "t1", token), None),
            (of("p", "k1", key), Some(Why::RevokedKey)),
            (of("p", "k2", key), None),
            (Revoked::Provider("p".to_owned()), Some(Why::RevokedByTime)),
            (Revoked::Provider("q".to_owned()), None),
        ];
        for (what, expected) in cases {
            assert_eq!(why(what.clone(), None), expected, "{what:?}");
        }
    }

    #[test]
    fn what_is_revoked_has_a_text_that_reads_back() {
        for text in [
            "subject:google/uid-1",
            "subject:google/a/b:c",
            "tenant:acme",
            "token:main/t-1",
            "key:main/k1",
            "provider:main",
        ] {
            assert_eq!(text.parse::<Revoked>().unwrap().to_string(), text);
        }
        let long = format!("tenant:{}", "t".repeat(1024));
        for text in [
            "",
            "acme",
            "tenant:",
            "subject:ada",
            "subject:/ada",
            "subject:p/",
            "user:p/a",
            "tenant:a\nb",
            &long,
        ] {
            assert!(text.parse::<Revoked>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_was_issued_before_the_moment_is_revoked() {
        let tenant = || Revoked::Tenant("acme".to_owned());
        assert_eq!(why(tenant(), Some(999)), None);
        assert_eq!(why(tenant(), Some(1000)), None);
        assert_eq!(why(tenant(), Some(1001)), Some(Why::RevokedTenant));
        let entry =
            Revocation { what: tenant(), before: Some(Timestamp::from_secs(1)), until: None };
        let list = Revocations::new([entry], Timestamp::from_secs(0)).unwrap();
        let undated = Identity { issued: None, ..identity() };
        assert_eq!(list.why(&undated), Some(Why::RevokedTenant), "no `iat` is no way around");
    }

    #[test]
    fn an_entry_ends_and_two_of_one_thing_reach_as_far_as_the_farther() {
        let entry = |before: Option<u64>, until: Option<u64>| Revocation {
            what: Revoked::Tenant("acme".to_owned()),
            before: before.map(Timestamp::from_secs),
            until: until.map(Timestamp::from_secs),
        };
        let list = |entries: Vec<Revocation>, now| {
            Revocations::new(entries, Timestamp::from_secs(now)).unwrap()
        };
        assert!(list(vec![entry(None, Some(50))], 50).is_empty());
        assert_eq!(list(vec![entry(None, Some(50))], 49).len(), 1);
        for entries in [
            vec![entry(Some(1001), None), entry(Some(1), None)],
            vec![entry(Some(1), None), entry(Some(1001), None)],
            vec![entry(Some(1), None), entry(None, None)],
        ] {
            assert_eq!(list(entries, 0).why(&identity()), Some(Why::RevokedTenant));
        }
    }
}
