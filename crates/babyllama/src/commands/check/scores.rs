//! What is not training: log-probabilities of continuations with common beginnings, and a
//! classifier's steps.

use std::sync::Arc;

use base::rng::Rng;
use engine::Device;
use eval::{Request, Scorer};
use model::{Architecture, Classifier, Model};
use train::finetune::{Example, Finetune, FinetuneEvent, FinetuneListener, FinetuneSettings};

use super::models::config;
use super::{Row, Tolerances, largest_difference, relative_distance};
use crate::console;

/// Labels of the classifier.
const LABELS: u64 = 3;

/// Scores and fine-tunes models with random weights on both devices.
pub fn compare(
    reference: &Arc<dyn Device>,
    device: &Arc<dyn Device>,
    tolerances: Tolerances,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    // A route that rounding turns over is another expert, so that small differences do not stay
    // small.
    let is_compared = |family: &Architecture| !family.has_experts();
    for architecture in Architecture::all().filter(is_compared) {
        let name = architecture.title();
        console::note(format_args!("{name}: scores and fine-tuning"));
        if architecture.is_causal() {
            let [expected, found] =
                [scores(architecture, reference)?, scores(architecture, device)?];
            rows.push(Row::new(
                "scores",
                name,
                relative_distance(&expected, &found),
                tolerances.scores,
            ));
        }
        let [expected, found] =
            [finetune(architecture, reference)?, finetune(architecture, device)?];
        let error = largest_difference(&expected.losses, &found.losses);
        let has_relu = [Architecture::OPT, Architecture::T5].contains(&architecture);
        let tolerance = match has_relu {
            true => tolerances.relu_loss,
            false => tolerances.loss,
        };
        rows.push(Row::new("fine-tuning, loss", name, error, tolerance));
        let error = relative_distance(&expected.logits, &found.logits);
        rows.push(Row::new("fine-tuning, logits", name, error, tolerances.scores));
    }
    Ok(rows)
}

/// Log-probabilities of continuations, each of several contexts with several.
fn scores(architecture: Architecture, device: &Arc<dyn Device>) -> anyhow::Result<Vec<f64>> {
    let model = Model::new(config(architecture), device, 11)?;
    let rng = Rng::new(12, "check scores");
    let ids = |key: u64, count: u64| -> Vec<u32> {
        (0..count)
            .map(|at| rng.at(key).below(at, model.config().vocab_size as u64) as u32)
            .collect()
    };
    let request = |number: u64| Request {
        context: ids(number / 4, 5 + 7 * (number / 4 % 3)),
        continuation: ids(1000 + number, 1 + number % 9),
    };
    let requests: Vec<Request> = (0..64).map(request).collect();
    Ok(Scorer::new(vec![&model])?.score(&requests, |_, _| ())?.log_probabilities)
}

/// What fine-tuning showed.
#[derive(Default)]
struct Recorder {
    losses: Vec<f64>,
    /// Of the examples, after the last step.
    logits: Vec<f64>,
}

impl FinetuneListener for Recorder {
    fn on_event(&mut self, event: FinetuneEvent) {
        if let FinetuneEvent::Step(step) = event {
            self.losses.push(step.loss);
        }
    }
}

fn finetune(architecture: Architecture, device: &Arc<dyn Device>) -> anyhow::Result<Recorder> {
    let model = Model::new(config(architecture), device, 13)?;
    let rng = Rng::new(14, "check examples");
    let example = |number: u64| {
        let label = number % LABELS;
        // Every label has ids of its own.
        let id = |at| (label * 100 + rng.at(number).below(at, 100)) as u32;
        Example { ids: (0..3 + rng.below(number, 40)).map(id).collect(), label: label as u32 }
    };
    let examples: Vec<Example> = (0..48).map(example).collect();
    let settings = FinetuneSettings {
        max_steps: 12,
        batch_size: 16,
        learning_rate: 1e-3,
        patience: None,
        ..FinetuneSettings::default()
    };
    let mut recorder = Recorder::default();
    let finetune = Finetune {
        classifier: Classifier::from_model(&model, LABELS as usize, 15)?,
        training: &examples,
        validation: &examples,
        settings: &settings,
        select: &|_| 0.0,
    };
    let finetuned = finetune.execute(&mut recorder)?;
    recorder.logits = finetuned.logits.into_iter().flatten().map(f64::from).collect();
    Ok(recorder)
}
