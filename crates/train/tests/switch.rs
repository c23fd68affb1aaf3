//! Training steps of models with experts: to the bit those of a dense model where there is one
//! expert, on any number of threads, however the batch is split, and with the routers' losses in
//! the objective.

#[path = "../../engine/tests/common/mod.rs"]
mod device;

use std::sync::Arc;

use base::rng::Rng;
use device::test_device;
use engine::Device;
use model::{Architecture, Batch, Capacity, Experts, Model, ModelConfig};
use train::settings::{DistillSettings, Objective, TrainSettings};
use train::signals::DistillState;
use train::step::{StepLoss, Trainer};
use train::{MicroBatch, Online};

const BODIES: [(Architecture, Architecture); 2] = [
    (Architecture::SWITCH_GPT2, Architecture::GPT2),
    (Architecture::SWITCH_LLAMA, Architecture::LLAMA),
];

/// Of two tokens of a sequence per expert, with jitter.
fn experts() -> Experts {
    Experts {
        num_experts: 4,
        capacity: Capacity::Factor(0.5),
        router_jitter: 0.1,
        z_loss: 0.1,
        balance_loss: 0.2,
        ..Experts::default()
    }
}

fn config(architecture: Architecture, experts: Option<Experts>) -> ModelConfig {
    ModelConfig {
        vocab_size: 61,
        hidden_size: 24,
        intermediate_size: 37,
        num_heads: 4,
        num_kv_heads: 4,
        head_dim: 6,
        initializer_range: 0.2,
        experts,
        ..ModelConfig::tiny(architecture).with_dropout(0.1)
    }
}

fn model(architecture: Architecture, experts: Option<Experts>) -> Model {
    let device: Arc<dyn Device> = test_device();
    Model::new(config(architecture, experts), &device, 3).unwrap()
}

fn trainer(model: Model, objective: Objective) -> Trainer {
    let settings =
        TrainSettings { weight_decay: 0.1, max_grad_norm: 1e9, objective, ..Default::default() };
    Trainer::new(model, &settings, 9, None)
}

/// Eight sequences of 16 tokens, in groups of `size`.
fn batches(step: u64, size: usize) -> Vec<MicroBatch> {
    let rng = Rng::new(3, "test tokens").at(step);
    let sequence =
        |row: u64| (0..16).map(|at| rng.below(row * 16 + at, 61) as u32).collect::<Vec<_>>();
    let sequences: Vec<_> = (0..8).map(sequence).collect();
    sequences.chunks(size).map(|group| Batch::from_sequences(group).into()).collect()
}

fn values(trainer: &Trainer) -> Vec<f32> {
    trainer.model.parameters().values().to_vec()
}

/// The value of every segment of a dense model, by its name, from a model of one expert or from the
/// dense model itself.
fn by_dense_name(model: &Model) -> Vec<(String, Vec<f32>)> {
    let all = model.parameters().values().to_vec();
    let segments = model.parameters().layout().segments().iter();
    let mut found: Vec<_> = segments
        .filter(|named| !is_router(&named.name))
        .map(|named| {
            let name = named.name.replace("experts.expert_0.", "").replace("experts.0.", "");
            (name, all[named.segment.offset..][..named.segment.length()].to_vec())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn one_expert_of_factor_one_trains_as_the_dense_model_to_the_bit() {
    let one = Experts {
        num_experts: 1,
        capacity: Capacity::Factor(1.0),
        router_jitter: 0.0,
        // What a router's logits cost is no part of the dense model's objective.
        z_loss: 0.0,
        ..experts()
    };
    for (architecture, body) in BODIES {
        let sparse = model(architecture, Some(one.clone()));
        let mut dense = model(body, None);
        let weights = by_dense_name(&sparse);
        for named in dense.parameters().layout().clone().segments() {
            let (_, values) = weights.iter().find(|(name, _)| *name == named.name).unwrap();
            let device = dense.device().clone();
            device.write(dense.parameters_mut().view_mut(named.segment), values);
        }
        let mut trainers = [sparse, dense].map(|model| trainer(model, Objective::NextToken));
        for step in 1..=5 {
            let [a, b] =
                trainers.each_mut().map(|one| one.step(&batches(step, 3), step, 1e-2).unwrap());
            assert_eq!(a.cross_entropy, b.cross_entropy, "{architecture:?}, step {step}");
        }
        let [sparse, dense] = trainers;
        assert!(by_dense_name(&sparse.model) == by_dense_name(&dense.model), "{architecture:?}");
        // The balance loss of one expert is 1 whatever its router is.
        assert_eq!(largest_router_gradient(&sparse), 0.0);
    }
}

fn is_router(name: &str) -> bool {
    name.contains("router") || name.ends_with("mlp.gate.weight")
}

fn largest_router_gradient(trainer: &Trainer) -> f32 {
    let gradients = trainer.gradients().values().to_vec();
    let segments = trainer.model.parameters().layout().segments().iter();
    let routers = segments.filter(|named| is_router(&named.name)).map(|named| named.segment);
    let values = routers.flat_map(|router| &gradients[router.offset..][..router.length()]);
    values.fold(0.0, |top, value| top.max(value.abs()))
}

#[test]
fn no_bit_depends_on_threads_and_no_memory_is_requested_after_the_first_step() {
    for (architecture, _) in BODIES {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer =
                    trainer(model(architecture, Some(experts())), Objective::NextToken);
                trainer.step(&batches(1, 8), 1, 1e-2).unwrap();
                let before = trainer.model.device().fresh_allocations();
                for step in 2..=5 {
                    trainer.step(&batches(step, 8), step, 1e-2).unwrap();
                }
                assert_eq!(trainer.model.device().fresh_allocations(), before);
                values(&trainer).into_iter().map(f32::to_bits).collect::<Vec<_>>()
            })
        };
        let alone = run(1);
        assert!([2, 5].into_iter().all(|threads| run(threads) == alone), "{architecture:?}");
    }
}

#[test]
fn a_split_batch_gives_the_same_losses_and_gradient() {
    for (architecture, _) in BODIES {
        let step = |size| {
            let mut trainer = trainer(model(architecture, Some(experts())), Objective::NextToken);
            let found = trainer.step(&batches(1, size), 1, 0.0).unwrap();
            (found, trainer.gradients().values().to_vec())
        };
        let (whole, gradient) = step(8);
        let largest = gradient.iter().fold(0.0f32, |top, value| top.max(value.abs()));
        for size in [1, 3] {
            let (found, split) = step(size);
            assert!((found.loss / whole.loss - 1.0).abs() < 1e-6, "{found:?} {whole:?}");
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 * largest;
            assert!(split.iter().zip(&gradient).all(close), "{architecture:?}, {size}");
        }
    }
}

/// The weighted losses are in the objective and in no other number, and a step that goes up leaves
/// them out.
#[test]
fn the_routers_losses_are_part_of_the_objective() {
    let step = |z_loss, balance_loss, objective| -> StepLoss {
        let weighted = Experts { z_loss, balance_loss, ..experts() };
        let mut trainer = trainer(model(Architecture::SWITCH_LLAMA, Some(weighted)), objective);
        trainer.step(&batches(1, 8), 1, 0.0).unwrap()
    };
    let plain = step(0.0, 0.0, Objective::NextToken);
    assert_eq!(plain.loss, plain.cross_entropy);
    let z = step(0.5, 0.0, Objective::NextToken);
    let balance = step(0.0, 0.25, Objective::NextToken);
    let both = step(0.5, 0.25, Objective::NextToken);
    for found in [z, balance, both] {
        assert_eq!(found.cross_entropy, plain.cross_entropy);
        assert_ne!(found.gradient_norm, plain.gradient_norm);
    }
    let parts = (z.loss - plain.loss) + (balance.loss - plain.loss);
    assert!((both.loss - plain.loss - parts).abs() < 1e-9);
    // Shares and probabilities that are equal give 1; four experts at most 4.
    let balance = (balance.loss - plain.loss) / 0.25;
    assert!((0.9..4.0).contains(&balance), "{balance}");
    let up = step(0.5, 0.25, Objective::Ascent);
    assert_eq!(up.loss, -plain.loss);
    assert_eq!(up.gradient_norm, plain.gradient_norm);
}

/// Training lowers both losses where they weigh enough.
#[test]
fn routers_learn_to_balance() {
    let heavy = Experts { z_loss: 1.0, balance_loss: 10.0, ..experts() };
    let mut trainer = trainer(model(Architecture::SWITCH_GPT2, Some(heavy)), Objective::NextToken);
    let extra = |found: StepLoss| found.loss - found.cross_entropy;
    let first = extra(trainer.step(&batches(1, 8), 1, 1e-2).unwrap());
    let rest = (2..=30).map(|step| extra(trainer.step(&batches(1, 8), step, 1e-2).unwrap()));
    let last = rest.last().unwrap();
    assert!(last < 0.95 * first, "{last} after {first}");
}

/// A teacher has no capacity: what it gives does not depend on the one that it was trained with.
#[test]
fn a_teacher_drops_no_token() {
    let divergence = |capacity| {
        let teacher = model(Architecture::SWITCH_GPT2, Some(Experts { capacity, ..experts() }));
        let settings = DistillSettings::new(Vec::new());
        let online = Online::new(vec![("t".to_owned(), teacher)], &settings, 61, 16).unwrap();
        let distill = DistillState { settings, signals: Box::new(online) };
        let student = model(Architecture::SWITCH_LLAMA, Some(experts()));
        let mut trainer = Trainer::new(student, &TrainSettings::default(), 9, Some(distill));
        trainer.step(&batches(1, 8), 1, 0.0).unwrap().kl.unwrap()
    };
    let expected = divergence(Capacity::None);
    assert!(expected > 0.0);
    assert_eq!(divergence(Capacity::Tokens(1)), expected);
}

/// Not a test: writes models with experts, and their logits, into the folder that
/// `BABYLLAMA_EXPERTS` names, for `tools/golden/check_export.py`.
#[test]
#[ignore = "writes folders for transformers; see tools/golden/README.md"]
fn writes_folders_for_transformers() {
    let place = std::path::PathBuf::from(
        std::env::var("BABYLLAMA_EXPERTS").expect("BABYLLAMA_EXPERTS names a folder"),
    );
    for sparse_step in [1, 2] {
        let stepped = Experts { sparse_step, ..experts() };
        let model = model(Architecture::SWITCH_LLAMA, Some(stepped));
        let mut trainer = trainer(model, Objective::NextToken);
        for step in 1..=5 {
            trainer.step(&batches(step, 8), step, 1e-2).unwrap();
        }
        let folder = place.join(sparse_step.to_string());
        model::hugging_face::save(&trainer.model, &folder).unwrap();
        let batch = &batches(9, 8)[0].batch;
        let hidden = trainer.model.hidden_states(batch);
        let mut logits = vec![0.0f32; batch.tokens() * 61];
        trainer.model.device().logits(&[trainer.model.projection(&hidden, 1.0)], &mut logits);
        let ids: Vec<u8> = batch.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let logits: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
        let view =
            |kind, shape, bytes| safetensors::tensor::TensorView::new(kind, shape, bytes).unwrap();
        let tensors = [
            ("ids", view(safetensors::Dtype::U32, vec![8, 16], &ids)),
            ("logits", view(safetensors::Dtype::F32, vec![8, 16, 61], &logits)),
        ];
        let path = place.join(format!("{sparse_step}.safetensors"));
        safetensors::serialize_to_file(tensors, None, &path).unwrap();
    }
}
