//! A token file, with a header and without.
#![no_main]

use babyllama_fuzz::folder;
use corpus::TokenFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let folder = folder(&[("tokens.bin", input)]);
    for open in [TokenFile::open, TokenFile::raw] {
        if let Ok(file) = open(&folder.path().join("tokens.bin")) {
            file.read(0..file.len(), &mut Vec::new());
        }
    }
});
