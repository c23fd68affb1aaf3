//! Items of a classification task.
#![no_main]

use std::path::Path;

use eval::classification::{Rows, find_task};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(task) = find_task("mnli") {
        let _ = Rows::parse(task, Path::new("mnli.jsonl"), input);
    }
});
