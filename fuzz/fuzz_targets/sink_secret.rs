#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fitbridge_fuzz::check("sink_secret", input));
