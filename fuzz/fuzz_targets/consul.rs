#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| callsheet::fuzzing::consul(bytes));
