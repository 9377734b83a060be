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
#[path = "rules/persistence.rs"]
mod persistence;
#[cfg(test)]
#[path = "rules/reference.rs"]
mod reference;
#[cfg(test)]
#[path = "rules/semantics.rs"]
mod semantics;
