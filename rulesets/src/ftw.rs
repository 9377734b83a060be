//! Regression trees.
