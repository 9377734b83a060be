//! See `portcullis_identity::fuzz::x509`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| portcullis_identity::fuzz::x509(input));
