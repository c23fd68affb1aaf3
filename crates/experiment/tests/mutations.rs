//! Mutated recipes and mutated files of a run's folder: no panic, no hang, no memory that the input
//! does not justify.
//!
//! The quick tests try some thousands; `cargo test --release -p experiment --test mutations --
//! --ignored` tries 500,000 of each file.

use std::alloc::System;
use std::fs;
use std::path::Path;

use base::mutation::{LONGEST, try_all};
use cap::Cap;
use eval::{Prediction, Rules, TaskResult};
use experiment::finetuning::result::FinetuneResult;
use experiment::run::preview;
use experiment::stage::{Stage, Stages, Status};
use experiment::training_log::TrainingSummary;
use experiment::{files, recipe};
use serde_json::json;
use train::finetune::FinetuneSettings;
use train::settings::Selection;

/// More than all tests of this file together may ever hold: what asks for more ends the process.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 128 << 20);

const RECIPE: &str = r#"
seed = 7

[corpus]
source = "builtin"
words = 40_000

[tokenizer]
vocab_size = 2000

[defaults.train]
epochs = 2
learning_rate = 1e-3

[models.teacher]
architecture = "gpt2"
hidden_size = 64
num_layers = 2
num_heads = 2

[models.student]
architecture = "llama"
hidden_size = 32
intermediate_size = 96
num_layers = 1
num_heads = 4
train.batch_size = 16

[models.student.distill]
teachers = ["teacher"]
temperature = 2.0
alpha = 0.5

[evaluate]
blimp = ["builtin"]
"#;

const METRICS: &str = "{\"event\":\"step\",\"step\":1,\"epoch\":0.5,\"loss\":7.5,\
    \"cross_entropy\":7.5,\"kl\":null,\"learning_rate\":0.001,\"gradient_norm\":1.0,\
    \"tokens\":512,\"seconds\":0.1}\n";

/// Mutates a file of a folder, and returns how many mutations were accepted.
fn try_file(path: &Path, seeds: &[&str], count: u64, mut load: impl FnMut() -> bool) -> u64 {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|&seed| seed.into()).collect();
    try_all(&seeds, count, LONGEST, |bytes| {
        fs::write(path, bytes).unwrap();
        load()
    })
}

/// Accepted recipes can be written down, and come back as they were.
fn recipes(count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    let written = recipe::embedded("recipe.toml", RECIPE).unwrap().resolved().unwrap();
    try_file(&path, &[RECIPE, &written], count, || match recipe::load(&path, &[]) {
        Ok(recipe) => {
            let text = recipe.resolved().unwrap();
            let again = recipe::embedded("recipe.toml", &text).unwrap();
            assert_eq!(again.hash().unwrap(), recipe.hash().unwrap());
            true
        }
        Err(error) => error.to_string().is_empty(),
    })
}

/// Of a stored recipe only its own bytes are accepted.
fn stored_recipes(count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    let recipe = recipe::embedded("recipe.toml", RECIPE).unwrap();
    let stored = preview::stored_form(&recipe).unwrap();
    try_file(&path, &[&stored], count, || {
        let accepted = preview::check_stored(&path).is_ok();
        assert!(!accepted || recipe::load(&path, &[]).unwrap() == recipe);
        accepted
    })
}

/// A stage whose record is damaged is not done, or done as it was.
fn stage_records(count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    fs::create_dir(run.join("text")).unwrap();
    fs::write(run.join("text/a.txt"), "A dog runs.").unwrap();
    let stage = Stage::new("corpus", &json!({"words": 3, "rate": 0.5})).unwrap();
    let stages = Stages::open(run).unwrap();
    stages.mark_done(&stage, &[Path::new("text")]).unwrap();
    let path = run.join("stages/corpus.json");
    let record = fs::read_to_string(&path).unwrap();
    try_file(&path, &[&record], count, || {
        let stages = Stages::look(run);
        let is_done = stages.status(&stage).is_ok_and(|status| matches!(status, Status::Done));
        let _ = stages.verify("corpus");
        let adopted = stages.adopt(&stage, &path);
        let restored = stages.restore(&stage, |_| None);
        assert!(!is_done || adopted.is_ok() && restored.is_ok());
        is_done
    })
}

fn metrics(count: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    try_file(&path, &[METRICS], count, || {
        TrainingSummary::of_metrics(folder.path(), Selection::CrossEntropy).is_ok()
    })
}

fn finetunings(count: u64) -> u64 {
    let result = json!({
        "fingerprint": "aa",
        "checksum": "bb",
        "score": TaskResult::of_choices("cola", &[Prediction::between(-1.5, -2.25)], 0),
        "validation_items": 1,
        "validation_items_truncated": 0,
        "trained_on": "cola",
        "rules": Rules::Year2024,
        "settings": FinetuneSettings::default(),
        "labels": [0, 1],
        "training_items": 2,
        "training_items_truncated": 0,
        "steps": 2,
        "stopped_early": false,
        "history": [],
        "tokens": 20,
        "seconds": 0.5,
        "tokens_per_second": 40.0,
    });
    let folder = tempfile::tempdir().unwrap();
    for name in ["predictions.txt", "predictions.jsonl"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let path = folder.path().join("result.json");
    try_file(&path, &[&result.to_string()], count, || {
        FinetuneResult::read(folder.path(), "aa").unwrap();
        files::read_json::<FinetuneResult>(&path).is_ok()
    })
}

#[test]
fn mutated_recipes_are_refused_or_whole() {
    assert!(recipes(2_000) > 0);
    assert!(stored_recipes(500) > 0);
}

#[test]
fn mutated_files_of_a_run_are_refused_or_whole() {
    assert!(stage_records(1_000) > 0);
    assert!(metrics(1_000) > 0);
    assert!(finetunings(1_000) > 0);
}

#[test]
#[ignore = "takes minutes"]
fn many_mutated_recipes_and_files_of_a_run() {
    for (name, of) in [
        ("recipe", recipes as fn(u64) -> u64),
        ("stored recipe", stored_recipes),
        ("stage record", stage_records),
        ("metrics", metrics),
        ("fine-tuning", finetunings),
    ] {
        assert!(of(500_000) > 0, "{name}");
    }
}
