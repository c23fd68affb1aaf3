//! `config.json` of a model folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::hugging_face::bytes;

fuzz_target!(|input: &[u8]| {
    if let Ok(config) = bytes::config(input) {
        config.parameter_count();
    }
});
