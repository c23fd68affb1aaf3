//! Fine-tuning against the pipelines of 2025 and 2026:
//! `BABYLLAMA_DATA=FOLDER cargo test --release -p experiment --lib -- --ignored pipelines`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use engine::cpu::Cpu;
use eval::Rules;
use eval::classification::{Rows, find_task};
use model::{Classifier, hugging_face};
use serde_json::{Value, json};
use train::finetune::{ClassifierHead, ClassifierTrainer, Example, FinetuneSettings, predict};

use super::jobs::{Job, Questions};
use super::subject::FinetuneSubject;
use crate::observer::Silent;
use crate::recipe::FinetuneRecipe;

/// Where the golden values of the pipelines of 2025 and 2026 are.
fn golden() -> (PathBuf, Value) {
    let data = std::env::var_os("BABYLLAMA_DATA")
        .expect("BABYLLAMA_DATA names the folder with eval2026/golden");
    let folder = PathBuf::from(data).join("eval2026/golden");
    let text = std::fs::read_to_string(folder.join("finetune.json")).unwrap();
    (folder, serde_json::from_str(&text).unwrap())
}

/// A folder with a model's weights and a tokenizer, for some of the models differ in that alone.
/// The pipelines' numbers are without dropout.
fn model_folder(golden: &Path, name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for place in ["llama", name].map(|name| golden.join("models").join(name)) {
        for file in std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()) {
            std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let path = folder.path().join("config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("dropout_prob\": 0.1", "dropout_prob\": 0.0")).unwrap();
    folder
}

/// Items of two texts, as those of RTE.
fn encode(lines: &[Value], subject: &FinetuneSubject, max_length: usize) -> Vec<Example> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let task = find_task("rte").unwrap();
    let rows = || Rows::parse(task, Path::new("items"), text.as_bytes()).unwrap();
    let job = Job { training: rows(), validation: vec![Questions { task, rows: rows() }] };
    subject.items(&job, Rules::Year2026, max_length).unwrap().training.examples
}

/// The tokens of two items of each task, with and without tokens around them.
#[test]
#[ignore = "needs the models and the pipelines' answers"]
fn items_are_those_of_the_pipelines_of_2025_and_2026() {
    let (folder, golden) = golden();
    for (model, tasks) in golden["ids_max_48"].as_object().unwrap() {
        let place = model_folder(&folder, model);
        let name = model.clone();
        let subject = FinetuneSubject::open(name, place.path(), Rules::Year2026, &Silent).unwrap();
        for (task, expected) in tasks.as_object().unwrap() {
            let texts = golden["texts"][task].as_array().unwrap().iter().zip(0..);
            let item = |(item, label): (&Value, u32)| {
                let [first, second] = [&item[0][0], &item[0][1]];
                json!({ "sentence1": first, "sentence2": second, "label": label })
            };
            let items: Vec<Value> = texts.map(item).collect();
            for (index, found) in encode(&items, &subject, 48).iter().enumerate() {
                let padded = expected["ids"][index].as_array().unwrap();
                let tokens = expected["mask_sums"][index].as_u64().unwrap() as usize;
                let kept = match model.starts_with("llama") {
                    true => &padded[padded.len() - tokens..],
                    false => &padded[..tokens],
                };
                assert_eq!(json!(found.ids), json!(kept), "{model}, {task}, {index}");
            }
        }
    }
}

/// Six steps on items of RTE from given weights of the head.
#[test]
#[ignore = "needs the models and the pipelines' answers"]
fn steps_are_those_of_the_pipelines_of_2025_and_2026() {
    let (folder, golden) = golden();
    let items = |part: &str| golden[part].as_array().unwrap().clone();
    let (training, validation) = (items("rte_train"), items("rte_valid"));
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let recipe = FinetuneRecipe::load("2026", &[]).unwrap();
    for run in golden["runs"].as_array().unwrap() {
        let name = run["model"].as_str().unwrap();
        let place = model_folder(&folder, name);
        let subject =
            FinetuneSubject::open(name.to_owned(), place.path(), Rules::Year2026, &Silent).unwrap();
        let head = match run["take_final"].as_bool().unwrap() {
            true => ClassifierHead::PerceptronLastToken,
            false => ClassifierHead::PerceptronFirstToken,
        };
        let settings = FinetuneSettings {
            head,
            head_dropout: 0.0,
            ..recipe.settings(find_task("rte").unwrap()).clone()
        };
        let model = hugging_face::load_any(place.path(), &device).unwrap();
        let mut classifier = Classifier::with_head(&model, 2, settings.head_kind(), 1).unwrap();
        let layout = classifier.parameters().layout().clone();
        for (part, values) in golden["head"].as_object().unwrap() {
            let name = format!("classification_head.{part}");
            let named = layout.segments().iter().find(|named| named.name == name).unwrap();
            let values: Vec<f32> = numbers(values);
            device.write(classifier.parameters_mut().view_mut(named.segment), &values);
        }
        let [training, validation] =
            [&training, &validation].map(|lines| encode(lines, &subject, 512));
        let near = |found: &[f64], expected: &Value| {
            let expected: Vec<f64> = numbers(expected);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "{name}: {found}, {expected}");
            }
        };
        let logits = |trainer: &ClassifierTrainer| -> Vec<f64> {
            let found = predict(&trainer.classifier, &validation).unwrap().0.concat();
            found.into_iter().map(f64::from).collect()
        };
        let mut trainer = ClassifierTrainer::new(classifier, &settings);
        near(&logits(&trainer), &run["logits_before"]);
        let rates: Vec<f64> = numbers(&run["lrs"]);
        // Two epochs of three batches.
        let batches = training.chunks(4).chain(training.chunks(4));
        let steps = batches.zip(&rates).zip(1..);
        let losses: Vec<f64> = steps
            .map(|((batch, &rate), step)| {
                let batch: Vec<&Example> = batch.iter().collect();
                trainer.step(&batch, step, rate).unwrap().loss
            })
            .collect();
        near(&losses, &run["losses"]);
        near(&logits(&trainer), &run["logits_after"]);
    }
}

/// The numbers of a list, or of lists in one.
fn numbers<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    let all = value.as_array().unwrap().iter();
    all.flat_map(|one| match one.is_array() {
        true => numbers(one),
        false => vec![serde_json::from_value(one.clone()).unwrap()],
    })
    .collect()
}
