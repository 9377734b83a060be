//! Pure: verifies a token against a key set at a time, normalises headers, mints the edge assertion.
