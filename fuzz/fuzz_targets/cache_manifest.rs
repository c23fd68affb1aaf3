//! `manifest.json` of a teacher cache.
#![no_main]

use babyllama_fuzz::folder;
use libfuzzer_sys::fuzz_target;
use train::signals::cache::Manifest;

fuzz_target!(|input: &[u8]| {
    let folder = folder(&[("manifest.json", input)]);
    if let Ok(Some(manifest)) = Manifest::read(&folder.path().join("manifest.json")) {
        assert!(manifest.first_difference(&manifest).is_none());
    }
});
