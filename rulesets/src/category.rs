//! What a rule is about, in Cloud Armor's words.

use std::fmt;

/// The class of attack that a rule looks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Category {
    /// Methods that are not allowed (911).
    MethodEnforcement,
    /// Scanners, by their headers (913).
    ScannerDetection,
    /// Requests that break the protocol (920). Cloud Armor has no set of it.
    ProtocolEnforcement,
    /// Smuggling, splitting, header injection (921).
    ProtocolAttack,
    /// Multipart bodies that parsers read differently (922). Cloud Armor has no set of it.
    Multipart,
    /// Local files (930).
    Lfi,
    /// Remote files (931).
    Rfi,
    /// Commands (932).
    Rce,
    /// PHP (933).
    Php,
    /// Node.js and other platforms (934): `nodejs` in CRS 3.3, `generic` in CRS 4.
    Generic,
    /// Scripts in pages (941).
    Xss,
    /// SQL (942).
    Sqli,
    /// Session fixation (943).
    SessionFixation,
    /// Java (944).
    Java,
    /// Answers that leak (950 to 956). Cloud Armor has no set of it.
    DataLeakage,
}

/// A category with Cloud Armor's word and the thousands of CRS ids that belong to it.
struct Row(Category, &'static str, std::ops::RangeInclusive<u32>, &'static [&'static str]);

static TABLE: [Row; 15] = {
    use Category::{
        DataLeakage, Generic, Java, Lfi, MethodEnforcement, Multipart, Php, ProtocolAttack,
        ProtocolEnforcement, Rce, Rfi, ScannerDetection, SessionFixation, Sqli, Xss,
    };
    [
        Row(MethodEnforcement, "methodenforcement", 911..=911, &["attack-method"]),
        Row(ScannerDetection, "scannerdetection", 913..=913, &["attack-reputation-scanner"]),
        Row(ProtocolEnforcement, "protocolenforcement", 920..=920, &[]),
        Row(ProtocolAttack, "protocolattack", 921..=921, &["attack-protocol"]),
        Row(Multipart, "multipart", 922..=922, &["attack-multipart-header"]),
        Row(Lfi, "lfi", 930..=930, &["attack-lfi"]),
        Row(Rfi, "rfi", 931..=931, &["attack-rfi"]),
        Row(Rce, "rce", 932..=932, &["attack-rce"]),
        Row(Php, "php", 933..=933, &["attack-injection-php"]),
        Row(
            Generic,
            "generic",
            934..=934,
            &["attack-injection-generic", "attack-injection-nodejs"],
        ),
        Row(Xss, "xss", 941..=941, &["attack-xss"]),
        Row(Sqli, "sqli", 942..=942, &["attack-sqli"]),
        Row(SessionFixation, "sessionfixation", 943..=943, &["attack-fixation"]),
        Row(Java, "java", 944..=944, &["attack-injection-java"]),
        Row(DataLeakage, "dataleakage", 950..=956, &["attack-disclosure"]),
    ]
};

impl Category {
    /// Returns every category.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// Returns Cloud Armor's word for the category, or one like it where Cloud Armor has none.
    pub fn as_str(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Reads Cloud Armor's word; `nodejs` is the older one for [`Category::Generic`].
    pub fn from_word(word: &str) -> Option<Self> {
        if word == "nodejs" {
            return Some(Self::Generic);
        }
        TABLE.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    /// Returns the category of a rule: of an id of CRS by its thousands, of any other by its tags.
    pub(crate) fn of(rule_id: u32, tags: &[String]) -> Option<Self> {
        if (900_000..=999_999).contains(&rule_id) {
            return TABLE.iter().find(|row| row.2.contains(&(rule_id / 1000))).map(|row| row.0);
        }
        let tagged = |row: &&Row| row.3.iter().any(|tag| tags.iter().any(|own| own == tag));
        TABLE.iter().find(tagged).map(|row| row.0)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_categories_are_one_to_one() {
        for category in Category::all() {
            assert!(!category.as_str().is_empty());
            assert_eq!(Category::from_word(category.as_str()), Some(category));
        }
        assert_eq!(Category::all().count(), 15);
        assert_eq!(Category::from_word("nodejs"), Some(Category::Generic));
        assert_eq!(Category::from_word("SQLI"), None);
    }

    #[test]
    fn a_rule_of_crs_is_placed_by_its_id_and_another_by_its_tags() {
        let tags = ["attack-xss".to_owned(), "paranoia-level/1".to_owned()];
        for (id, expected) in [
            (942_100, Some(Category::Sqli)),
            (941_100, Some(Category::Xss)),
            (949_110, None),
            (901_100, None),
            (953_100, Some(Category::DataLeakage)),
            (1_000, Some(Category::Xss)),
            (9_500_100, Some(Category::Xss)),
        ] {
            assert_eq!(Category::of(id, &tags), expected, "{id}");
        }
        assert_eq!(Category::of(1_000, &[]), None);
    }
}
