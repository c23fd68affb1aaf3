//! Mutated checkpoints and manifests of teacher caches: no panic, no hang, no memory that the input
//! does not justify, and never another state than the one that was saved.
//!
//! The quick tests try some thousands; `cargo test --release -p train --test mutations --
//! --ignored` tries 500,000 of each file.

use std::alloc::System;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use base::hash;
use base::mutation::{LONGEST, try_all};
use cap::Cap;
use engine::cpu::Cpu;
use engine::{Device, Tensor};
use model::{Architecture, Model, ModelConfig};
use train::TrainSettings;
use train::checkpoint::{self, Progress, Resumable};
use train::optimizers::GroupedOptimizer;
use train::settings::{Codec, Ensemble, SignalKind};
use train::signals::cache::{Manifest, Purpose, Sampling, Store, TeacherEntry};

/// More than all tests of this file together may ever hold: what asks for more ends the process.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 128 << 20);

/// Mutates a file, and returns how many mutations were accepted.
fn try_file(path: &Path, count: u64, mut load: impl FnMut() -> bool) -> u64 {
    let seed = fs::read(path).unwrap();
    let accepted = try_all(std::slice::from_ref(&seed), count, LONGEST, |bytes| {
        fs::write(path, bytes).unwrap();
        load()
    });
    fs::write(path, seed).unwrap();
    accepted
}

/// What a checkpoint holds at least.
struct State {
    model: Model,
    optimizer: GroupedOptimizer,
}

impl Resumable for State {
    fn prepare(&mut self, _step: u64) {}

    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        let parameters = ("parameters", self.model.parameters().values());
        std::iter::once(parameters).chain(self.optimizer.state()).collect()
    }

    fn tensors_mut(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        let parameters = ("parameters", self.model.parameters_mut().values_mut());
        std::iter::once(parameters).chain(self.optimizer.state_mut()).collect()
    }
}

fn checkpoints(count: u64) -> [u64; 2] {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let config =
        ModelConfig { num_layers: 1, vocab_size: 8, ..ModelConfig::tiny(Architecture::GPT2) };
    let model = Model::new(config, &device, 1).unwrap();
    let optimizer = GroupedOptimizer::new(model.parameters(), &TrainSettings::default());
    let mut training = State { model, optimizer };
    let folder = tempfile::tempdir().unwrap();
    let progress = Progress {
        step: 3,
        best: Some((1.5, 2)),
        fingerprint: "aa".into(),
        products: String::new(),
    };
    let saved = checkpoint::save(folder.path(), &training, &progress).unwrap();
    let [state, tensors] = ["state.json", "state.safetensors"].map(|name| saved.join(name));

    let mut restore = || checkpoint::restore(folder.path(), &mut training, "aa", |_, _| ()).is_ok();
    let of_state = try_file(&state, count, &mut restore);
    // With a checksum that fits, so that the tensors themselves are looked at.
    let whole = fs::read_to_string(&state).unwrap();
    let checksum = hash::of_file(&tensors).unwrap();
    let of_tensors = try_file(&tensors, count, || {
        let fitting = whole.replace(&checksum, &hash::of_file(&tensors).unwrap());
        fs::write(&state, fitting).unwrap();
        restore()
    });
    [of_state, of_tensors]
}

fn manifest() -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        signal: SignalKind::Sampled,
        codec: Some(Codec::F32),
        arithmetic: None,
        teachers: vec![TeacherEntry { name: "a".into(), weights: "aa".into(), hidden_size: 8 }],
        sampling: Some(Sampling {
            ensemble: Ensemble::MeanLogits,
            temperature: 2.0,
            shares: vec![1.0],
            samples: 64,
            seed: 1,
        }),
        tokenizer: None,
        tokens: "bb".into(),
        sequence_length: 4,
        offsets: vec![0, 2],
        subset: None,
        blocks: 3,
        block_bytes: 24,
    }
}

fn caches(count: u64) -> [u64; 3] {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), manifest(), Purpose::Use).unwrap();
    (0..3).for_each(|block| store.write(block, &[block as u8 + 1; 24]).unwrap());
    drop(store);
    let load = || {
        let Ok(mut store) = Store::open(folder.path(), manifest(), Purpose::Use) else {
            return false;
        };
        (0..3).all(|block| match store.read(block) {
            // What is given out is what was stored.
            Ok(bytes) => bytes.is_none_or(|bytes| bytes == [block as u8 + 1; 24]),
            Err(error) => error.to_string().is_empty(),
        })
    };
    ["manifest.json", "checksums.bin", "blocks.bin"]
        .map(|name| try_file(&folder.path().join(name), count, load))
}

#[test]
fn mutated_checkpoints_are_refused_or_whole() {
    assert!(checkpoints(1_000).iter().all(|&accepted| accepted > 0));
}

#[test]
fn mutated_teacher_caches_are_refused_or_whole() {
    assert!(caches(1_000).iter().all(|&accepted| accepted > 0));
}

#[test]
#[ignore = "takes minutes"]
fn many_mutated_checkpoints_and_caches() {
    checkpoints(500_000);
    caches(500_000);
}
