//! Reads sources: directives in order, `Include` in place.

use std::sync::Arc;

use super::Compiler;
use crate::syntax::{Directive, SourceText, Text, directives};

/// How deep files may include each other.
const DEPTH_MAX: usize = 16;

impl Compiler<'_> {
    /// Reads one source and what it includes.
    pub(super) fn source(&mut self, source: &Arc<SourceText>) {
        self.open.push(source.name.clone());
        for directive in directives(source, &mut self.problems) {
            self.one(&directive);
        }
        if self.chain_open {
            self.chain_open = false;
            let end = Text::new(source, source.bytes.len().saturating_sub(1));
            self.problems.push(end.place().error("the file ends inside a chain"));
        }
        self.open.pop();
    }

    fn one(&mut self, directive: &Directive) {
        let name = &directive.name;
        if name.is("Include") {
            self.include(directive, true);
        } else if name.is("IncludeOptional") {
            self.include(directive, false);
        } else {
            let result = self.directive(directive);
            self.keep(result);
        }
    }

    fn include(&mut self, directive: &Directive, required: bool) {
        let [pattern] = directive.words.as_slice() else {
            let problem = directive.name.place().error("`Include` takes one path");
            self.problems.push(problem);
            return;
        };
        let path = pattern.as_str().map(str::to_owned);
        let Some(path) = self.keep(path) else { return };
        let from = self.open.last().cloned().unwrap_or_default();
        let found = match self.resolve.expand(&path, &from) {
            Ok(found) => found,
            Err(error) => {
                self.problems.push(pattern.place().error(error.to_string()));
                return;
            }
        };
        if found.is_empty() && required {
            self.problems.push(pattern.place().error(format!("`{path}` names no file")));
        }
        for file in found {
            self.include_one(pattern, &file, &from);
        }
    }

    fn include_one(&mut self, pattern: &Text, file: &str, from: &str) {
        let source = match self.resolve.read(file, from) {
            Ok(source) => source,
            Err(error) => {
                self.problems.push(pattern.place().error(error.to_string()));
                return;
            }
        };
        if self.open.contains(&source.name) {
            let message = format!("`{}` includes itself", source.name);
            self.problems.push(pattern.place().error(message));
            return;
        }
        if self.open.len() >= DEPTH_MAX {
            let message = format!("files include each other more than {DEPTH_MAX} deep");
            self.problems.push(pattern.place().error(message));
            return;
        }
        self.files.push(source.name.clone());
        self.source(&Arc::new(SourceText { name: source.name, bytes: source.bytes }));
    }
}
