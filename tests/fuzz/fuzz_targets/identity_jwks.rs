//! See `portcullis_identity::fuzz::jwks`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_identity::fuzz::jwks(input));
