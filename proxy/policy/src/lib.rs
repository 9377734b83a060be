//! Pure decisions: `Policy` (immutable, compiled) and `State` (counters, bans), with `now` an argument.
