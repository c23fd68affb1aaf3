//! Models that people bring: OPT and RoBERTa, with their own kind of tokenizer.

use std::path::Path;
use std::sync::Arc;

use engine::cpu::Cpu;
use model::{Architecture, Model, ModelConfig, hugging_face};

use super::common::{STUDENT, Workspace};

const VOCABULARY_FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/tests/fixtures");

/// Writes an untrained model of 300 token ids, without a tokenizer.
fn bring(workspace: &Workspace, architecture: Architecture, folder: &str) {
    bring_of_size(workspace, architecture, 300, folder);
}

/// Writes an untrained model with the tokenizer of the student.
fn bring_beside_the_student(workspace: &Workspace, architecture: Architecture, folder: &str) {
    let words = workspace.json(&format!("{STUDENT}/config.json"))["vocab_size"].as_u64().unwrap();
    bring_of_size(workspace, architecture, words as usize, folder);
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
        workspace.write(&format!("{folder}/{name}"), workspace.bytes(&format!("{STUDENT}/{name}")));
    }
}

fn bring_of_size(
    workspace: &Workspace,
    architecture: Architecture,
    vocab_size: usize,
    folder: &str,
) {
    let config = ModelConfig {
        vocab_size,
        hidden_size: 16,
        intermediate_size: 24,
        num_heads: 2,
        num_kv_heads: 2,
        head_dim: 8,
        max_positions: 32,
        norm_epsilon: 1e-5,
        tie_word_embeddings: true,
        residual_dropout: 0.1,
        initializer_range: 0.2,
        bos_token_id: Some(2),
        pad_token_id: Some(1),
        ..ModelConfig::tiny(architecture)
    };
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    hugging_face::save(&Model::new(config, &device, 7).unwrap(), &workspace.path(folder)).unwrap();
}

/// Puts `vocab.json`, `merges.txt` and what else is there beside a model.
pub fn with_vocabulary(workspace: &Workspace, family: &str, folder: &str) {
    for name in ["vocab.json", "merges.txt", "tokenizer_config.json"] {
        if let Ok(content) = std::fs::read(Path::new(VOCABULARY_FILES).join(family).join(name)) {
            workspace.write(&format!("{folder}/{name}"), content);
        }
    }
}

/// Writes an untrained RoBERTa of 32 positions with the tokenizer of its family.
pub fn bring_roberta(workspace: &Workspace, folder: &str) {
    bring(workspace, Architecture::ROBERTA, folder);
    with_vocabulary(workspace, "roberta", folder);
}

#[test]
fn opt_is_a_model_like_any_other() {
    let workspace = Workspace::trained();
    bring(&workspace, Architecture::OPT, "opt");
    with_vocabulary(&workspace, "opt", "opt");
    for rules in ["2023", "2024"] {
        let table = workspace
            .babyllama(&format!("evaluate blimp opt --data pairs --rules {rules}"))
            .done()
            .stdout;
        assert!(table.contains("agreement") && table.contains("mean"), "{table}");
    }
    let loss =
        workspace.babyllama("evaluate loss opt --data text --sequence-length 16").done().stdout;
    assert!(loss.contains("perplexity"), "{loss}");
    let written =
        workspace.babyllama("generate opt --prompt The --max-tokens 5 --seed 3").done().stdout;
    assert!(written.starts_with("The") && written.len() > 4, "{written}");

    // As a teacher it must have the tokenizer of the student.
    let distill = "run small.toml --output runs/taught --set student.distill.teachers=['opt']";
    workspace.babyllama(distill).refused(1).names(&["another tokenizer"]);
    bring_beside_the_student(&workspace, Architecture::OPT, "own");
    workspace.babyllama(&distill.replace("'opt'", "'own'")).done();
    assert!(
        workspace
            .names("runs/taught/models/student/final")
            .contains(&"model.safetensors".to_owned())
    );
}

#[test]
fn roberta_is_scored_and_does_nothing_that_needs_a_next_token() {
    let workspace = Workspace::trained();
    bring_roberta(&workspace, "roberta");
    let score = |rules: &str, threads: &str| {
        let line = format!(
            "evaluate blimp roberta --data pairs --rules {rules} --json {rules}.json --threads \
             {threads}"
        );
        workspace.babyllama(&line).done();
        workspace.json(&format!("{rules}.json"))[0]["blimp"]["tasks"].clone()
    };
    let found = score("2024", "1");
    assert_eq!(found, score("2024", "2"), "threads");
    assert_eq!(score("2023", "1")[0]["items"], 16);
    assert_eq!(found[0]["items"], 16);

    let refused =
        |line: &str| workspace.babyllama(line).refused(1).names(&["roberta/config.json", "masked"]);
    refused("generate roberta --prompt The").advises("`evaluate ewok` and `finetune`");
    refused("evaluate loss roberta --data text");
    bring_beside_the_student(&workspace, Architecture::ROBERTA, "own");
    let taught = "run small.toml --output runs/taught --set student.distill.teachers=['own']";
    workspace.babyllama(taught).refused(2).names(&["teachers[0]", "own/config.json", "masked"]);

    // Without a mask token in its vocabulary there is nothing to hide tokens with.
    with_vocabulary(&workspace, "gpt2", "roberta");
    let refusal = workspace.babyllama("evaluate blimp roberta --data pairs").refused(1);
    refusal.names(&["token to begin texts", "hidden tokens"]).advises("tokenizer_config.json");
}

#[test]
fn of_an_ensemble_all_are_masked_or_none() {
    let workspace = Workspace::new();
    for (architecture, folder) in [(Architecture::ROBERTA, "masked"), (Architecture::OPT, "causal")]
    {
        bring(&workspace, architecture, folder);
        with_vocabulary(&workspace, "roberta", folder);
    }
    let both =
        workspace.babyllama("evaluate blimp masked causal --ensemble --data pairs").refused(1);
    both.names(&["or all must be masked"]).advises("--ensemble");
    workspace.babyllama("evaluate blimp masked causal --data pairs").done();
    workspace.babyllama("evaluate blimp masked masked --ensemble --data pairs").done();
}
