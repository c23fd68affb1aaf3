//! Teacher caches in runs: a cache changes no result, whichever process wrote it and whenever.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::rng::Rng;
use engine::Device;
use engine::cpu::Cpu;
use model::{Architecture, Model, ModelConfig, hugging_face};
use tempfile::TempDir;
use train::settings::{
    Codec, DistillSettings, Divergence, Ensemble, Selection, SignalKind, TrainSettings,
};
use train::signals::{DistillInputs, open_cache};
use train::{Distillation, Event, Listener, Outcome, Teacher, TrainError, TrainingRun};

const VOCAB: usize = 61;

fn config(architecture: Architecture, hidden_size: usize) -> ModelConfig {
    ModelConfig {
        vocab_size: VOCAB,
        hidden_size,
        intermediate_size: hidden_size + 6,
        num_heads: 2,
        num_kv_heads: if architecture == Architecture::LLAMA { 1 } else { 2 },
        head_dim: hidden_size / 2,
        max_positions: 40,
        norm_epsilon: 1e-5,
        initializer_range: 0.3,
        ..ModelConfig::tiny(architecture)
    }
}

/// Two teachers in their folders, two texts, and room for runs.
struct Workspace {
    student: Architecture,
    folder: TempDir,
    device: Arc<dyn Device>,
    training: Vec<u32>,
    validation: Vec<u32>,
    settings: TrainSettings,
}

impl Workspace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let device: Arc<dyn Device> = Arc::new(Cpu::new());
        for (name, architecture, size, seed) in
            [("first", Architecture::GPT2, 16, 1), ("second", Architecture::LLAMA, 12, 2)]
        {
            let model = Model::new(config(architecture, size), &device, seed).unwrap();
            hugging_face::save(&model, &folder.path().join(name)).unwrap();
        }
        let tokens = |purpose, count| {
            (0..count).map(|at| Rng::new(4, purpose).below(at, VOCAB as u64) as u32).collect()
        };
        let settings = TrainSettings {
            epochs: 3.0,
            batch_size: 4,
            micro_batch_size: 3,
            sequence_length: 7,
            learning_rate: 1e-2,
            evaluation_sequences: 5,
            select_by: Selection::Objective,
            ..TrainSettings::default()
        };
        // 14 sequences of 7 tokens: steps of 4, 4, 4 and 2.
        Self {
            student: Architecture::LLAMA,
            folder,
            device,
            training: tokens("training", 103),
            validation: tokens("validation", 60),
            settings,
        }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn distillation(&self, settings: &DistillSettings) -> Distillation {
        let open = |name: &String| Teacher::open(name.clone(), &self.path(name)).unwrap();
        let teachers = settings.teachers.iter().map(open).collect();
        Distillation {
            settings: settings.clone(),
            teachers,
            caches: self.path("caches"),
            sample_seed: 3,
        }
    }

    fn inputs(&self) -> DistillInputs<'_> {
        DistillInputs {
            device: &self.device,
            vocab_size: VOCAB,
            settings: &self.settings,
            training: &self.training,
            validation: Some(&self.validation),
        }
    }

    /// The training of a student in a folder of its own.
    fn training<'a>(&'a self, folder: &'a Path, distill: &DistillSettings) -> TrainingRun<'a> {
        TrainingRun {
            folder,
            settings: &self.settings,
            seed: 9,
            model: Model::new(config(self.student, 8), &self.device, 5).unwrap(),
            distill: Some(self.distillation(distill)),
            training: &self.training,
            validation: Some(&self.validation),
            words: None,
            mask_token: None,
            hidden_tokens: None,
            inputs_fingerprint: String::new(),
        }
    }

    /// Trains a student in a folder of its own, stopping after `stop` steps of this process if that
    /// is not 0.
    fn try_run(
        &self,
        name: &str,
        distill: &DistillSettings,
        stop: u64,
    ) -> Result<Trained, TrainError> {
        let folder = self.path(name);
        let mut recorded = Recorded { stop, ..Recorded::default() };
        let outcome = self.training(&folder, distill).execute(&mut recorded)?;
        let weights = fs::read(folder.join("final/model.safetensors")).unwrap_or_default();
        Ok(Trained { outcome, recorded, weights })
    }

    fn run(&self, name: &str, distill: &DistillSettings) -> Trained {
        self.try_run(name, distill, 0).unwrap()
    }

    fn refusal(&self, name: &str, distill: &DistillSettings) -> String {
        self.try_run(name, distill, 0).err().expect("an error").to_string()
    }
}

struct Trained {
    outcome: Outcome,
    recorded: Recorded,
    weights: Vec<u8>,
}

/// All events of a run, without times.
#[derive(Default)]
struct Recorded {
    steps: Vec<[f64; 4]>,
    objectives: Vec<f64>,
    /// Of the cache: folder and missing sequences.
    cache: Option<(PathBuf, usize)>,
    stop: u64,
}

impl Listener for Recorded {
    fn on_event(&mut self, event: Event<'_>) -> std::io::Result<()> {
        match event {
            Event::Step(step) => {
                self.steps.push([
                    step.loss,
                    step.cross_entropy,
                    step.kl.unwrap(),
                    step.gradient_norm,
                ]);
            }
            Event::Evaluation(evaluation) => self.objectives.push(evaluation.objective.unwrap()),
            Event::TeacherCache { folder, missing, .. } => {
                self.cache = Some((folder.to_owned(), missing))
            }
            _ => {}
        }
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.stop > 0 && self.steps.len() as u64 >= self.stop
    }
}

fn distill(signal: SignalKind) -> DistillSettings {
    DistillSettings {
        signal,
        samples: 16,
        ..DistillSettings::new(vec!["first".into(), "second".into()])
    }
}

#[track_caller]
fn assert_same(a: &Trained, b: &Trained) {
    assert_eq!(a.recorded.steps, b.recorded.steps);
    assert_eq!(a.recorded.objectives, b.recorded.objectives);
    assert!(!a.weights.is_empty() && a.weights == b.weights, "other weights");
}

/// At a learning rate of 0 the weights stay, so that losses follow from temperature and alpha
/// alone.
#[test]
fn temperature_and_alpha_go_to_their_ends_in_a_straight_line() {
    let mut workspace = Workspace::new();
    workspace.settings.learning_rate = 0.0;
    workspace.settings.max_steps = 5;
    let plain = distill(SignalKind::Online);
    let settings = DistillSettings {
        temperature: 3.0,
        temperature_end: Some(1.0),
        alpha: 0.9,
        alpha_end: Some(0.1),
        ..plain.clone()
    };
    let found = workspace.run("changing", &settings).recorded.steps;
    let expected = [(3.0, 0.9), (2.5, 0.7), (2.0, 0.5), (1.5, 0.3), (1.0, 0.1)];
    for (step, (temperature, alpha)) in expected.into_iter().enumerate() {
        let constant = DistillSettings { temperature, ..plain.clone() };
        let of_one = workspace.run(&format!("constant-{step}"), &constant).recorded.steps[step];
        let [loss, cross_entropy, kl, _] = found[step];
        assert!((kl - of_one[2]).abs() < 1e-6 * kl, "step {step}: {kl}, not {}", of_one[2]);
        let mixture = alpha * cross_entropy + (1.0 - alpha) * kl;
        assert!((loss - mixture).abs() < 1e-9, "step {step}: {loss}, not {mixture}");
    }
}

#[test]
fn exact_states_give_the_bits_of_running_the_teachers() {
    let mut workspace = Workspace::new();
    let combinations = [
        (None, Ensemble::MeanLogits, Divergence::ForwardKl, vec![]),
        (Some(vec![3.0, 1.0]), Ensemble::MeanProbs, Divergence::ReverseKl, vec![0, 3]),
        (Some(vec![1.0, 2.0]), Ensemble::SumKl, Divergence::JensenShannon, vec![2, 5]),
    ];
    for (number, (weights, ensemble, divergence, offsets)) in combinations.into_iter().enumerate() {
        workspace.settings.chunk_offsets = offsets;
        let settings = |signal| DistillSettings {
            weights: weights.clone(),
            ensemble,
            divergence,
            ..distill(signal)
        };
        let online = workspace.run(&format!("online{number}"), &settings(SignalKind::Online));
        assert!(
            matches!(online.outcome, Outcome::Finished { .. })
                && online.recorded.objectives.len() == 3
        );
        let hidden = workspace.run(&format!("hidden{number}"), &settings(SignalKind::Hidden));
        assert_same(&online, &hidden);
        assert!(online.recorded.cache.is_none());
        // The second student finds everything there that the first one read. With several offsets
        // that need not be all: an epoch reads the sequences of one.
        let (folder, missing) = hidden.recorded.cache.clone().unwrap();
        let files =
            || ["blocks.bin", "checksums.bin"].map(|name| fs::read(folder.join(name)).unwrap());
        let before = files();
        let unread = before[1].chunks(8).filter(|checksum| **checksum == [0; 8]).count();
        let offsets = workspace.settings.chunk_offsets.len().max(1);
        assert!(missing == 14 * offsets && unread <= 14 * (offsets - 1), "{missing} {unread}");
        let again = workspace.run(&format!("again{number}"), &settings(SignalKind::Hidden));
        assert_same(&online, &again);
        assert_eq!(again.recorded.cache, Some((folder.clone(), unread)));
        assert!(files() == before, "the second student wrote");
    }
}

/// Of all causal families GPT-J alone has a bias in the output layer, which is part of what it
/// teaches, whether the teacher runs or its states are kept; and students of every family learn it.
#[test]
fn a_teachers_output_bias_is_part_of_what_it_teaches() {
    for (student, name) in
        [(Architecture::GPT2, "gpt2"), (Architecture::GPTJ, "gptj"), (Architecture::QWEN3, "qwen3")]
    {
        let workspace = Workspace { student, ..Workspace::new() };
        let teacher = |value: f32| {
            let config = config(Architecture::GPTJ, 16);
            let mut model = Model::new(config, &workspace.device, 1).unwrap();
            let bias = model.decoder().output().bias.expect("an output bias");
            let values: Vec<f32> =
                (0..VOCAB).map(|id| if id % 3 == 0 { value } else { 0.0 }).collect();
            workspace.device.write(model.parameters_mut().view_mut(bias), &values);
            hugging_face::save(&model, &workspace.path("first")).unwrap();
        };
        teacher(2.0);
        let online = workspace.run(&format!("{name}-online"), &distill(SignalKind::Online));
        let hidden = workspace.run(&format!("{name}-hidden"), &distill(SignalKind::Hidden));
        assert_same(&online, &hidden);
        let sampled = workspace.run(&format!("{name}-sampled"), &distill(SignalKind::Sampled));
        assert!(sampled.recorded.objectives.iter().all(|objective| objective.is_finite()));
        fs::remove_dir_all(workspace.path("caches")).unwrap();
        teacher(0.0);
        let without = workspace.run(&format!("{name}-without"), &distill(SignalKind::Online));
        assert_ne!(without.recorded.objectives, online.recorded.objectives);
        assert!(without.weights != online.weights);
    }
}

#[test]
fn a_run_that_was_stopped_anywhere_goes_on_to_the_same_bits() {
    for signal in [SignalKind::Hidden, SignalKind::Sampled] {
        let workspace = Workspace::new();
        let own =
            |name: &str| DistillSettings { cache: Some(workspace.path(name)), ..distill(signal) };
        let whole = workspace.run("whole", &own("whole-cache"));
        for stop in [1, 2, 5] {
            let (name, settings) = (format!("stopped{stop}"), own(&format!("cache{stop}")));
            let mut parts = Vec::new();
            loop {
                parts.push(workspace.try_run(&name, &settings, stop).unwrap());
                if matches!(parts.last().unwrap().outcome, Outcome::Finished { .. }) {
                    break;
                }
            }
            assert!(parts.len() > 1, "{}", parts.len());
            let steps: Vec<_> = parts.iter().flat_map(|part| part.recorded.steps.clone()).collect();
            assert_eq!(steps, whole.recorded.steps, "{signal:?} {stop}");
            assert!(parts.last().unwrap().weights == whole.weights, "{signal:?} {stop}");
            let bytes = |cache: &str| fs::read(workspace.path(cache).join("blocks.bin")).unwrap();
            assert!(bytes(&format!("cache{stop}")) == bytes("whole-cache"));
        }
    }
}

#[test]
fn a_cache_does_not_depend_on_who_wrote_it() {
    for signal in [SignalKind::Hidden, SignalKind::Sampled] {
        let mut workspace = Workspace::new();
        let own =
            |name: &str| DistillSettings { cache: Some(workspace.path(name)), ..distill(signal) };
        let (by_run, by_completing, half) = (own("by-run"), own("by-completing"), own("half"));
        let trained = workspace.run("by-run-student", &by_run);
        let mut seen = Vec::new();
        let mut cache = open_cache(&workspace.distillation(&by_completing), &workspace.inputs())
            .unwrap()
            .unwrap();
        let done = cache.complete(&workspace.inputs(), 5, &mut |there| {
            seen.push(there);
            true
        });
        assert!(done.unwrap() && seen.last() == Some(&19), "{seen:?}");
        assert!(
            open_cache(&workspace.distillation(&distill(SignalKind::Online)), &workspace.inputs())
                .unwrap()
                .is_none()
        );
        // One that was stopped, and continued by a student.
        let mut cache =
            open_cache(&workspace.distillation(&half), &workspace.inputs()).unwrap().unwrap();
        assert!(!cache.complete(&workspace.inputs(), 2, &mut |there| there < 6).unwrap());
        assert_eq!(cache.progress(), (19, 6));
        drop(cache);
        let continued = workspace.run("half-student", &half);
        assert_same(&trained, &continued);
        let bytes = |cache: &str| fs::read(workspace.path(cache).join("blocks.bin")).unwrap();
        assert!(
            bytes("by-run") == bytes("by-completing") && bytes("by-run") == bytes("half"),
            "{signal:?}"
        );
        // The same sequences in other company.
        workspace.settings.micro_batch_size = 1;
        let single = own_settings(&workspace, signal, "single");
        workspace.run("single-student", &single);
        assert!(
            fs::read(workspace.path("single/blocks.bin")).unwrap()
                == fs::read(workspace.path("half/blocks.bin")).unwrap()
        );
    }
}

fn own_settings(workspace: &Workspace, signal: SignalKind, cache: &str) -> DistillSettings {
    DistillSettings { cache: Some(workspace.path(cache)), ..distill(signal) }
}

#[test]
fn rounded_states_change_the_loss_by_less_than_a_thousandth() {
    let mut workspace = Workspace::new();
    workspace.settings.max_steps = 100;
    let exact = workspace.run("exact", &distill(SignalKind::Hidden));
    let rounded = DistillSettings { codec: Codec::Bf16, ..distill(SignalKind::Hidden) };
    let first = workspace.run("first-student", &rounded);
    assert_eq!(first.recorded.steps.len(), 100);
    for (exact, rounded) in exact.recorded.steps.iter().zip(&first.recorded.steps) {
        assert!((rounded[0] / exact[0] - 1.0).abs() < 1e-3, "{} and {}", rounded[0], exact[0]);
    }
    assert_ne!(exact.recorded.steps, first.recorded.steps);
    // Read from the disk or just computed: rounded alike.
    assert_same(&first, &workspace.run("second-student", &rounded));
}

#[test]
fn students_with_the_same_teachers_share_what_they_say() {
    let workspace = Workspace::new();
    let cache = |settings: &DistillSettings, name: &str| {
        workspace.run(name, settings).recorded.cache.unwrap()
    };
    let (folder, missing) = cache(&distill(SignalKind::Hidden), "a");
    assert_eq!((missing, folder.parent()), (14, Some(&*workspace.path("caches"))));
    // What is done with the states does not matter.
    let other = DistillSettings {
        temperature: 1.0,
        alpha: 0.3,
        ensemble: Ensemble::SumKl,
        weights: Some(vec![1.0, 5.0]),
        ..distill(SignalKind::Hidden)
    };
    assert_eq!(cache(&other, "b"), (folder.clone(), 0));
    // What is drawn does depend on it.
    let (drawn, _) = cache(&distill(SignalKind::Sampled), "c");
    let (colder, missing) =
        cache(&DistillSettings { temperature: 1.0, ..distill(SignalKind::Sampled) }, "d");
    assert!(missing == 14 && drawn != colder && drawn != folder);
    assert_eq!(
        cache(&DistillSettings { alpha: 0.1, ..distill(SignalKind::Sampled) }, "e"),
        (drawn, 0)
    );
}

#[test]
fn while_another_process_writes_a_student_computes_what_is_missing() {
    for signal in [SignalKind::Hidden, SignalKind::Sampled] {
        let workspace = Workspace::new();
        let whole = workspace.run("whole", &own_settings(&workspace, signal, "whole-cache"));
        let settings = own_settings(&workspace, signal, "busy");
        let mut cache =
            open_cache(&workspace.distillation(&settings), &workspace.inputs()).unwrap().unwrap();
        cache.complete(&workspace.inputs(), 2, &mut |there| there < 4).unwrap();
        let beside = workspace.run("beside", &settings);
        assert_same(&whole, &beside);
        assert_eq!((cache.progress(), beside.recorded.cache.unwrap().1), ((19, 4), 10));
    }
}

#[test]
fn samples_teach_what_all_probabilities_do() {
    let mut workspace = Workspace::new();
    workspace.settings.epochs = 10.0;
    let online = workspace.run("online", &distill(SignalKind::Online));
    let sampled =
        workspace.run("sampled", &DistillSettings { samples: 64, ..distill(SignalKind::Sampled) });
    let mean = |trained: &Trained| trained.recorded.objectives.iter().sum::<f64>() / 10.0;
    let (online, sampled) = (mean(&online), mean(&sampled));
    assert!((sampled / online - 1.0).abs() < 0.03, "{sampled} instead of {online}");
}

#[test]
fn what_cannot_work_is_refused_with_the_reason() {
    let mut workspace = Workspace::new();
    let reverse =
        DistillSettings { divergence: Divergence::ReverseKl, ..distill(SignalKind::Sampled) };
    let refusal = workspace.refusal("x", &reverse);
    assert!(
        refusal.contains("`signal` is \"sampled\"")
            && refusal.contains("divergence = \"forward_kl\""),
        "{refusal}"
    );
    let one = DistillSettings { weights: Some(vec![1.0]), ..distill(SignalKind::Online) };
    assert!(
        workspace
            .refusal("x", &one)
            .contains("`weights` is [1.0]; there must be one for each teacher")
    );
    let nowhere = DistillSettings { cache: Some(PathBuf::new()), ..distill(SignalKind::Hidden) };
    assert!(workspace.refusal("x", &nowhere).contains("`cache` is \"\"; it must name a folder"));
    workspace.settings.random_offset = true;
    for (signal, name) in [(SignalKind::Hidden, "hidden"), (SignalKind::Sampled, "sampled")] {
        let refusal = workspace.refusal("x", &distill(signal));
        assert!(
            refusal.contains(&format!("`signal` is \"{name}\"; random_offset = true")),
            "{refusal}"
        );
        assert!(refusal.contains("chunk_offsets, such as [0, 64]"), "{refusal}");
    }
    assert!(!workspace.path("caches").exists());
    workspace.run("x", &distill(SignalKind::Online));
    workspace.settings.chunk_offsets = vec![0, 3];
    assert!(
        workspace
            .refusal("x", &distill(SignalKind::Online))
            .contains("`chunk_offsets` is [0, 3]; with random")
    );
    workspace.settings.random_offset = false;
    for offsets in [vec![3, 0], vec![0, 7], vec![2, 2]] {
        workspace.settings.chunk_offsets = offsets;
        assert!(workspace.refusal("x", &distill(SignalKind::Online)).contains("offsets must rise"));
    }
}

/// Of whom the weights are to be fitted.
fn fitted(ensemble: Ensemble) -> DistillSettings {
    DistillSettings { fit_weights: true, ensemble, ..distill(SignalKind::Online) }
}

#[test]
fn what_cannot_be_fitted_is_refused_before_a_teacher_is_asked() {
    let workspace = Workspace::new();
    // No teacher can be loaded from here on.
    for name in ["first", "second"] {
        fs::remove_file(workspace.path(name).join("model.safetensors")).unwrap();
    }
    let refusal = workspace.refusal("ensemble", &fitted(Ensemble::MeanLogits));
    assert!(refusal.contains("`fit_weights` is true; it fits the shares"), "{refusal}");
    let small = ModelConfig { vocab_size: 40, ..config(Architecture::GPT2, 16) };
    let model = Model::new(small, &workspace.device, 1).unwrap();
    hugging_face::save(&model, &workspace.path("first")).unwrap();
    let refusal = workspace.refusal("vocabulary", &fitted(Ensemble::MeanProbs));
    let reason = "teacher first has a vocabulary of 40, the student one of 61";
    assert!(refusal.contains(reason), "{refusal}");
}

#[test]
fn fitting_ends_where_it_is_asked_to_stop() {
    struct Stopping;
    impl Listener for Stopping {
        fn on_event(&mut self, event: Event<'_>) -> std::io::Result<()> {
            panic!("{event:?} after a stop")
        }

        fn should_stop(&self) -> bool {
            true
        }
    }
    let workspace = Workspace::new();
    let (folder, settings) = (workspace.path("stopped"), fitted(Ensemble::MeanProbs));
    let found = workspace.training(&folder, &settings).execute(&mut Stopping);
    assert!(matches!(found, Err(TrainError::Stopped(_))), "{found:?}");
    let finished = workspace.run("stopped", &settings);
    assert_same(&finished, &workspace.run("whole", &settings));
}

#[test]
fn another_teacher_and_damage_are_refused_and_the_run_goes_on_afterwards() {
    let workspace = Workspace::new();
    let settings = own_settings(&workspace, SignalKind::Hidden, "cache");
    let stopped = workspace.try_run("student", &settings, 6).unwrap();
    assert_eq!(stopped.outcome, Outcome::Interrupted { step: 6 });
    let whole = workspace.run("whole", &distill(SignalKind::Online));

    let blocks = workspace.path("cache/blocks.bin");
    let bytes = fs::read(&blocks).unwrap();
    let mut flipped = bytes.clone();
    flipped[3 * bytes.len() / 14 + 5] ^= 1;
    fs::write(&blocks, &flipped).unwrap();
    let refusal = workspace.refusal("student", &settings);
    assert!(
        refusal.contains("block 3 of") && refusal.contains("blocks.bin is damaged"),
        "{refusal}"
    );
    fs::write(&blocks, &bytes[..bytes.len() - 1]).unwrap();
    assert!(workspace.refusal("student", &settings).contains("the file was cut off"));
    // Completing the cache rewrites what is damaged.
    fs::write(&blocks, &flipped).unwrap();
    let mut cache =
        open_cache(&workspace.distillation(&settings), &workspace.inputs()).unwrap().unwrap();
    assert_eq!(cache.progress(), (19, 18));
    assert!(cache.complete(&workspace.inputs(), 4, &mut |_| true).unwrap());
    assert!(fs::read(&blocks).unwrap() == bytes);

    let first = workspace.path("first");
    let saved = fs::read(first.join("model.safetensors")).unwrap();
    let other = Model::new(config(Architecture::GPT2, 16), &workspace.device, 8).unwrap();
    hugging_face::save(&other, &first).unwrap();
    let refusal = workspace.refusal("student", &settings);
    assert!(refusal.contains("cache has other contents: `teachers[0].weights` is"), "{refusal}");
    fs::write(first.join("model.safetensors"), saved).unwrap();

    let finished = workspace.run("student", &settings);
    assert!(finished.weights == whole.weights);
    assert_eq!(finished.recorded.steps[..], whole.recorded.steps[6..]);
}

#[test]
fn a_cache_that_cannot_be_written_stops_before_the_first_step() {
    let workspace = Workspace::new();
    fs::write(workspace.path("file"), "").unwrap();
    let settings = own_settings(&workspace, SignalKind::Hidden, "file");
    assert!(workspace.refusal("student", &settings).contains("file"));
    assert!(!Path::new(&workspace.path("student/checkpoints")).exists());
}
