//! The identity of a run: everything that its result follows from, as JSON under stable keys.
//!
//! Settings have their keys of a recipe. Left out are the settings that never change a result
//! (`checkpoint_steps`, `checkpoint_minutes`, `micro_batch_size`, where a cache is), what the
//! signal does not use, `epochs` beside phases, and keys that were added later while they are at
//! their defaults. A key that other settings make idle stays otherwise: `epochs` beside
//! `max_steps`, `warmup_ratio` beside `warmup_steps`, keys of a schedule that is not in use.
//! Renaming a field in the program changes no identity.

use base::hash;
use model::ModelConfig;
use model::hugging_face::config_to_json;
use serde_json::{Value, json};

use crate::settings::{Codec, DistillSettings, SignalKind, TrainSettings};

/// Settings of `[models.NAME.train]` that change no result, or nothing but rounding.
const NOT_DECIDING: [&str; 3] = ["checkpoint_steps", "checkpoint_minutes", "micro_batch_size"];

/// The identity of training settings.
pub fn of_training(settings: &TrainSettings) -> Value {
    // Numbers, strings and lists always are JSON.
    let mut value = serde_json::to_value(settings).unwrap_or_default();
    if let Some(keys) = value.as_object_mut() {
        keys.retain(|key, _| !NOT_DECIDING.contains(&key.as_str()));
        // Buckets and phases state how long they are.
        if keys.contains_key("buckets") {
            keys.remove("epochs");
        }
        // And what phases are called decides nothing.
        if let Some(Value::Array(phases)) = keys.get_mut("phases") {
            for phase in phases.iter_mut().filter_map(Value::as_object_mut) {
                phase.remove("name");
            }
            keys.remove("epochs");
        }
    }
    value
}

/// The identity of distillation settings: exact cached states are the same as computing them again.
pub fn of_distillation(settings: &DistillSettings) -> Value {
    let is_exact = settings.signal == SignalKind::Hidden && settings.codec == Codec::F32;
    let signal = if is_exact { SignalKind::Online } else { settings.signal };
    let settings = DistillSettings { cache: None, signal, ..settings.clone() };
    let mut value = serde_json::to_value(settings).unwrap_or_default();
    if let Some(keys) = value.as_object_mut() {
        keys.retain(|key, _| match key.as_str() {
            "samples" => signal == SignalKind::Sampled,
            "codec" => signal == SignalKind::Hidden,
            _ => true,
        });
    }
    value
}

/// The identity of a whole run. `inputs` is a hash of start weights, teachers and texts;
/// `sample_seed` that of the tokens that are drawn from the teachers.
pub fn of_run(
    settings: &TrainSettings,
    distill: Option<(&DistillSettings, u64)>,
    seed: u64,
    model: &ModelConfig,
    inputs: &str,
) -> Value {
    let mut identity = json!({
        "train": of_training(settings),
        "seed": seed,
        "model": config_to_json(model),
        "inputs": inputs,
    });
    if let Some((settings, sample_seed)) = distill {
        identity["distill"] = of_distillation(settings);
        if settings.signal == SignalKind::Sampled {
            identity["sample_seed"] = sample_seed.into();
        }
    }
    identity
}

/// The hash of an identity, whatever the order of its keys.
pub fn fingerprint(mut identity: Value) -> String {
    identity.sort_all_objects();
    hash::of_bytes(identity.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use model::Architecture;

    use super::*;
    use crate::settings::{
        AverageKind, AverageSettings, ChallengeTrack, Cooldown, CorruptionSettings, DataOrder,
        DecaySchedule, Divergence, Ensemble, HybridSettings, KlNormalisation, MaskedSettings,
        Objective, PhaseSettings, SamSettings, ScheduleKind, Selection, SpanSettings,
    };
    use crate::signals::tests::config;

    fn keys(value: &Value) -> Vec<&str> {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    /// A renamed field would make every checkpoint that was written before useless.
    #[test]
    fn the_keys_are_these() {
        let (train, distill) = (TrainSettings::default(), DistillSettings::new(Vec::new()));
        let sampled = DistillSettings { signal: SignalKind::Sampled, ..distill.clone() };
        let run = |distill| {
            of_run(&train, Some((distill, 3)), 1, &config(Architecture::GPT2, 16), "inputs")
        };
        assert_eq!(keys(&run(&distill)), ["distill", "inputs", "model", "seed", "train"]);
        let expected = [
            "adam_beta1",
            "adam_beta2",
            "adam_epsilon",
            "batch_size",
            "chunk_offsets",
            "decay_norms",
            "epochs",
            "evaluation_sequences",
            "learning_rate",
            "max_grad_norm",
            "max_steps",
            "optimizer",
            "order",
            "random_offset",
            "schedule",
            "seed",
            "select_by",
            "sequence_length",
            "warmup_ratio",
            "warmup_steps",
            "weight_decay",
        ];
        assert_eq!(keys(&run(&distill)["train"]), expected);
        let expected =
            ["alpha", "divergence", "ensemble", "kl", "signal", "teachers", "temperature"];
        assert_eq!(keys(&run(&distill)["distill"]), expected);
        assert!(keys(&run(&sampled)).contains(&"sample_seed"));
        assert!(keys(&run(&sampled)["distill"]).contains(&"samples"));
    }

    #[test]
    fn the_fingerprint_of_an_identity_is_this() {
        let found = fingerprint(json!({"b": [1.5, "x"], "a": {"d": null, "c": 1e-8}}));
        assert_eq!(found, hash::of_bytes(br#"{"a":{"c":1e-8,"d":null},"b":[1.5,"x"]}"#));
    }

    #[test]
    fn every_deciding_training_setting_changes_it() {
        type Change = fn(&mut TrainSettings);
        let deciding: [Change; 45] = [
            |s| s.epochs = 1.0,
            |s| s.max_steps = 7,
            |s| s.batch_size = 31,
            |s| s.sequence_length = 64,
            |s| s.random_offset = true,
            |s| s.chunk_offsets = vec![0, 64],
            |s| s.order = DataOrder::File,
            |s| s.optimizer = crate::optimizers::OptimizerKind::named("adamw_hf").unwrap(),
            |s| s.learning_rate = 1e-3,
            |s| s.schedule = ScheduleKind::Linear,
            |s| s.warmup_steps = 5,
            |s| s.warmup_ratio = 0.1,
            |s| s.cooldown_share = 0.3,
            |s| s.cooldown = Cooldown::OneMinusSquareRoot,
            |s| s.min_learning_rate_ratio = 0.2,
            |s| s.cycle_epochs = 2.0,
            |s| s.weight_decay = 0.1,
            |s| s.weight_decay_epochs = Some(0.3),
            |s| s.weight_decay_schedule = DecaySchedule::Opposite,
            |s| s.cautious_decay = true,
            |s| s.decay_norms = true,
            |s| s.adam_beta1 = 0.8,
            |s| s.adam_beta2 = 0.9,
            |s| s.adam_epsilon = 1e-6,
            |s| s.max_grad_norm = 0.0,
            |s| s.evaluation_sequences = 9,
            |s| s.select_by = Selection::Objective,
            |s| s.seed = Some(1),
            |s| s.optimizer_options = [("momentum".to_owned(), 0.9)].into(),
            |s| s.groups = vec![serde_json::from_str("{}").unwrap()],
            |s| s.sources = vec!["a".into()],
            |s| s.same_batch = true,
            |s| s.offset_per_sequence = true,
            |s| s.corruption = Some(CorruptionSettings::default()),
            |s| s.hybrid = Some(HybridSettings::default()),
            |s| s.masked = Some(MaskedSettings::default()),
            |s| s.spans = Some(SpanSettings::default()),
            |s| s.objective = Objective::Ascent,
            |s| s.dropout = false,
            |s| s.sam = Some(SamSettings::default()),
            |s| s.average = Some(AverageSettings::new(AverageKind::EmaSteps)),
            |s| s.phases = vec![PhaseSettings::default()],
            |s| s.select_by = Selection::Last,
            |s| s.snapshots = vec![2],
            |s| s.challenge_checkpoints = Some(ChallengeTrack::Strict),
        ];
        let plain = of_training(&TrainSettings::default());
        for (index, change) in deciding.iter().enumerate() {
            let mut settings = TrainSettings::default();
            change(&mut settings);
            assert_ne!(of_training(&settings), plain, "change {index}");
        }
        let phase = |name: &str| PhaseSettings {
            name: Some(name.to_owned()),
            epochs: Some(1.0),
            ..PhaseSettings::default()
        };
        let phased = |name, epochs| {
            let phases = vec![phase(name)];
            of_training(&TrainSettings { phases, epochs, ..TrainSettings::default() })
        };
        assert_eq!(phased("a", 2.0), phased("b", 3.0));
        let settings = TrainSettings {
            checkpoint_steps: 5,
            checkpoint_minutes: 0.1,
            micro_batch_size: 2,
            ..TrainSettings::default()
        };
        assert_eq!(of_training(&settings), plain);
    }

    #[test]
    fn distillation_settings_count_where_they_decide() {
        type Change = fn(&mut DistillSettings);
        let start = DistillSettings::new(vec!["a".into()]);
        let differs = |start: &DistillSettings, change: Change| {
            let mut settings = start.clone();
            change(&mut settings);
            of_distillation(&settings) != of_distillation(start)
        };
        let deciding: [Change; 11] = [
            |s| s.fit_weights = true,
            |s| s.temperature_end = Some(1.0),
            |s| s.alpha_end = Some(0.2),
            |s| s.teachers = vec!["b".into()],
            |s| s.weights = Some(vec![2.0]),
            |s| s.temperature = 1.0,
            |s| s.alpha = 0.1,
            |s| s.kl = KlNormalisation::Batchmean,
            |s| s.ensemble = Ensemble::SumKl,
            |s| s.divergence = Divergence::ReverseKl,
            |s| s.signal = SignalKind::Sampled,
        ];
        assert!(deciding.iter().all(|&change| differs(&start, change)));
        let none: [Change; 4] = [
            |s| s.cache = Some(PathBuf::from("caches/a")),
            |s| s.samples = 9,
            |s| s.codec = Codec::Bf16,
            |s| s.signal = SignalKind::Hidden,
        ];
        assert!(!none.iter().any(|&change| differs(&start, change)));
        let hidden = DistillSettings { signal: SignalKind::Hidden, ..start.clone() };
        assert!(
            differs(&hidden, |s| s.codec = Codec::Bf16) && !differs(&hidden, |s| s.samples = 9)
        );
        let sampled = DistillSettings { signal: SignalKind::Sampled, ..start };
        assert!(
            differs(&sampled, |s| s.samples = 9) && !differs(&sampled, |s| s.codec = Codec::Bf16)
        );
    }

    #[test]
    fn seeds_model_and_inputs_change_a_run() {
        let (train, distill) = (TrainSettings::default(), DistillSettings::new(Vec::new()));
        let sampled = DistillSettings { signal: SignalKind::Sampled, ..distill.clone() };
        let [gpt2, llama] = [Architecture::GPT2, Architecture::LLAMA].map(|kind| config(kind, 16));
        let of = |distill, seed, model, inputs| {
            fingerprint(of_run(&train, Some((distill, seed)), seed, model, inputs))
        };
        let plain = of(&distill, 1, &gpt2, "a");
        assert_eq!(plain, of(&distill, 1, &gpt2, "a"));
        assert_ne!(plain, of(&distill, 2, &gpt2, "a"));
        assert_ne!(plain, of(&distill, 1, &llama, "a"));
        assert_ne!(plain, of(&distill, 1, &gpt2, "b"));
        let drawn = |sample_seed| {
            let run = of_run(&train, Some((&sampled, sample_seed)), 1, &gpt2, "a");
            fingerprint(run)
        };
        assert_ne!(drawn(1), drawn(2), "drawn tokens follow from that seed");
        let read = |sample_seed| of_run(&train, Some((&distill, sample_seed)), 1, &gpt2, "a");
        assert_eq!(read(1), read(2), "nothing else does");
    }
}
