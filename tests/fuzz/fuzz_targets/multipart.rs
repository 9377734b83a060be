//! See `seclang::fuzz::multipart`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| seclang::fuzz::multipart(input));
