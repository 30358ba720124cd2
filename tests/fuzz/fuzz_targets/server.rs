//! Hands the fuzzer's bytes to `targets::server`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::server(data));
