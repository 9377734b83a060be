//! What rule text may say and this engine does not do: one table, each row with its reason. A load notes each name once.

use super::Compiler;
use crate::syntax::Text;

/// What kind of word a row is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AcceptedKind {
    /// A directive.
    Directive,
    /// An action of a rule.
    Action,
    /// An option of `ctl`.
    Control,
}

/// A word that is accepted and has no effect here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// What it is.
    pub kind: AcceptedKind,
    /// The word, as the ModSecurity reference spells it.
    pub name: &'static str,
    /// Why nothing is lost.
    pub reason: &'static str,
}

const fn directive(name: &'static str, reason: &'static str) -> Accepted {
    Accepted { kind: AcceptedKind::Directive, name, reason }
}

const fn action(name: &'static str, reason: &'static str) -> Accepted {
    Accepted { kind: AcceptedKind::Action, name, reason }
}

const fn control(name: &'static str, reason: &'static str) -> Accepted {
    Accepted { kind: AcceptedKind::Control, name, reason }
}

/// Every word that is accepted and has no effect here.
pub const ACCEPTED: &[Accepted] = &[
    directive("SecAuditEngine", "the caller decides what is logged; the trace has everything"),
    directive("SecAuditLog", "the caller owns its logs"),
    directive("SecAuditLog2", "the caller owns its logs"),
    directive("SecAuditLogDirMode", "the caller owns its logs"),
    directive("SecAuditLogFileMode", "the caller owns its logs"),
    directive("SecAuditLogFormat", "the caller owns its logs"),
    directive("SecAuditLogParts", "the trace has everything"),
    directive("SecAuditLogRelevantStatus", "the caller decides what is logged"),
    directive("SecAuditLogStorageDir", "the caller owns its logs"),
    directive("SecAuditLogType", "the caller owns its logs"),
    directive("SecCollectionTimeout", "the caller's store decides how long it keeps"),
    directive("SecComponentSignature", "nothing reads it"),
    directive("SecDataDir", "the engine writes no files"),
    directive("SecDebugLog", "the trace has everything"),
    directive("SecDebugLogLevel", "the trace has everything"),
    directive("SecGeoLookupDb", "the caller looks countries up"),
    directive("SecPcreMatchLimit", "matching time is linear; the step budget bounds it"),
    directive("SecPcreMatchLimitRecursion", "matching does not recurse"),
    directive("SecRequestBodyInMemoryLimit", "bodies stay in memory, under their limit"),
    directive("SecSensorId", "nothing reads it"),
    directive("SecServerSignature", "the caller owns its answers"),
    directive("SecStatusEngine", "the engine reports to nobody"),
    directive("SecTmpDir", "the engine writes no files"),
    directive("SecTmpSaveUploadedFiles", "the engine writes no files"),
    directive("SecUploadDir", "the engine writes no files"),
    directive("SecUploadFileMode", "the engine writes no files"),
    directive("SecUploadKeepFiles", "the engine writes no files"),
    directive("SecWebAppId", "nothing reads it"),
    action("accuracy", "nothing reads it"),
    action("auditlog", "the caller decides what is logged"),
    action("maturity", "nothing reads it"),
    action("noauditlog", "the caller decides what is logged"),
    action("rev", "nothing reads it"),
    action("sanitiseArg", "values are bounded and escaped in the trace; the caller redacts"),
    action("sanitiseMatched", "values are bounded and escaped in the trace; the caller redacts"),
    action(
        "sanitiseMatchedBytes",
        "values are bounded and escaped in the trace; the caller redacts",
    ),
    action(
        "sanitiseRequestHeader",
        "values are bounded and escaped in the trace; the caller redacts",
    ),
    action(
        "sanitiseResponseHeader",
        "values are bounded and escaped in the trace; the caller redacts",
    ),
    control("auditEngine", "the caller decides what is logged"),
    control("auditLogParts", "the trace has everything"),
    control("debugLogLevel", "the trace has everything"),
];

/// The names of one kind, for advice on a misspelt one.
pub(super) fn names(kind: AcceptedKind) -> impl Iterator<Item = &'static str> {
    ACCEPTED.iter().filter(move |row| row.kind == kind).map(|row| row.name)
}

impl Compiler<'_> {
    /// Says whether a word is accepted without effect, and notes it the first time.
    pub(super) fn accepts(&mut self, kind: AcceptedKind, name: &Text) -> bool {
        let found = ACCEPTED.iter().find(|row| row.kind == kind && name.is(row.name));
        let Some(row) = found else { return false };
        if self.noted.insert((kind, row.name)) {
            let note = format!("`{}` is accepted and has no effect: {}", row.name, row.reason);
            self.problems.push(name.place().note(note));
        }
        true
    }
}
