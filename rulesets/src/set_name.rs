//! The names that Cloud Armor's policies use: of preconfigured sets (`sqli-v33-stable`) and of their signatures
//! (`owasp-crs-v030301-id942100-sqli`).

use crate::Category;
use std::fmt;

/// Where a set of rules comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// CRS 3.0, Cloud Armor's unversioned names.
    Crs30,
    /// CRS 3.3.
    Crs33,
    /// CRS 4, Cloud Armor's `v422`.
    Crs422,
    /// Our own rules.
    Core,
}

impl Family {
    /// Returns every family.
    pub const ALL: [Self; 4] = [Self::Crs30, Self::Crs33, Self::Crs422, Self::Core];

    /// Returns what stands between a category and its channel in a set's name.
    const fn infix(self) -> &'static str {
        match self {
            Self::Crs30 => "",
            Self::Crs33 => "-v33",
            Self::Crs422 => "-v422",
            Self::Core => "-core",
        }
    }

    /// Returns what a signature's id starts with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Crs30 => "owasp-crs-v030001-id",
            Self::Crs33 => "owasp-crs-v030301-id",
            Self::Crs422 => "owasp-crs-v042200-id",
            Self::Core => "portcullis-core-id",
        }
    }

    /// Returns the category that a word names in this family's sets.
    fn category(self, word: &str) -> Option<Category> {
        let category = Category::from_word(word)?;
        let known = match category {
            Category::ProtocolEnforcement | Category::Multipart | Category::DataLeakage => {
                self != Self::Crs30
            }
            Category::Generic => match self {
                Self::Crs30 => false,
                Self::Crs33 => word == "nodejs",
                Self::Crs422 | Self::Core => word == "generic",
            },
            Category::Java => self != Self::Crs30,
            Category::MethodEnforcement
            | Category::ScannerDetection
            | Category::ProtocolAttack
            | Category::Lfi
            | Category::Rfi
            | Category::Rce
            | Category::Php
            | Category::Xss
            | Category::Sqli
            | Category::SessionFixation => true,
        };
        known.then_some(category)
    }
}

/// Which edition of a set a name asks for. Here both are the same rules.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    /// `-stable`.
    Stable,
    /// `-canary`.
    Canary,
}

/// A preconfigured set by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetName {
    /// What its rules are about.
    pub category: Category,
    /// Which rules they are.
    pub family: Family,
    /// Which edition.
    pub channel: Channel,
    /// The only rules that belong to it; empty: all of the category.
    pub only: &'static [u32],
}

/// Reads the name of a preconfigured set; `None` for a name that Cloud Armor does not have and we do not add.
pub fn parse_set_name(name: &str) -> Option<SetName> {
    let (rest, channel) = match (name.strip_suffix("-stable"), name.strip_suffix("-canary")) {
        (Some(rest), _) => (rest, Channel::Stable),
        (None, Some(rest)) => (rest, Channel::Canary),
        (None, None) => return None,
    };
    // Two sets that Cloud Armor cut out of newer rules, Log4Shell and SQL in JSON: those of the Core Rule Set, and ours.
    match rest {
        "cve" => {
            let only = &[944_150, 944_151, 944_152, 9_544_120];
            return Some(SetName {
                category: Category::Java,
                family: Family::Crs422,
                channel,
                only,
            });
        }
        "json-sqli" => {
            let (category, only) = (Category::Sqli, &[942_550, 9_542_210]);
            return Some(SetName { category, family: Family::Crs422, channel, only });
        }
        _ => {} // a name made of its parts
    }
    let versioned = [Family::Crs33, Family::Crs422, Family::Core];
    let family = versioned.into_iter().find(|family| rest.ends_with(family.infix()));
    let family = family.unwrap_or(Family::Crs30);
    let category = family.category(rest.strip_suffix(family.infix())?)?;
    Some(SetName { category, family, channel, only: &[] })
}

/// A rule of a preconfigured set by the name that opt-outs and logs use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SignatureId {
    /// The family that the name's version stands for.
    pub family: Family,
    /// The rule's id.
    pub rule_id: u32,
    /// What the name says that the rule is about.
    pub category: Category,
}

impl SignatureId {
    /// Reads a signature's name.
    pub fn parse(name: &str) -> Option<Self> {
        let family = Family::ALL.into_iter().find(|family| name.starts_with(family.prefix()))?;
        let (id, word) = name.strip_prefix(family.prefix())?.split_once('-')?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self { family, rule_id: id.parse().ok()?, category: Category::from_word(word)? })
    }
}

impl fmt::Display for SignatureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.category, self.family) {
            (Category::Generic, Family::Crs30 | Family::Crs33) => "nodejs",
            (category, _) => category.as_str(),
        };
        write!(f, "{}{:06}-{word}", self.family.prefix(), self.rule_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sets_are_read_and_others_are_not() {
        let read = |name| parse_set_name(name).map(|set| (set.category, set.family, set.channel));
        use Channel::{Canary, Stable};
        for (name, expected) in [
            ("sqli-stable", Some((Category::Sqli, Family::Crs30, Stable))),
            ("xss-v33-canary", Some((Category::Xss, Family::Crs33, Canary))),
            ("rce-v422-stable", Some((Category::Rce, Family::Crs422, Stable))),
            ("sqli-core-stable", Some((Category::Sqli, Family::Core, Stable))),
            ("nodejs-v33-stable", Some((Category::Generic, Family::Crs33, Stable))),
            ("generic-v422-stable", Some((Category::Generic, Family::Crs422, Stable))),
            ("java-v33-stable", Some((Category::Java, Family::Crs33, Stable))),
            ("scannerdetection-stable", Some((Category::ScannerDetection, Family::Crs30, Stable))),
            ("cve-canary", Some((Category::Java, Family::Crs422, Canary))),
            ("java-stable", None),
            ("nodejs-stable", None),
            ("nodejs-v422-stable", None),
            ("generic-v33-stable", None),
            ("multipart-v33-stable", Some((Category::Multipart, Family::Crs33, Stable))),
            (
                "protocolenforcement-v422-stable",
                Some((Category::ProtocolEnforcement, Family::Crs422, Stable)),
            ),
            ("dataleakage-stable", None),
            ("sqli-v34-stable", None),
            ("sqli", None),
            ("sqli-v33", None),
            ("project-shield-stable", None),
            ("-stable", None),
            ("", None),
        ] {
            assert_eq!(read(name), expected, "{name}");
        }
        assert_eq!(parse_set_name("json-sqli-canary").unwrap().only, [942_550, 9_542_210]);
    }

    #[test]
    fn names_of_signatures_are_read_and_written_alike() {
        for name in [
            "owasp-crs-v030301-id942100-sqli",
            "owasp-crs-v042200-id934100-generic",
            "owasp-crs-v030301-id934100-nodejs",
            "owasp-crs-v030001-id044228-java",
            "portcullis-core-id9510100-sqli",
        ] {
            assert_eq!(SignatureId::parse(name).unwrap().to_string(), name);
        }
        for name in ["owasp-crs-v030302-id942100-sqli", "owasp-crs-v030301-id-sqli", "942100", ""] {
            assert_eq!(SignatureId::parse(name), None, "{name}");
        }
    }
}
