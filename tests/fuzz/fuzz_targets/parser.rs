//! See `seclang::fuzz::parser`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| seclang::fuzz::parser(input));
