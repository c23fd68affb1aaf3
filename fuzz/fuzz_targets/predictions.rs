//! The two files of a score: `predictions.jsonl` and `result.json`.
#![no_main]

use babyllama_fuzz::folder;
use eval::BenchmarkResult;
use eval::output::predictions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let folder = folder(&[("predictions.jsonl", input)]);
    let _ = predictions::read(&folder.path().join("predictions.jsonl"));
    let _ = serde_json::from_slice::<BenchmarkResult>(input);
});
