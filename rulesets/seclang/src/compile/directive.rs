//! The table of directives.

use super::update::UpdateSyntax;
use super::{Compiler, Item, nearest};
use crate::Diagnostic;
use crate::program::{EngineMode, LimitAction};
use crate::syntax::{Directive, Text, actions};

/// Directives that are accepted and have no effect here, each with the reason.
const IGNORED: &[(&str, &str)] = &[
    ("SecAuditEngine", "the caller decides what is logged; the trace has everything"),
    ("SecAuditLog", "the caller owns its logs"),
    ("SecAuditLog2", "the caller owns its logs"),
    ("SecAuditLogDirMode", "the caller owns its logs"),
    ("SecAuditLogFileMode", "the caller owns its logs"),
    ("SecAuditLogFormat", "the caller owns its logs"),
    ("SecAuditLogParts", "the trace has everything"),
    ("SecAuditLogRelevantStatus", "the caller decides what is logged"),
    ("SecAuditLogStorageDir", "the caller owns its logs"),
    ("SecAuditLogType", "the caller owns its logs"),
    ("SecArgumentSeparator", "`&` is the only separator"),
    ("SecCollectionTimeout", "the caller's store decides how long it keeps"),
    ("SecComponentSignature", "nothing reads it"),
    ("SecCookieFormat", "cookies are cut by version 0, which version 1 extends"),
    ("SecDataDir", "the engine writes no files"),
    ("SecDebugLog", "the trace has everything"),
    ("SecDebugLogLevel", "the trace has everything"),
    ("SecGeoLookupDb", "the caller looks countries up"),
    ("SecPcreMatchLimit", "matching time is linear; the step budget bounds it"),
    ("SecPcreMatchLimitRecursion", "matching does not recurse"),
    ("SecRequestBodyInMemoryLimit", "bodies stay in memory, under their limit"),
    ("SecRequestBodyNoFilesLimit", "`SecRequestBodyLimit` bounds the whole body"),
    ("SecSensorId", "nothing reads it"),
    ("SecServerSignature", "the caller owns its answers"),
    ("SecStatusEngine", "the engine reports to nobody"),
    ("SecTmpDir", "the engine writes no files"),
    ("SecTmpSaveUploadedFiles", "the engine writes no files"),
    ("SecUnicodeMapFile", "the map of code page 20127, which the rules expect, is built in"),
    ("SecUploadDir", "the engine writes no files"),
    ("SecUploadFileLimit", "files are counted, not kept"),
    ("SecUploadFileMode", "the engine writes no files"),
    ("SecUploadKeepFiles", "the engine writes no files"),
    ("SecWebAppId", "nothing reads it"),
];

/// Directives that do something, for advice on a misspelt one.
const KNOWN: &[&str] = &[
    "Include",
    "IncludeOptional",
    "SecAction",
    "SecArgumentsLimit",
    "SecDefaultAction",
    "SecMarker",
    "SecRequestBodyAccess",
    "SecRequestBodyJsonDepthLimit",
    "SecRequestBodyLimit",
    "SecRequestBodyLimitAction",
    "SecResponseBodyAccess",
    "SecResponseBodyLimit",
    "SecResponseBodyLimitAction",
    "SecResponseBodyMimeType",
    "SecResponseBodyMimeTypesClear",
    "SecRule",
    "SecRuleEngine",
    "SecRuleRemoveById",
    "SecRuleRemoveByMsg",
    "SecRuleRemoveByTag",
    "SecRuleUpdateActionById",
    "SecRuleUpdateTargetById",
    "SecRuleUpdateTargetByMsg",
    "SecRuleUpdateTargetByTag",
];

impl Compiler<'_> {
    /// Obeys one directive.
    pub(super) fn directive(&mut self, directive: &Directive) -> Result<(), Diagnostic> {
        let name = directive.name.as_str()?.to_ascii_lowercase();
        let words = directive.words.as_slice();
        if self.chain_open && !matches!(name.as_str(), "secrule" | "secaction") {
            self.chain_open = false;
            let help = "the rule above says `chain`";
            return Err(directive.name.place().error_with("a chain needs a rule here", help));
        }
        match (name.as_str(), words) {
            ("secrule", _) => return self.rule(directive),
            ("secaction", _) => return self.action(directive),
            ("secdefaultaction", [text]) => return self.default_action(text),
            ("secmarker", [name]) => self.items.push(Item::Marker(name.as_str()?.to_owned())),
            ("secruleengine", [mode]) => self.settings.engine = engine(mode)?,
            ("secrequestbodyaccess", [word]) => self.settings.request_body = switch(word)?,
            ("secresponsebodyaccess", [word]) => self.settings.response_body = switch(word)?,
            ("secrequestbodylimit", [n]) => self.settings.request_body_limit = number(n)?,
            ("secresponsebodylimit", [n]) => self.settings.response_body_limit = number(n)?,
            ("secrequestbodylimitaction", [word]) => {
                self.settings.request_body_action = limit_action(word)?;
            }
            ("secresponsebodylimitaction", [word]) => {
                self.settings.response_body_action = limit_action(word)?;
            }
            ("secargumentslimit", [n]) => self.settings.arguments_max = number(n)?,
            ("secrequestbodyjsondepthlimit", [n]) => self.settings.json_depth_max = number(n)?,
            ("secresponsebodymimetypesclear", []) => self.settings.response_types.clear(),
            ("secresponsebodymimetype", types) => {
                let lower = types.iter().map(|t| t.bytes().to_ascii_lowercase());
                self.settings.response_types.extend(lower);
            }
            (update, words) if UpdateSyntax::is(update) => {
                let update = UpdateSyntax::read(update, &directive.name, words)?;
                self.updates.push(update);
            }
            _ => return self.without_effect(directive),
        }
        Ok(())
    }

    fn without_effect(&mut self, directive: &Directive) -> Result<(), Diagnostic> {
        let name = &directive.name;
        if let Some((_, reason)) = IGNORED.iter().find(|row| name.is(row.0)) {
            self.problems.push(name.place().note(format!("accepted, no effect: {reason}")));
            return Ok(());
        }
        if KNOWN.iter().any(|known| name.is(known)) {
            return Err(name.place().error("wrong number of arguments"));
        }
        let mut problem = name.place().error(format!("unknown directive `{}`", name.as_str()?));
        let known = KNOWN.iter().copied().chain(IGNORED.iter().map(|row| row.0));
        problem.help = nearest(name.bytes(), known);
        Err(problem)
    }

    fn default_action(&mut self, text: &Text) -> Result<(), Diagnostic> {
        let list = actions(text)?;
        let phase = list.iter().find(|action| action.name.is("phase"));
        let phase = phase.and_then(|action| action.value.as_ref());
        let Some(phase) = phase else {
            return Err(text.place().error("`SecDefaultAction` names its phase"));
        };
        let at = usize::from(super::action::phase(phase)?) - 1;
        if let Some(slot) = self.defaults.get_mut(at) {
            *slot = list.into_iter().filter(|action| !action.name.is("phase")).collect();
        }
        Ok(())
    }
}

/// `On`, `Off` or `DetectionOnly`.
pub(super) fn engine(word: &Text) -> Result<EngineMode, Diagnostic> {
    if word.is("On") {
        Ok(EngineMode::On)
    } else if word.is("Off") {
        Ok(EngineMode::Off)
    } else if word.is("DetectionOnly") {
        Ok(EngineMode::DetectionOnly)
    } else {
        Err(word.place().error("expected `On`, `Off` or `DetectionOnly`"))
    }
}

/// `On` or `Off`.
pub(super) fn switch(word: &Text) -> Result<bool, Diagnostic> {
    if word.is("On") {
        Ok(true)
    } else if word.is("Off") {
        Ok(false)
    } else {
        Err(word.place().error("expected `On` or `Off`"))
    }
}

fn limit_action(word: &Text) -> Result<LimitAction, Diagnostic> {
    if word.is("Reject") {
        Ok(LimitAction::Reject)
    } else if word.is("ProcessPartial") {
        Ok(LimitAction::ProcessPartial)
    } else {
        Err(word.place().error("expected `Reject` or `ProcessPartial`"))
    }
}

/// A count or a size in bytes.
pub(super) fn number(word: &Text) -> Result<usize, Diagnostic> {
    let parsed = word.as_str()?.parse();
    parsed.map_err(|_| word.place().error("expected a whole number"))
}
