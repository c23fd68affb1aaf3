//! `tokenizer.json` of a model folder.
#![no_main]

use babyllama_fuzz::folder;
use corpus::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let folder = folder(&[("tokenizer.json", input)]);
    if let Ok(tokenizer) = Tokenizer::from_folder(folder.path()) {
        if let Ok(ids) = tokenizer.encode("A dog's 12 caf\u{E9}s. </s>\n") {
            tokenizer.decode(&ids);
        }
    }
});
