//! See `seclang::fuzz::transformations`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| seclang::fuzz::transformations(input));
