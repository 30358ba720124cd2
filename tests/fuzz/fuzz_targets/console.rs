//! Hands the fuzzer's bytes to `targets::console`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::console(data));
