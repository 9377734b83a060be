//! See `seclang::fuzz::json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| seclang::fuzz::json(input));
