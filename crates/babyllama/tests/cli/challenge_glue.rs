//! (Super)GLUE by the pipelines of 2025 and 2026: from fine-tuning to the file of all answers.

use serde_json::{Value, json};

use super::challenge::workspace as with_models;
use super::common::{Finished, Workspace, sentences};

/// Settings that make a few small steps.
const QUICK: &str =
    "--set default.epochs=2 --set default.batch_size=8 --set default.learning_rate=1e-2";

/// Items of two sentences, with labels in turn.
fn pairs(count: usize, seed: u64) -> String {
    let all = sentences(2 * count, seed);
    let lines: Vec<&str> = all.lines().collect();
    let line = |(index, pair): (usize, &[&str])| {
        let item =
            json!({ "sentence1": pair[0], "sentence2": pair[1], "label": index * 7 % 3 % 2 });
        format!("{item}\n")
    };
    lines.chunks(2).enumerate().map(line).collect()
}

/// A workspace with models and the files of three tasks, one of which the challenge does not have.
fn workspace() -> Workspace {
    let (workspace, _) = with_models();
    for task in ["rte", "mrpc"] {
        workspace.write(&format!("data/glue_filtered/{task}.train.jsonl"), pairs(40, 1));
        workspace.write(&format!("data/glue_filtered/{task}.valid.jsonl"), pairs(12, 2));
    }
    for part in ["train", "valid"] {
        let line = |label: u32| format!("{}\n", json!({ "sentence": "A bear.", "label": label }));
        let name = format!("data/glue_filtered/cola.{part}.jsonl");
        workspace.write(&name, line(0) + &line(1));
    }
    workspace
}

fn finetune(workspace: &Workspace, line: &str) -> Finished {
    workspace.babyllama(&format!("finetune {line} --data data {QUICK}"))
}

fn evaluate(workspace: &Workspace, line: &str) -> Finished {
    let data = "--data data --only blimp-filtered";
    workspace.babyllama(&format!("evaluate challenge {line} {data}"))
}

#[test]
fn answers_of_fine_tuned_models_join_those_of_all_tasks() {
    let workspace = workspace();
    let models = "models/llama models/roberta";
    finetune(&workspace, &format!("{models} --recipe 2026 --seed 7,42 --output tuned")).done();
    for model in ["llama", "roberta"] {
        assert!(
            !workspace.path(&format!("tuned/{model}/cola")).exists(),
            "the scripts leave it out"
        );
        let result = workspace.json(&format!("tuned/{model}/rte/seed-42/result.json"));
        assert_eq!((&result["rules"], &result["training_items"]), (&json!("2026"), &json!(40)));
        assert_eq!(result["settings"]["head"], "perceptron_last_token");
        // The metric that chooses the weights, and the one that counts.
        let best = result["best"].as_u64().unwrap() as usize;
        assert_eq!(result["history"][best]["metric"], result["score"]["score"]);
    }
    let found = evaluate(&workspace, &format!("{models} --finetuned tuned --output results"));
    let found = found.done();
    assert!(found.stdout.contains("GLUE"), "{}", found.stdout);
    assert!(found.stderr.contains("glue (without boolq, mnli, all items of mrpc, multirc"));
    let differs = "rte was fine-tuned with other settings than the pipeline's: batch_size, epochs";
    assert!(found.stderr.contains(differs), "{}", found.stderr);
    for model in ["llama", "roberta"] {
        let place = format!("results/{model}/main/finetune");
        let result = workspace.json(&format!("tuned/{model}/rte/seed-42/result.json"));
        let answers = workspace.json(&format!("{place}/rte/predictions.json"));
        let answers = answers["rte"]["predictions"].as_array().unwrap();
        let lines = workspace.text(&format!("tuned/{model}/rte/seed-42/predictions.jsonl"));
        let lines: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((answers.len(), lines.len()), (12, 12));
        for (index, (answer, line)) in answers.iter().zip(&lines).enumerate() {
            assert_eq!(*answer, json!({ "id": format!("rte_{index}"), "pred": line["predicted"] }));
        }
        let text = workspace.text(&format!("{place}/rte/results.txt"));
        let names: Vec<&str> = text.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(names, ["accuracy", "f1", "mcc"]);
        let kept = workspace.json(&format!("results/{model}/challenge.json"));
        let glue = &kept["tasks"]["glue"];
        assert_eq!(glue["tasks"]["rte"], result["score"]["score"]);
        let mrpc = workspace.json(&format!("tuned/{model}/mrpc/seed-42/result.json"));
        assert_eq!(
            (&glue["tasks"]["mrpc"], &mrpc["score"]["metric"]),
            (&mrpc["score"]["score"], &json!("f1"))
        );
        let mean = ["rte", "mrpc"].map(|task| glue["tasks"][task].as_f64().unwrap());
        let difference = glue["glue"].as_f64().unwrap() - (mean[0] + mean[1]) / 2.0;
        assert!(difference.abs() < 1e-12);
        // What lacks tasks is nothing for the leaderboard.
        let backend = if model == "llama" { "causal" } else { "mlm" };
        let all = format!("results/{model}/all_full_preds_and_fast_scores_{backend}.json");
        assert_eq!(workspace.json(&all)["glue"], Value::Null);
    }
    assert!(workspace.text("results/report.html").contains("of which mrpc"));
    // Without one task of its own seed, that with all of them counts.
    workspace.write("tuned/llama/mrpc/seed-42/predictions.txt", "index\tprediction\n0\t1\n");
    let found = evaluate(&workspace, "models/llama --finetuned tuned --output results").done();
    let note = "models/llama: GLUE is of seed 7; the pipeline has 42";
    assert!(found.stderr.contains(note), "{}", found.stderr);
    let damaged = "warning: tuned/llama/mrpc/seed-42 does not count: a file in it is missing or";
    assert!(found.stderr.contains(damaged), "{}", found.stderr);
    let quiet = "models/llama --finetuned tuned --output results --quiet";
    let quiet = evaluate(&workspace, quiet).done().stderr;
    assert!(quiet.contains(note) && quiet.contains(damaged), "{quiet}");
    assert!(quiet.lines().all(|line| line.starts_with("warning: ")), "{quiet}");
    let rte = workspace.json("tuned/llama/rte/seed-7/result.json")["score"]["score"].clone();
    let kept = workspace.json("results/llama/challenge.json");
    assert_eq!(kept["tasks"]["glue"]["tasks"]["rte"], rte);
}

#[test]
fn fine_tunings_of_other_models_and_rules_do_not_count() {
    let workspace = workspace();
    let refused = |line: &str, reason: &str| {
        let found = evaluate(&workspace, &format!("{line} --output results"));
        found.refused(1).names(&[reason]).advises("--recipe 2026");
    };
    finetune(&workspace, "models/llama --tasks rte --recipe 2024 --output by-2024").done();
    refused("models/llama --finetuned by-2024", "has no fine-tuning of models/llama by the rules");
    finetune(&workspace, "models/llama --tasks rte --recipe 2026 --output tuned").done();
    refused("models/roberta --finetuned tuned", "tuned has no fine-tuning of models/roberta");
    refused("models/roberta --finetuned tuned/llama", "has no fine-tuning of models/roberta");
    // The same weights behind another tokenizer are another model.
    workspace.copy("models/llama", "other");
    workspace.copy("models/llama-begins", "begins");
    workspace.write("other/tokenizer.json", workspace.bytes("begins/tokenizer.json"));
    refused("other --finetuned tuned", "tuned has no fine-tuning of other");
    finetune(&workspace, "models/llama --tasks rte --recipe 2024 --output tuned")
        .refused(1)
        .names(&["tuned/llama holds fine-tunings by the rules of 2026"])
        .advises("name another folder");
    evaluate(&workspace, "models/llama --finetuned tuned/llama --output results").done();
    evaluate(&workspace, "models/llama models/roberta --ensemble --finetuned tuned --output both")
        .refused(2)
        .names(&["--finetuned: an ensemble is not fine-tuned"]);
    evaluate(&workspace, "models/llama --finetuned none --output other")
        .refused(1)
        .names(&["none"]);
    // Answers that were changed are no answers.
    workspace.write("tuned/llama/rte/seed-42/predictions.txt", "index\tprediction\n0\t1\n");
    refused("models/llama --finetuned tuned", "tuned has no fine-tuning of models/llama");
}

#[test]
fn what_the_rules_of_the_challenge_do_not_allow_is_refused() {
    let workspace = workspace();
    finetune(&workspace, "models/llama --recipe 2026 --keep --output tuned")
        .refused(2)
        .names(&["--keep: no class of transformers has the head of"])
        .advises("leave out --keep");
    workspace
        .babyllama("evaluate all models/llama --recipe 2026 --data data --output all")
        .refused(2)
        .names(&["--recipe: the rules of 2026 are for finetune and evaluate challenge"]);
    let found =
        finetune(&workspace, "models/llama --tasks rte --recipe 2025 --output first").done();
    assert!(found.stderr.contains("llama: its first token has read nothing else"));
    let line = "models/llama --tasks rte --recipe 2026 --set default.head_dropout=1 --output wrong";
    finetune(&workspace, line).refused(2).names(&["`default.head_dropout` is 1; it must be"]);
}
