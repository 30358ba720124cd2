//! Hands the fuzzer's bytes to `targets::headers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::headers(data));
