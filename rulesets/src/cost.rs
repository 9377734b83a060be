//! What a rule costs a request that it does not match: one word per rule, from what its first link asks.

use seclang::{LinkInfo, RuleInfo};
use std::fmt;

/// How much work a rule is for each value that it reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cost {
    /// A comparison, or no test at all.
    Low,
    /// A search that the shared pass spares for values that cannot match.
    Filtered,
    /// A search of every value.
    EveryValue,
}

/// Operators that compare and do not search.
const COMPARISONS: &[&str] = &[
    "eq",
    "ge",
    "gt",
    "le",
    "lt",
    "streq",
    "beginswith",
    "endswith",
    "within",
    "ipmatch",
    "ipmatchf",
    "ipmatchfromfile",
    "geolookup",
    "unconditionalmatch",
    "nomatch",
    "rbl",
];

impl Cost {
    /// Returns what a rule costs. The links behind the first run only where that matches.
    pub fn of(info: &RuleInfo) -> Self {
        info.links.first().map_or(Self::Low, of_link)
    }

    /// Returns the word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Filtered => "filtered",
            Self::EveryValue => "every-value",
        }
    }
}

fn of_link(link: &LinkInfo) -> Cost {
    let name = link.operator.trim_start_matches(['!', '@']);
    let name = name.split(' ').next().unwrap_or_default().to_ascii_lowercase();
    let counts = !link.targets.is_empty() && link.targets.iter().all(|t| t.starts_with('&'));
    if name.is_empty() || counts || COMPARISONS.contains(&name.as_str()) {
        return Cost::Low;
    }
    let spared = !link.prefilter.is_empty() && link.prefilter != "none";
    // libinjection stands behind gates of its own.
    if spared || matches!(name.as_str(), "detectsqli" | "detectxss") {
        Cost::Filtered
    } else {
        Cost::EveryValue
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RuleSet, Source};

    #[test]
    fn a_rule_costs_what_its_first_link_asks() {
        let folder = tempfile::tempdir().unwrap();
        let text = "SecAction \"id:1,pass\"\n\
            SecRule &ARGS \"@gt 3\" \"id:2,pass\"\n\
            SecRule ARGS \"@rx (?i)union\\s+select\" \"id:3,pass\"\n\
            SecRule ARGS \"!@rx ^[a-z]+$\" \"id:4,pass\"\n\
            SecRule ARGS \"@detectSQLi\" \"id:5,pass\"\n\
            SecRule REMOTE_ADDR \"@ipMatch 10.0.0.0/8\" \"id:6,pass,chain\"\n\
            SecRule ARGS \"@rx .\" \"t:none\"\n";
        std::fs::write(folder.path().join("a.conf"), text).unwrap();
        let set = RuleSet::load("x", &Source::Directory(folder.path().to_owned()), 1).unwrap().set;
        let cost = |id: u32| Cost::of(set.program().rule(id).unwrap().1);
        let expected =
            [Cost::Low, Cost::Low, Cost::Filtered, Cost::EveryValue, Cost::Filtered, Cost::Low];
        assert_eq!([1, 2, 3, 4, 5, 6].map(cost), expected);
    }
}
