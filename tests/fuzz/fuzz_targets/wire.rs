//! Hands the fuzzer's bytes to `targets::wire`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::wire(data));
