//! See `portcullis_identity::fuzz::token`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_identity::fuzz::token(input));
