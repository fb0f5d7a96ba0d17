#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fitbridge_fuzz::check("name_template", input));
