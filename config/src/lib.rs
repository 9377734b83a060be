//! What the operator writes, typed: source types, resolution, the Cloud Armor policy schema and the expression language.
