//! See `seclang::fuzz::xml`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| seclang::fuzz::xml(input));
