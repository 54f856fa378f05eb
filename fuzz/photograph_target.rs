//! `cargo fuzz run photograph`

#![no_main]

mod photograph;

libfuzzer_sys::fuzz_target!(|data: &[u8]| photograph::run(data));
