//! What every training step promises: no new memory after the first, the same bits on any number of
//! threads, and the same result however its batch is split.

#[path = "../../engine/tests/common/mod.rs"]
mod device;

use std::sync::Arc;

use base::rng::Rng;
use device::test_device;
use engine::{Device, Profiler};
use model::{Architecture, Batch, Model, ModelConfig};
use train::settings::{DistillSettings, TrainSettings};
use train::signals::DistillState;
use train::step::Trainer;
use train::{MicroBatch, Online};

fn config(architecture: Architecture, dropout: f32) -> ModelConfig {
    ModelConfig {
        vocab_size: 101,
        hidden_size: 48,
        intermediate_size: 70,
        num_heads: 4,
        num_kv_heads: if architecture == Architecture::LLAMA { 2 } else { 4 },
        head_dim: 12,
        max_positions: 40,
        norm_epsilon: 1e-5,
        initializer_range: 0.1,
        ..ModelConfig::tiny(architecture).with_dropout(dropout)
    }
}

fn trainer(
    device: &Arc<dyn Device>,
    architecture: Architecture,
    dropout: f32,
    distilled: bool,
) -> Trainer {
    let model = |architecture, dropout, seed| {
        Model::new(config(architecture, dropout), device, seed).unwrap()
    };
    let teachers = || -> DistillState {
        let models = vec![
            ("first".to_owned(), model(Architecture::GPT2, 0.1, 5)),
            ("second".to_owned(), model(Architecture::LLAMA, 0.0, 6)),
        ];
        let settings = DistillSettings::new(Vec::new());
        let online = Online::new(models, &settings, 101, 40).unwrap();
        DistillState { settings, signals: Box::new(online) }
    };
    let settings = TrainSettings { weight_decay: 0.1, ..TrainSettings::default() };
    Trainer::new(model(architecture, dropout, 1), &settings, 9, distilled.then(teachers))
}

/// Eight sequences of 33 tokens, in groups of `size`.
fn batches(step: u64, size: usize) -> Vec<MicroBatch> {
    let rng = Rng::new(3, "test tokens").at(step);
    let sequence =
        |row: u64| (0..33).map(|at| rng.below(row * 33 + at, 101) as u32).collect::<Vec<_>>();
    let sequences: Vec<_> = (0..8).map(sequence).collect();
    sequences.chunks(size).map(|group| Batch::from_sequences(group).into()).collect()
}

const CASES: [(Architecture, bool); 7] = [
    (Architecture::GPT2, false),
    (Architecture::LLAMA, false),
    (Architecture::GPT2, true),
    (Architecture::LLAMA, true),
    (Architecture::SWITCH_GPT2, false),
    (Architecture::SWITCH_LLAMA, false),
    (Architecture::SWITCH_LLAMA, true),
];

#[test]
fn nothing_is_allocated_after_the_first_step() {
    for (architecture, distilled) in CASES {
        let device: Arc<dyn Device> = test_device();
        let mut trainer = trainer(&device, architecture, 0.1, distilled);
        trainer.step(&batches(1, 4), 1, 1e-3).unwrap();
        let after_first = device.fresh_allocations();
        for step in 2..6 {
            trainer.step(&batches(step, 4), step, 1e-3).unwrap();
        }
        assert_eq!(
            device.fresh_allocations(),
            after_first,
            "{architecture:?}, distilled: {distilled}"
        );
    }
}

/// All weights after six steps on the given number of threads.
fn weights(threads: usize, architecture: Architecture, distilled: bool) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let device: Arc<dyn Device> = test_device();
        let mut trainer = trainer(&device, architecture, 0.1, distilled);
        for step in 1..=6 {
            trainer.step(&batches(step, 8), step, 1e-3).unwrap();
        }
        trainer.model.parameters().values().to_vec().into_iter().map(f32::to_bits).collect()
    })
}

#[test]
fn thread_count_does_not_change_a_bit() {
    for (architecture, distilled) in CASES {
        let alone = weights(1, architecture, distilled);
        for threads in [2, 3, 7] {
            assert!(
                alone == weights(threads, architecture, distilled),
                "{threads} threads, {architecture:?}, {distilled}"
            );
        }
    }
}

#[test]
fn a_split_batch_gives_the_same_losses() {
    for (architecture, distilled) in CASES {
        let device: Arc<dyn Device> = test_device();
        for size in [1, 3] {
            let mut whole = trainer(&device, architecture, 0.1, distilled);
            let mut split = trainer(&device, architecture, 0.1, distilled);
            for step in 1..=6 {
                let a = whole.step(&batches(step, 8), step, 1e-3).unwrap();
                let b = split.step(&batches(step, size), step, 1e-3).unwrap();
                for (a, b) in [(a.loss, b.loss), (a.gradient_norm, b.gradient_norm)] {
                    assert!(
                        (a / b - 1.0).abs() < 1e-5,
                        "{architecture:?}, {distilled}, step {step}: {a} and {b}"
                    );
                }
            }
        }
    }
}

/// Products of a step: three forward passes' worth, the scores that the attention's backward
/// computes again, and the teachers' forward passes.
fn step_flops(architecture: Architecture, distilled: bool, lengths: [usize; 2]) -> f64 {
    let [sequences, length] = lengths;
    let student = config(architecture, 0.0);
    let scores = student.num_layers * student.num_heads * student.head_dim * (length + 1);
    let teachers = [Architecture::GPT2, Architecture::LLAMA].map(|kind| config(kind, 0.0));
    let teachers: f64 = teachers.iter().map(|config| config.forward_flops_per_token(length)).sum();
    let student = 3.0 * student.forward_flops_per_token(length) + scores as f64;
    (sequences * length) as f64 * (student + if distilled { teachers } else { 0.0 })
}

#[test]
fn a_profiler_counts_every_product_and_changes_no_bit() {
    for (architecture, distilled) in CASES {
        let plain: Arc<dyn Device> = test_device();
        let profiler = Arc::new(Profiler::new(test_device()));
        let watched: Arc<dyn Device> = profiler.clone();
        let mut trainers =
            [&plain, &watched].map(|device| trainer(device, architecture, 0.1, distilled));
        profiler.start();
        let [expected, found] =
            trainers.each_mut().map(|trainer| trainer.step(&batches(1, 8), 1, 1e-3).unwrap());
        profiler.stop();
        assert_eq!(found, expected);
        let times = profiler.snapshot();
        let flops: f64 = times.iter().map(|time| time.flops).sum();
        assert_eq!(
            flops,
            step_flops(architecture, distilled, [8, 33]),
            "{architecture:?}, {distilled}: {times:?}"
        );
        let [expected, found] =
            trainers.map(|trainer| trainer.model.parameters().values().to_vec());
        assert!(found == expected, "{architecture:?}, {distilled}");
        assert_eq!(profiler.snapshot(), times, "nothing is recorded after the stop");
    }
}
