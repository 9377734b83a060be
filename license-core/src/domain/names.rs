//! The names that cross the boundary, each parsed once: tenant, subject, machine, mail address, license.

use std::fmt;
use std::str::FromStr;

/// A text that is not the name it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{what}` must be {rule}")]
pub struct NameError {
    what: &'static str,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $visibility:vis $type:ident, $what:literal, $rule:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        $visibility struct $type(String);

        impl $type {
            /// Returns the name as it was given.
            #[must_use]
            $visibility fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) { Ok(Self(text.to_owned())) } else { Err(NameError { what: $what, rule: $rule }) }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A tenant, by the id that tokens carry.
    pub TenantId, "tenant", "1 to 128 of letters, digits, `.`, `_`, `:` and `-`",
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

name! {
    /// A license's name within its tenant, for people.
    pub LicenseName, "license name", "1 to 128 characters without control characters",
    |text| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control)
}

name! {
    /// A user or service, by the subject that tokens carry.
    pub(crate) SubjectId, "subject", "1 to 256 characters without control characters",
    |text| (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

name! {
    /// A machine, by the fingerprint that the client computes.
    pub(crate) HardwareId, "hardware_id", "1 to 128 visible ASCII characters",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

name! {
    /// A mail address, for people who look at holders. It is not verified and decides nothing.
    pub(crate) UserEmail, "user_email", "a mail address of at most 254 bytes",
    |text| (3..=254).contains(&text.len())
        && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
        && text.bytes().all(|byte| byte > b' ' && byte != 127)
}

#[cfg(test)]
mod tests {
    use super::{HardwareId, LicenseName, SubjectId, TenantId, UserEmail};

    fn check<T: std::str::FromStr>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text:?}");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_held_to_their_form_at_every_limit() {
        let (at, over) = ("a".repeat(128), "a".repeat(129));
        check::<TenantId>(&["a", "acme.example:7_-", &at], &["", "a b", "ä", "a/b", &over]);
        check::<HardwareId>(&["hw-1", "{A=+/}", &at], &["", "a b", "a\n", "é", &over]);
        check::<LicenseName>(&["Zeichen ä", &at], &["", "a\n", &over]);
        let (at, over) = ("s".repeat(256), "s".repeat(257));
        check::<SubjectId>(&["user|1", &at], &["", "a\0b", &over]);
        check::<UserEmail>(
            &["a@b", "ä@example.com"],
            &["", "@b", "a@", "a@b@c", "a b@c", "ab", &over],
        );
    }
}
