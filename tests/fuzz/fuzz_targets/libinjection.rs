//! See `seclang::fuzz::libinjection`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| seclang::fuzz::libinjection(input));
