//! `special_tokens_map.json` of a model folder.
#![no_main]

use babyllama_fuzz::folder;
use corpus::Tokenizer;
use libfuzzer_sys::fuzz_target;

const TOKENIZER: &[u8] =
    br#"{"model": {"type": "BPE", "vocab": {"a": 0, "</s>": 1}, "merges": []}}"#;

fuzz_target!(|input: &[u8]| {
    let folder = folder(&[("tokenizer.json", TOKENIZER), ("special_tokens_map.json", input)]);
    if let Ok(tokenizer) = Tokenizer::from_folder(folder.path()) {
        if let Ok(ids) = tokenizer.encode("A dog's 12 caf\u{E9}s. </s>\n") {
            tokenizer.decode(&ids);
        }
    }
});
