//! A SecLang engine that runs the OWASP Core Rule Set: parse, compile, evaluate.

pub mod byte_set;
pub mod transformation;
