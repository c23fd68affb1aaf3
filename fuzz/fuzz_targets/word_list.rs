//! The word list and the contexts of the age of acquisition.
#![no_main]

use std::path::Path;

use babyllama_fuzz::folder;
use eval::age_of_acquisition::{WordFinder, WordList, read_contexts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = WordList::parse(Path::new("word_list.csv"), input);
    let folder = folder(&[("sent_words.json", input)]);
    let _ = read_contexts(&folder.path().join("sent_words.json"), &WordFinder::new(&["dog"]));
});
