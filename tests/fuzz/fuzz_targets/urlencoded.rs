//! See `seclang::fuzz::urlencoded`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| seclang::fuzz::urlencoded(input));
