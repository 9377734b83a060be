//! The rule sets by name: our own rules, and the loader for an OWASP Core Rule Set directory.
