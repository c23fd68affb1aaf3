//! Folders of sequence classifiers: what transformers' `AutoModelForSequenceClassification` reads
//! and writes.

use std::path::Path;
use std::sync::Arc;

use engine::Device;
use serde_json::{Map, Value, json};

use super::weight_files::{Names, WeightFiles};
use super::{config, config_path, make_folder, of_tensors, weights, write_json};
use crate::classifier::default_labels;
use crate::error::ModelError;
use crate::keys::Keys;
use crate::{Classifier, ModelConfig};

/// Reads a classifier from a folder.
///
/// # Errors
/// When the folder holds no classifier (a language model's goes through [`load`](super::load) and
/// [`Classifier::from_model`]), is damaged, or its labels and its head disagree.
pub fn load_classifier(folder: &Path, device: &Arc<dyn Device>) -> Result<Classifier, ModelError> {
    let path = config_path(folder)?;
    let keys = Keys::read(&path)?;
    if !keys.is_classifier()? {
        let found = keys.classes()?;
        return Err(ModelError::NotAClassifier { path, found });
    }
    keys.only("problem_type", &[json!("single_label_classification")])?;
    let labels = labels(&keys)?;
    let config = config::decoder(keys)?;
    let files = WeightFiles::open(folder)?;
    let config = of_tensors(config, &files)?;
    let names = Names::of_classifier(&config);
    weights::check(&files, &Classifier::layout(&config, &labels)?, &names)?;
    let mut classifier = Classifier::zeros(config, labels, device)?;
    weights::read(&files, &names, classifier.parameters_mut())?;
    Ok(classifier)
}

/// Writes a classifier's configuration and weights into a folder, which is made when it does not
/// exist. Each file is written beside and renamed into place.
///
/// transformers finds the last token of a padded sequence by the padding id. `padding` is that of
/// the tokenizer beside the weights, which counts unless the family has a row of its embedding for
/// padding. Where neither has one, the end-of-text token is named, which then must not end a
/// sequence.
///
/// # Errors
/// When a file cannot be written.
pub fn save_classifier(
    classifier: &Classifier,
    padding: Option<u32>,
    folder: &Path,
) -> Result<(), ModelError> {
    make_folder(folder)?;
    let config = classifier.config();
    let own = config.padding_or_end();
    let padding = if config.architecture.has_padding_row() { own } else { padding.or(own) };
    let object = to_json(config, classifier.labels(), padding);
    write_json(&folder.join("config.json"), &object)?;
    let path = folder.join("model.safetensors");
    weights::write(classifier.config(), classifier.parameters(), &path)
}

/// The names of the labels in the order of their ids; transformers leaves them out where there are
/// two without names.
fn labels(keys: &Keys<'_>) -> Result<Vec<String>, ModelError> {
    let stated: Option<usize> = keys.optional("num_labels")?;
    let Some(names) = keys.optional::<Map<String, Value>>("id2label")? else {
        return match stated.unwrap_or(2) {
            count if count <= MOST_LABELS => Ok(default_labels(count)),
            count => {
                let known = format!("at most {MOST_LABELS}");
                Err(keys.unsupported("num_labels", count.to_string(), known))
            }
        };
    };
    if let Some(count) = stated.filter(|&count| count != names.len()) {
        let known = format!("{} by `id2label`", names.len());
        return Err(keys.unsupported("num_labels", count.to_string(), known));
    }
    let name =
        |label: usize| names.get(&label.to_string()).and_then(Value::as_str).map(str::to_owned);
    (0..names.len()).map(name).collect::<Option<_>>().ok_or_else(|| {
        let known = format!("names for the ids 0 to {}", names.len().saturating_sub(1));
        keys.unsupported("id2label", Value::Object(names.clone()).to_string(), known)
    })
}

/// More labels than any task has.
const MOST_LABELS: usize = 1 << 16;

fn to_json(config: &ModelConfig, labels: &[String], padding: Option<u32>) -> Value {
    let by_id: Map<_, _> =
        labels.iter().enumerate().map(|(id, name)| (id.to_string(), json!(name))).collect();
    let by_name: Map<_, _> =
        labels.iter().enumerate().map(|(id, name)| (name.clone(), json!(id))).collect();
    let mut object = config::to_json(config);
    object["architectures"] = json!([config.architecture.classifier_class()]);
    object["id2label"] = Value::Object(by_id);
    object["label2id"] = Value::Object(by_name);
    object["problem_type"] = json!("single_label_classification");
    object["pad_token_id"] = json!(padding);
    object
}

#[cfg(test)]
mod tests {
    use engine::cpu::Cpu;

    use super::super::{load, save};
    use super::*;
    use crate::families::config::tests::{gpt2, llama, opt, roberta};
    use crate::{Batch, Model};

    fn device() -> Arc<dyn Device> {
        Arc::new(Cpu::new())
    }

    fn model(config: ModelConfig) -> Model {
        Model::new(ModelConfig { vocab_size: 50, ..config }, &device(), 3).unwrap()
    }

    fn classifier(config: ModelConfig, labels: usize) -> Classifier {
        Classifier::from_model(&model(config), labels, 5).unwrap()
    }

    #[test]
    fn a_saved_classifier_loads_to_the_same_bits() {
        let names = ["contradiction", "entailment", "neutral"].map(str::to_owned);
        let masked = ModelConfig { classifier_dropout: Some(0.2), ..roberta(16, 24, 2, 4, 8) };
        for config in [gpt2(16, 24, 2, 4, 8), llama(16, 24, 2, 4, 2), opt(16, 24, 2, 4, 8), masked]
        {
            let folder = tempfile::tempdir().unwrap();
            let saved = classifier(config.clone(), 3).with_labels(names.to_vec()).unwrap();
            save_classifier(&saved, None, folder.path()).unwrap();
            let again = load_classifier(folder.path(), &device()).unwrap();
            // GPT-2's settings here have no padding token; the folder names one for transformers.
            let pad_token_id = Some(config.pad_token_id.unwrap_or(2));
            assert_eq!(*again.config(), ModelConfig { pad_token_id, ..saved.config().clone() });
            assert_eq!(again.labels(), names);
            assert_eq!(again.parameters().values().to_vec(), saved.parameters().values().to_vec());
            let batch = Batch::from_sequences([&[4, 5, 6][..], &[7]]);
            assert_eq!(again.logits(&batch), saved.logits(&batch));
        }
    }

    /// The id that pads texts is the tokenizer's, but for families that have a row for padding.
    #[test]
    fn padding_is_that_of_the_tokenizer() {
        let written = |config: ModelConfig| {
            let folder = tempfile::tempdir().unwrap();
            save_classifier(&classifier(config, 2), Some(0), folder.path()).unwrap();
            load_classifier(folder.path(), &device()).unwrap().config().pad_token_id
        };
        assert_eq!(written(gpt2(16, 24, 1, 4, 8)), Some(0));
        let masked = ModelConfig { pad_token_id: Some(3), ..roberta(16, 24, 1, 4, 8) };
        assert_eq!(written(masked), Some(3));
    }

    #[test]
    fn language_models_and_classifiers_are_told_apart() {
        let masked = roberta(16, 24, 1, 4, 8);
        for config in [gpt2(16, 24, 1, 4, 8), llama(16, 24, 1, 4, 4), opt(16, 24, 1, 4, 8), masked]
        {
            let folder = tempfile::tempdir().unwrap();
            save(&model(config.clone()), folder.path()).unwrap();
            let message = load_classifier(folder.path(), &device()).err().unwrap().to_string();
            let classes = ["LMHeadModel", "ForCausalLM", "ForMaskedLM"];
            assert!(classes.iter().any(|class| message.contains(class)), "{message}");
            assert!(message.contains("no classifier"), "{message}");
            save_classifier(&classifier(config, 2), None, folder.path()).unwrap();
            let message = load(folder.path(), &device()).err().unwrap().to_string();
            assert!(
                message.contains("a sequence classifier")
                    && message.contains("ForSequenceClassification"),
                "{message}"
            );
        }
        let message = load_classifier(tempfile::tempdir().unwrap().path(), &device())
            .err()
            .unwrap()
            .to_string();
        assert!(message.contains("config.json"), "{message}");
    }

    /// The classifier of a folder whose configuration was changed by hand.
    fn with_changes(change: impl Fn(&mut Map<String, Value>)) -> Result<Classifier, ModelError> {
        changed(llama(16, 24, 1, 4, 4), change)
    }

    fn changed(
        config: ModelConfig,
        change: impl Fn(&mut Map<String, Value>),
    ) -> Result<Classifier, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        save_classifier(&classifier(config, 2), None, folder.path()).unwrap();
        let path = folder.path().join("config.json");
        let mut object = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut object);
        std::fs::write(&path, Value::Object(object).to_string()).unwrap();
        load_classifier(folder.path(), &device())
    }

    #[test]
    fn what_transformers_writes_beside_does_no_harm_to_a_masked_classifier() {
        let found = changed(roberta(16, 24, 1, 4, 8), |object| {
            assert_eq!(object["architectures"], json!(["RobertaForSequenceClassification"]));
            let extra = json!({
                "id2label": {"0": "no", "1": "yes"},
                "classifier_dropout": null,
                "hidden_dropout_prob": 0.3,
                "problem_type": null,
                "_name_or_path": "roberta-base",
                "finetuning_task": "rte",
                "gradient_checkpointing": false,
            });
            object.extend(extra.as_object().unwrap().clone());
        });
        let found = found.unwrap();
        assert_eq!(found.labels(), ["no", "yes"]);
        assert_eq!(
            (found.config().residual_dropout, found.config().classifier_dropout),
            (0.3, None)
        );
        let stated = changed(roberta(16, 24, 1, 4, 8), |object| {
            drop(object.insert("classifier_dropout".into(), json!(0.25)))
        });
        assert_eq!(stated.unwrap().config().classifier_dropout, Some(0.25));
        let wrong = changed(roberta(16, 24, 1, 4, 8), |object| {
            drop(object.insert("classifier_dropout".into(), json!(1.0)))
        });
        assert!(wrong.err().unwrap().to_string().contains("classifier_dropout is 1"));
    }

    #[test]
    fn labels_come_from_either_key() {
        let unnamed = with_changes(|object| {
            object.remove("id2label");
        });
        assert_eq!(unnamed.unwrap().labels(), ["LABEL_0", "LABEL_1"]);
        let named = with_changes(|object| object["id2label"] = json!({"1": "yes", "0": "no"}));
        assert_eq!(named.unwrap().labels(), ["no", "yes"]);
    }

    #[test]
    fn labels_that_do_not_fit_are_named() {
        let message = |change: &dyn Fn(&mut Map<String, Value>)| {
            with_changes(change).err().unwrap().to_string()
        };
        let three = message(&|object| object["id2label"] = json!({"0": "a", "1": "b", "2": "c"}));
        assert!(
            three.contains("`score.weight` has shape [2, 16]") && three.contains("[3, 16]"),
            "{three}"
        );
        let stated =
            message(&|object| object.insert("num_labels".into(), json!(4)).map_or((), drop));
        assert!(
            stated.contains("`num_labels` is 4") && stated.contains("2 by `id2label`"),
            "{stated}"
        );
        let gap = message(&|object| object["id2label"] = json!({"0": "a", "2": "c"}));
        assert!(gap.contains("`id2label`") && gap.contains("ids 0 to 1"), "{gap}");
        let huge = message(&|object| {
            object.remove("id2label");
            object.insert("num_labels".into(), json!(1u64 << 60));
        });
        assert!(huge.contains("at most 65536"), "{huge}");
        let one = message(&|object| object["id2label"] = json!({"0": "a"}));
        assert!(one.contains("number of labels is 1"), "{one}");
    }
}
