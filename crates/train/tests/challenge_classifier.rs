//! The classification head of the BabyLM pipelines of 2025 and 2026 against torch
//! (`tools/golden/challenge_classifier.py`): logits, the gradient of the head, and forty steps.

mod common;

use std::sync::Arc;

use common::{Fixture, assert_close, batches, folder};
use engine::Device;
use engine::cpu::Cpu;
use model::{Classifier, hugging_face};
use train::finetune::{
    ClassifierHead, ClassifierTrainer, Example, Finetune, FinetuneEvent, FinetuneListener,
    FinetuneSettings, predict,
};
use train::settings::ScheduleKind;

/// The head's parameters, by torch's names.
const HEAD: [&str; 4] = [
    "nonlinearity.1.weight",
    "nonlinearity.1.bias",
    "nonlinearity.5.weight",
    "nonlinearity.5.bias",
];

fn settings(head: ClassifierHead) -> FinetuneSettings {
    FinetuneSettings {
        head,
        head_dropout: 0.0,
        learning_rate: 1e-2,
        schedule: ScheduleKind::CosineWithMinLr,
        warmup_ratio: 0.06,
        weight_decay: 0.01,
        decay_norms: true,
        decay_biases: true,
        max_grad_norm: 0.0,
        ..FinetuneSettings::default()
    }
}

/// The classifier of a fixture as it starts.
fn classifier(model: &str, settings: &FinetuneSettings, expected: &Fixture) -> Classifier {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let model = hugging_face::load_any(&folder(model), &device).unwrap();
    let mut classifier = Classifier::with_head(&model, 3, settings.head_kind(), 1).unwrap();
    for name in HEAD {
        let segment = segment(&classifier, name);
        let values = expected.floats(&format!("head.{name}"));
        device.write(classifier.parameters_mut().view_mut(segment), &values);
    }
    classifier
}

fn segment(classifier: &Classifier, name: &str) -> engine::Segment {
    let name = format!("classification_head.{name}");
    let mut segments = classifier.parameters().layout().segments().iter();
    segments.find(|named| named.name == name).unwrap().segment
}

/// The rates of the steps, as the loop takes them.
struct Rates(Vec<f64>);

impl FinetuneListener for Rates {
    fn on_event(&mut self, event: FinetuneEvent) {
        if let FinetuneEvent::Step(step) = event {
            self.0.push(step.learning_rate);
        }
    }
}

/// The learning rates of forty steps by the settings.
fn rates(classifier: Classifier, settings: &FinetuneSettings, example: Example) -> Vec<f64> {
    let settings = FinetuneSettings { max_steps: 40, patience: None, ..settings.clone() };
    let examples = [example];
    let run = Finetune {
        classifier,
        training: &examples,
        validation: &examples,
        settings: &settings,
        select: &|_| 0.0,
    };
    let mut listener = Rates(Vec::new());
    run.execute(&mut listener).unwrap();
    listener.0
}

#[test]
fn forty_steps_follow_torch() {
    let (first, last) = (ClassifierHead::PerceptronFirstToken, ClassifierHead::PerceptronLastToken);
    for (name, model, head) in [
        ("llama-grouped", "llama-grouped", last),
        ("gpt2", "gpt2", last),
        ("opt", "opt", last),
        ("roberta", "roberta", first),
        ("roberta-last", "roberta", last),
    ] {
        let path = format!("train/tests/fixtures/challenge_classifier_{name}.safetensors");
        let expected = Fixture::open(&path);
        let settings = settings(head);
        let start = || classifier(model, &settings, &expected);
        let examples = batches(&expected, "").remove(0);
        let rates = rates(start(), &settings, examples[0].clone());
        let mut trainer = ClassifierTrainer::new(start(), &settings);
        let (logits, loss) = predict(&trainer.classifier, &examples).unwrap();
        assert_close(name, &logits.concat(), &expected.floats("logits"), 1e-5);
        assert_close(name, &[loss as f32], &expected.floats("loss"), 1e-5);

        trainer.step(&examples.iter().collect::<Vec<_>>(), 1, 0.0).unwrap();
        let gradient = trainer.gradients().values().to_vec();
        for part in HEAD {
            let segment = segment(&trainer.classifier, part);
            let found = &gradient[segment.offset..][..segment.length()];
            assert_close(part, found, &expected.floats(&format!("grad.{part}")), 1e-4);
        }

        let mut trainer = ClassifierTrainer::new(start(), &settings);
        let losses = expected.floats("losses");
        let all = batches(&expected, "step_");
        assert_eq!((all.len(), losses.len(), rates.len()), (40, 40, 40));
        for (index, batch) in all.iter().enumerate() {
            let batch: Vec<&Example> = batch.iter().collect();
            let found = trainer.step(&batch, index as u64 + 1, rates[index]).unwrap();
            let error = (found.loss - f64::from(losses[index])).abs();
            assert!(error < 2e-5, "{name}, step {index}: {} and {}", found.loss, losses[index]);
        }
        let logits = predict(&trainer.classifier, &examples).unwrap().0.concat();
        assert_close(name, &logits, &expected.floats("final_logits"), 1e-4);
    }
}

#[test]
fn a_new_head_is_drawn_as_torch_draws_it() {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let model = hugging_face::load_any(&folder("llama-grouped"), &device).unwrap();
    let kind = settings(ClassifierHead::PerceptronLastToken).head_kind();
    let of_seed = |seed| Classifier::with_head(&model, 2, kind, seed).unwrap();
    let (one, other) = (of_seed(1), of_seed(2));
    let bound = 1.0 / 24f32.sqrt();
    for name in HEAD {
        let [values, others] = [&one, &other].map(|classifier| {
            let segment = segment(classifier, name);
            classifier.parameters().values().to_vec()[segment.offset..][..segment.length()].to_vec()
        });
        assert!(values.iter().all(|value| value.abs() <= bound), "{name}");
        assert!(values.iter().zip(&others).all(|(a, b)| a != b), "{name}");
        let mean = values.iter().map(|value| value.abs()).sum::<f32>() / values.len() as f32;
        assert!(values.len() < 20 || (mean / bound - 0.5).abs() < 0.15, "{name}: {mean}");
    }
}

/// A model with rotary positions reads on where its training ended, others do not; and no token of
/// an encoder-decoder stands for a text.
#[test]
fn long_texts_are_read_by_models_with_rotary_positions() {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let kind = settings(ClassifierHead::PerceptronLastToken).head_kind();
    let ids: Vec<u32> = (0..40).map(|place| 2 + place % 7).collect();
    for (name, reads_on) in [("llama-grouped", true), ("gpt2", false)] {
        let model = hugging_face::load_any(&folder(name), &device).unwrap();
        let classifier = Classifier::with_head(&model, 2, kind, 1).unwrap();
        assert_eq!(classifier.check_sequence(&ids).is_ok(), reads_on, "{name}");
        let of_family = Classifier::from_model(&model, 2, 1).unwrap();
        assert!(of_family.check_sequence(&ids).is_err(), "{name}");
    }
    let model = hugging_face::load_any(&folder("t5"), &device).unwrap();
    let error = Classifier::with_head(&model, 2, kind, 1).err().unwrap();
    assert!(error.to_string().starts_with("no token of an encoder-decoder"), "{error}");
}
