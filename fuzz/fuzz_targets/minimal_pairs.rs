//! Minimal pairs.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = eval::minimal_pairs::parse(Path::new("pairs.jsonl"), input);
});
