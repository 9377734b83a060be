//! What is known of a rule without running it.

/// A rule's place in [`Program::rules`](super::Program::rules).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleIndex(u32);

impl RuleIndex {
    /// The rule at a place of that list.
    pub fn new(at: usize) -> Self {
        Self(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// The place as a number.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// What a rule says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleInfo {
    /// Its id, unique in a program.
    pub id: u32,
    /// The phase in which it runs, 1 to 5.
    pub phase: u8,
    /// Its message, macros unexpanded; empty when it has none.
    pub msg: String,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// From its tag `paranoia-level/N`.
    pub paranoia: Option<u8>,
    /// Its `ver`.
    pub version: Option<String>,
    /// The file in which it stands.
    pub file: String,
    /// The line on which it starts, counted from 1.
    pub line: u32,
    /// The links of its chain, the first included.
    pub links: Vec<LinkInfo>,
    /// Whether a match is logged.
    pub log: bool,
}

/// One link of a rule's chain, as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkInfo {
    /// The targets after updates, in SecLang's spelling; empty for `SecAction`.
    pub targets: Vec<String>,
    /// The operator as written, with `!` and `@`; empty for `SecAction`.
    pub operator: String,
    /// The transformations in order, defaults applied.
    pub transformations: Vec<String>,
    /// How the prefilter spares its operator: `none`, or what a value must hold.
    pub prefilter: String,
}
