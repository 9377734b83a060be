//! Pure: security events in, correlated incidents and actions out. Not built yet: see `docs/roadmap.md`.
