//! The functions on values, in one table: name, form, types.

use super::typed::Type;

/// A function on values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `a.contains(b)`, by bytes.
    Contains,
    /// `a.startsWith(b)`, by bytes.
    StartsWith,
    /// `a.endsWith(b)`, by bytes.
    EndsWith,
    /// `a.lower()`, ASCII only.
    Lower,
    /// `a.upper()`, ASCII only.
    Upper,
    /// `a.urlDecode()`: `%XX` and `+`; invalid sequences stay.
    UrlDecode,
    /// `a.urlDecodeUni()`: also `%uXXXX`.
    UrlDecodeUni,
    /// `a.base64Decode()`: either alphabet; invalid text gives `''`.
    Base64Decode,
    /// `a.utf8ToUnicode()`: beyond ASCII becomes `%uxxxx`.
    Utf8ToUnicode,
    /// `size(a)` and `a.size()`: bytes, or items of a list.
    Size,
    /// `int(a)`: of a string, an int or a double.
    Int,
    /// `double(a)`: of a string, an int or a double.
    Double,
    /// `string(a)`: of an int, a bool or a claim.
    String,
}

/// How a function is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Method,
    Global,
    Either,
}

/// One row: name, form, the receiver's or first argument's types, further arguments' types, result.
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    pub(super) form: Form,
    pub(super) first: &'static [Type],
    pub(super) rest: &'static [Type],
    pub(super) result: Type,
}

const TEXT: &[Type] = &[Type::String];
const NUMERIC: &[Type] = &[Type::String, Type::Int, Type::Double];

pub(super) const FUNCTIONS: &[Signature] = &[
    method("contains", Function::Contains, TEXT, Type::Bool),
    method("startsWith", Function::StartsWith, TEXT, Type::Bool),
    method("endsWith", Function::EndsWith, TEXT, Type::Bool),
    method("lower", Function::Lower, &[], Type::String),
    method("upper", Function::Upper, &[], Type::String),
    method("urlDecode", Function::UrlDecode, &[], Type::String),
    method("urlDecodeUni", Function::UrlDecodeUni, &[], Type::String),
    method("base64Decode", Function::Base64Decode, &[], Type::String),
    method("utf8ToUnicode", Function::Utf8ToUnicode, &[], Type::String),
    either("size", Function::Size, &[Type::String, Type::Strings, Type::Ints], Type::Int),
    global("int", Function::Int, NUMERIC, Type::Int),
    global("double", Function::Double, NUMERIC, Type::Double),
    global("string", Function::String, &[Type::String, Type::Int, Type::Bool], Type::String),
];

/// Names of the functions with rules of their own, for "did you mean".
pub(super) const SPECIAL: &[&str] = &[
    "has",
    "matches",
    "inIpRange",
    "evaluatePreconfiguredWaf",
    "evaluatePreconfiguredExpr",
    "evaluateAddressGroup",
    "evaluateOrganizationAddressGroup",
    "evaluateThreatIntelligence",
    "evaluateAdaptiveProtection",
    "evaluateAdaptiveProtectionAutoDeploy",
];

const fn method(
    name: &'static str,
    function: Function,
    rest: &'static [Type],
    result: Type,
) -> Signature {
    Signature { name, function, form: Form::Method, first: TEXT, rest, result }
}

const fn global(
    name: &'static str,
    function: Function,
    first: &'static [Type],
    result: Type,
) -> Signature {
    Signature { name, function, form: Form::Global, first, rest: &[], result }
}

const fn either(
    name: &'static str,
    function: Function,
    first: &'static [Type],
    result: Type,
) -> Signature {
    Signature { name, function, form: Form::Either, first, rest: &[], result }
}

/// Returns the function that someone who wrote `name` most likely meant.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let folded = name.to_ascii_lowercase().replace('_', "");
    let alias = match folded.as_str() {
        "tolower" | "lowercase" | "loweralpha" => Some("lower"),
        "toupper" | "uppercase" => Some("upper"),
        "len" | "length" => Some("size"),
        "cidrmatch" | "incidr" | "ipinrange" | "iprange" => Some("inIpRange"),
        "match" | "regex" | "matchesregex" => Some("matches"),
        "exists" | "defined" => Some("has"),
        _ => None,
    };
    alias.or_else(|| {
        FUNCTIONS
            .iter()
            .map(|signature| signature.name)
            .chain(SPECIAL.iter().copied())
            .map(|known| (strsim::damerau_levenshtein(&known.to_ascii_lowercase(), &folded), known))
            .filter(|(distance, known)| *distance <= 1 + known.len() / 5)
            .min()
            .map(|(_, known)| known)
    })
}

impl Function {
    /// Returns the name in the language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        FUNCTIONS.iter().find(|row| row.function == self).map_or("", |row| row.name)
    }
}
