//! The table of directives.

use super::accepted::{AcceptedKind, names};
use super::update::UpdateSyntax;
use super::{Compiler, Item, nearest};
use crate::Diagnostic;
use crate::program::{EngineMode, LimitAction};
use crate::syntax::{Directive, Text, actions};

/// Directives that do something, for advice on a misspelt one.
const KNOWN: &[&str] = &[
    "Include",
    "IncludeOptional",
    "SecAction",
    "SecArgumentSeparator",
    "SecArgumentsLimit",
    "SecCookieFormat",
    "SecDefaultAction",
    "SecMarker",
    "SecParseXmlIntoArgs",
    "SecRequestBodyAccess",
    "SecRequestBodyJsonDepthLimit",
    "SecRequestBodyLimit",
    "SecRequestBodyLimitAction",
    "SecRequestBodyNoFilesLimit",
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
    "SecUnicodeMapFile",
    "SecUploadFileLimit",
    "SecXmlExternalEntity",
];

/// Directives of which one value is what the engine does; any other is refused, with the reason.
const ONE_VALUE: &[(&str, &str, &str)] = &[
    ("secargumentseparator", "&", "`&` is the only separator"),
    ("seccookieformat", "0", "cookies are cut as browsers write them, which is version 0"),
    ("secparsexmlintoargs", "Off", "XML is read as `XML:/*` and `XML://@*`"),
    ("secxmlexternalentity", "Off", "entities are never fetched"),
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
            ("secrequestbodynofileslimit", [n]) => {
                self.settings.request_body_no_files_limit = number(n)?;
            }
            ("secuploadfilelimit", [n]) => self.settings.files_max = number(n)?,
            ("secunicodemapfile", [_, page]) => unicode_map(page)?,
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
            (name, [word]) if ONE_VALUE.iter().any(|row| row.0 == name) => one_value(name, word)?,
            _ => return self.without_effect(directive),
        }
        Ok(())
    }

    fn without_effect(&mut self, directive: &Directive) -> Result<(), Diagnostic> {
        let name = &directive.name;
        if self.accepts(AcceptedKind::Directive, name) {
            return Ok(());
        }
        if KNOWN.iter().any(|known| name.is(known)) {
            return Err(name.place().error("wrong number of arguments"));
        }
        let mut problem = name.place().error(format!("unknown directive `{}`", name.as_str()?));
        let known = KNOWN.iter().copied().chain(names(AcceptedKind::Directive));
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

fn one_value(name: &str, word: &Text) -> Result<(), Diagnostic> {
    match ONE_VALUE.iter().find(|row| row.0 == name && !word.is(row.1)) {
        Some((_, value, reason)) => {
            Err(word.place().error_with(format!("only `{value}` is supported"), *reason))
        }
        None => Ok(()),
    }
}

/// The map that `t:urlDecodeUni` and its kin use is built in.
fn unicode_map(page: &Text) -> Result<(), Diagnostic> {
    if page.is("20127") {
        return Ok(());
    }
    let help = "the map of code page 20127, which the OWASP CRS asks for, is built in";
    Err(page.place().error_with("only code page 20127 is supported", help))
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
