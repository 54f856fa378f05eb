//! `cargo fuzz run archive`

#![no_main]

mod archive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| archive::run(data));
