//! Small rule sets against small requests.

#[path = "rules/engine.rs"]
mod engine;
#[path = "rules/language.rs"]
mod language;
#[path = "rules/limits.rs"]
mod limits;
#[path = "rules/semantics.rs"]
mod semantics;
