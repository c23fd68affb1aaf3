//! The record of a finished stage.
#![no_main]

use babyllama_fuzz::folder;
use experiment::stage::{Stage, Stages};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let folder = folder(&[("record", input)]);
    let run = folder.path();
    let Ok(stage) = Stage::new("corpus", &7) else { return };
    let Ok(stages) = Stages::open(run) else { return };
    let _ = std::fs::rename(run.join("record"), run.join("stages/corpus.json"));
    let _ = stages.status(&stage);
    let _ = stages.verify("corpus");
});
