//! T5, an encoder-decoder: brought in with its own kind of tokenizer, scored, fine-tuned, refused.

use std::path::Path;
use std::sync::Arc;

use engine::cpu::Cpu;
use model::{Architecture, Model, ModelConfig, hugging_face};
use serde_json::json;

use super::common::{STUDENT, Workspace, sentences};

/// Writes an untrained T5 with the tokenizer of its family.
fn bring(workspace: &Workspace, folder: &str) {
    let config = ModelConfig {
        vocab_size: 48,
        max_positions: 64,
        initializer_range: 1.0,
        ..ModelConfig::tiny(Architecture::T5)
    };
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    hugging_face::save(&Model::new(config, &device, 7).unwrap(), &workspace.path(folder)).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/tests/fixtures/t5");
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
        let content = std::fs::read(Path::new(fixture).join(name)).unwrap();
        workspace.write(&format!("{folder}/{name}"), content);
    }
}

#[test]
fn a_brought_t5_is_scored_by_the_rules_of_both_years() {
    let workspace = Workspace::new();
    bring(&workspace, "t5");
    let score = |rules: &str, threads: usize| {
        let line = format!("evaluate blimp t5 --data pairs --rules {rules}");
        workspace.babyllama(&format!("{line} --json scores.json --threads {threads}")).done();
        workspace.json("scores.json")[0]["blimp"].clone()
    };
    for rules in ["2023", "2024"] {
        let found = score(rules, 1);
        assert_eq!(found, score(rules, 2), "{rules}");
        assert_eq!(found["tasks"][0]["items"], 16);
    }
    workspace.babyllama("export t5 --output out").done();
    assert!(workspace.weights("out") == workspace.weights("t5"));
}

#[test]
fn it_is_fine_tuned_on_its_encoder() {
    let workspace = Workspace::new();
    bring(&workspace, "t5");
    let items = |count: usize, seed: u64| -> String {
        let of_one = |(index, text): (usize, &str)| {
            let item = json!({"sentence": text, "label": index % 2, "idx": index});
            format!("{item}\n")
        };
        sentences(count, seed).lines().enumerate().map(of_one).collect()
    };
    workspace.write("data/cola.train.jsonl", items(24, 1));
    workspace.write("data/cola.valid.jsonl", items(10, 2));
    let settings = "--set default.epochs=2 --set default.batch_size=8";
    for threads in [1, 3] {
        let line = format!("finetune t5 --data data --keep --output tuned-{threads} {settings}");
        workspace.babyllama(&format!("{line} --threads {threads}")).done();
    }
    let place = |threads: usize| format!("tuned-{threads}/t5/cola/seed-12/model");
    assert!(workspace.weights(&place(1)) == workspace.weights(&place(3)));
    let config = workspace.json(&format!("{}/config.json", place(1)));
    assert_eq!(config["architectures"][0], "T5EncoderForSequenceClassification");
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    let classifier = hugging_face::load_classifier(&workspace.path(&place(1)), &device).unwrap();
    let layout = classifier.parameters().layout().clone();
    assert!(layout.segments().iter().all(|named| !named.name.starts_with("decoder")));
}

#[test]
fn what_a_t5_cannot_do_is_refused_by_name() {
    let workspace = Workspace::trained();
    bring(&workspace, "t5");
    for line in ["generate t5 --prompt The", "evaluate loss t5 --data text"] {
        workspace.babyllama(line).refused(1).names(&["t5/config.json", "an encoder-decoder"]);
    }
    let taught = "run small.toml --output runs/taught --set student.distill.teachers=['t5']";
    workspace.babyllama(taught).refused(2).names(&["teachers[0]", "an encoder-decoder"]);
    let beside = format!("evaluate blimp t5 {STUDENT} --ensemble --data pairs");
    workspace.babyllama(&beside).refused(1);

    let change = |name: &str, from: &str, to: &str| {
        let path = format!("t5/{name}");
        workspace.write(&path, workspace.text(&path).replace(from, to));
    };
    let evaluate = "evaluate blimp t5 --data pairs";
    change("config.json", "T5ForConditionalGeneration", "T5EncoderModel");
    let refusal = workspace.babyllama(evaluate).refused(1);
    refusal.names(&["T5EncoderModel", "encoder-decoder alone"]).advises("with its decoder");
    workspace.babyllama("generate t5 --prompt The").refused(1).names(&["T5EncoderModel"]);
    change("config.json", "T5EncoderModel", "T5ForConditionalGeneration");

    std::fs::rename(workspace.path("t5/tokenizer.json"), workspace.path("t5/spiece.model"))
        .unwrap();
    let refusal = workspace.babyllama(evaluate).refused(1);
    refusal.names(&["t5/spiece.model", "SentencePiece"]).advises("T5TokenizerFast");
}
