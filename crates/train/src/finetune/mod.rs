//! Fine-tuning a language model as a sequence classifier, as the BabyLM evaluation pipelines of
//! 2023 and 2024 do with transformers' Trainer: from [`Finetune::execute`] to the step in one hop.

mod early_stopping;
mod events;
mod plan;
mod predict;
mod run;
mod settings;
mod step;

pub use early_stopping::{EarlyStopping, Observation};
pub use events::{Evaluation, FinetuneEvent, FinetuneListener, FinetuneStep, Silent};
pub use predict::{predict, predicted_labels};
pub use run::{Finetune, Finetuned};
pub use settings::{ClassifierHead, FinetuneSettings};
pub use step::{ClassifierTrainer, StepResult};

use model::Classifier;

use crate::error::TrainError;

/// A text as token ids with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids: at least one, and not more than the model has positions.
    pub ids: Vec<u32>,
    /// The number of its label, from 0.
    pub label: u32,
}

/// Refuses examples that a classifier cannot read. `which` names them in errors, such as
/// "training".
fn check_examples(
    which: &'static str,
    examples: &[Example],
    classifier: &Classifier,
) -> Result<(), TrainError> {
    if examples.is_empty() {
        return Err(TrainError::NoExamples { which });
    }
    for (index, example) in examples.iter().enumerate() {
        let refuse =
            |problem: String| Err(TrainError::Example { which, number: index + 1, problem });
        if example.ids.is_empty() {
            return refuse("it has no tokens".to_owned());
        }
        if let Err(problem) = classifier.check_sequence(&example.ids) {
            return refuse(problem.to_string());
        }
        if example.label as usize >= classifier.num_labels() {
            let (label, labels) = (example.label, classifier.num_labels());
            return refuse(format!(
                "its label is {label}, but the classifier has {labels} labels, counted from 0"
            ));
        }
    }
    Ok(())
}
