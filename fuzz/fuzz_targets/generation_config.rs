//! `generation_config.json` of a model folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::hugging_face::bytes;
use model::{Architecture, ModelConfig};

fuzz_target!(|input: &[u8]| {
    let config = ModelConfig::tiny(Architecture::LLAMA);
    let _ = bytes::generation(input, &config);
});
