//! Small rule sets against small requests.

#[cfg(test)]
#[path = "rules/engine.rs"]
mod engine;
#[cfg(test)]
#[path = "rules/language.rs"]
mod language;
#[cfg(test)]
#[path = "rules/limits.rs"]
mod limits;
#[cfg(test)]
#[path = "rules/semantics.rs"]
mod semantics;
