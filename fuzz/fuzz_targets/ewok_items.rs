//! Items of EWoK, as JSON lines and as CSV.
#![no_main]

use babyllama_fuzz::folder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for name in ["items.jsonl", "items.csv"] {
        let folder = folder(&[(name, input)]);
        let _ = eval::ewok::read(&folder.path().join(name));
    }
});
