//! The functions with rules of their own: preconfigured WAF sets, address lists, adaptive protection.

use ipnet::IpNet;

use super::problem::{Problem, Span};
use super::syntax::{Syntax, SyntaxKind};
use super::typed::Node;

/// `evaluatePreconfiguredWaf(set, {…})`: whether any selected signature of the set matches.
#[derive(Clone, Debug)]
pub struct WafCall {
    /// The set.
    pub set: WafSet,
    /// Where its name stands.
    pub set_span: Span,
    /// 0 to 4: signatures of levels 1 to n. `None` was not written and means 4.
    pub sensitivity: Option<u8>,
    /// Signatures left out.
    pub opt_out: Vec<SignatureRef>,
    /// Signatures taken in, where the sensitivity is 0.
    pub opt_in: Vec<SignatureRef>,
    /// Whether the deprecated `evaluatePreconfiguredExpr` was written.
    pub deprecated: bool,
}

/// One signature by its id, as in `owasp-crs-v030301-id942251-sqli`, `owasp-crs-id942251-sqli` or `942251`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureRef {
    /// The SecLang rule's id.
    pub id: u32,
    /// What was written.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A preconfigured set's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WafSet {
    /// The whole name.
    pub name: String,
    /// The category, in Cloud Armor's word: `sqli`, `xss`, `scannerdetection`, ….
    pub category: &'static str,
    /// Which rules it is taken from.
    pub version: SetVersion,
}

/// The rules that a set's name asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetVersion {
    /// Core Rule Set 3.0: `sqli-stable`.
    Crs30,
    /// Core Rule Set 3.3: `sqli-v33-stable`.
    Crs33,
    /// Core Rule Set 4.22: `sqli-v422-stable`.
    Crs422,
    /// This project's own rules (extension): `sqli-core-stable`.
    Core,
}

const CATEGORIES: &[&str] = &[
    "sqli",
    "xss",
    "lfi",
    "rfi",
    "rce",
    "methodenforcement",
    "scannerdetection",
    "protocolattack",
    "php",
    "sessionfixation",
    "java",
    "nodejs",
    "generic",
    "cve",
    "protocolenforcement",
    "multipart",
    "dataleakage",
];

/// Categories of the Core Rule Set that Cloud Armor has no set of (extension).
const BEYOND_GOOGLE: &[&str] = &["protocolenforcement", "multipart", "dataleakage"];

impl WafSet {
    /// Takes a set's name apart; `None` when no such set exists.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix("-stable").or_else(|| name.strip_suffix("-canary"))?;
        let (category, version) = match stem.rsplit_once('-') {
            Some((category, "v33")) => (category, SetVersion::Crs33),
            Some((category, "v422")) => (category, SetVersion::Crs422),
            Some((category, "core")) => (category, SetVersion::Core),
            Some(("json", "sqli")) => ("sqli", SetVersion::Crs30),
            Some(_) => return None,
            None => (stem, SetVersion::Crs30),
        };
        let category = CATEGORIES.iter().find(|known| **known == category)?;
        let exists = match version {
            SetVersion::Crs30 => {
                !matches!(*category, "java" | "nodejs" | "generic")
                    && !BEYOND_GOOGLE.contains(category)
            }
            SetVersion::Crs33 => !matches!(*category, "generic" | "cve"),
            SetVersion::Crs422 => !matches!(*category, "nodejs" | "cve"),
            SetVersion::Core => *category != "cve",
        };
        exists.then(|| Self { name: name.to_owned(), category, version })
    }

    /// Returns what else than the set's own version Google writes inside its signatures' ids: the set of single holes lists
    /// some under two versions, and some of Google's own.
    fn other_versions(&self) -> &'static [&'static str] {
        if self.category == "cve" { &["v042200", "v202512"] } else { &[] }
    }

    /// Says whether Cloud Armor has a set of this name.
    #[must_use]
    pub fn is_google(&self) -> bool {
        self.version != SetVersion::Core && !BEYOND_GOOGLE.contains(&self.category)
    }

    /// Returns the set that someone who wrote `name` most likely meant.
    #[must_use]
    pub fn meant(name: &str) -> Option<String> {
        let versions = ["-v33", "-v422", "-core", ""];
        let channels = ["-stable", "-canary"];
        let mut names = Vec::new();
        for category in CATEGORIES {
            for version in versions {
                for channel in channels {
                    names.push(format!("{category}{version}{channel}"));
                }
            }
        }
        names
            .into_iter()
            .filter(|known| Self::parse(known).is_some())
            .map(|known| (strsim::damerau_levenshtein(&known, name), known))
            .filter(|(distance, _)| *distance <= 3)
            .min()
            .map(|(_, known)| known)
    }
}

impl SetVersion {
    /// Returns the version inside a signature id, as in `owasp-crs-v030301-…`.
    #[must_use]
    pub const fn in_signature(self) -> &'static str {
        match self {
            Self::Crs30 => "v030001",
            Self::Crs33 => "v030301",
            Self::Crs422 => "v042200",
            Self::Core => "core",
        }
    }
}

impl WafCall {
    /// Returns the highest level that it asks for: 0 when only named signatures are asked.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.sensitivity.unwrap_or(4)
    }
}

impl SignatureRef {
    /// Reads an id in any of the three spellings; the version, where written, must be the set's.
    pub(super) fn read(syntax: &Syntax, set: &WafSet) -> Result<Self, Problem> {
        let wrong = |message: String| Err(Problem::error("waf-signature", syntax.span, message));
        let text = if let SyntaxKind::Int(number) = &syntax.kind {
            number.to_string()
        } else if let Some(text) = syntax.text() {
            text.to_owned()
        } else {
            return wrong("a signature is named by a string".to_owned());
        };
        let Some((version, id)) = signature_id(&text) else {
            return wrong(format!("`{text}` is no signature id"))
                .map_err(|problem| problem.with_help("as in 'owasp-crs-v030301-id942251-sqli'"));
        };
        let wanted = set.version.in_signature();
        let fits = |version| version == wanted || set.other_versions().contains(&version);
        if version.is_some_and(|version| !fits(version)) {
            return wrong(format!("`{text}` is not of the version of `{}`", set.name)).map_err(
                |problem| {
                    problem.with_help(format!(
                        "write 'owasp-crs-{wanted}-id{id}-{}': otherwise it selects nothing",
                        set.category
                    ))
                },
            );
        }
        Ok(Self { id, text, span: syntax.span })
    }
}

/// Takes a signature id apart: its version, where one is written, and the number.
#[must_use]
pub fn signature_id(text: &str) -> Option<(Option<&str>, u32)> {
    if let Ok(id) = text.parse() {
        return Some((None, id));
    }
    let prefixes = ["owasp-crs-", "google-mrs-", "portcullis-"];
    let rest = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let (version, rest) = match rest.split_once("-id") {
        Some((version, rest)) => (Some(version), rest),
        None => (None, rest.strip_prefix("id")?),
    };
    let (digits, _category) = rest.split_once('-').unwrap_or((rest, ""));
    digits.parse().ok().map(|id| (version, id))
}

/// A question whether an address is in a list.
#[derive(Clone, Debug)]
pub struct ListCall {
    /// Which kind of list.
    pub kind: ListKind,
    /// The list's name, as in the configuration's `lists`.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// The address, a string.
    pub address: Box<Node>,
    /// Addresses that never count as in the list.
    pub exclusions: Vec<IpNet>,
}

/// The kinds of address list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `evaluateAddressGroup` and its organisation form.
    AddressGroup,
    /// `evaluateThreatIntelligence`.
    ThreatFeed,
    /// `evaluatePreconfiguredExpr('sourceiplist-…')`.
    NamedList,
    /// `address in lists['…']` (extension).
    Reference,
}
