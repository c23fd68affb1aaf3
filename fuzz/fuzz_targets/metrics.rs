//! `metrics.jsonl` of a training run.
#![no_main]

use babyllama_fuzz::folder;
use experiment::training_log::TrainingSummary;
use libfuzzer_sys::fuzz_target;
use report::MetricsLog;

fuzz_target!(|input: &[u8]| {
    let folder = folder(&[("metrics.jsonl", input)]);
    let _ = TrainingSummary::of_metrics(folder.path());
    let _ = MetricsLog::open_at(&folder.path().join("metrics.jsonl"), 1);
});
