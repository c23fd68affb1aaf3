//! `vocab.json` with `merges.txt`, which stand for a tokenizer; a zero byte is between them.
#![no_main]

use babyllama_fuzz::folder;
use corpus::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |&byte| byte == 0);
    let [vocabulary, merges] = [(); 2].map(|()| parts.next().unwrap_or_default());
    let folder = folder(&[("vocab.json", vocabulary), ("merges.txt", merges)]);
    if let Ok(tokenizer) = Tokenizer::from_folder(folder.path()) {
        if let Ok(ids) = tokenizer.encode("A dog's 12 caf\u{E9}s. </s>\n") {
            tokenizer.decode(&ids);
        }
    }
});
