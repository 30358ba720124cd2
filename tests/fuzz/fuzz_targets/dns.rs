//! Hands the fuzzer's bytes to `targets::dns`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::dns(data));
