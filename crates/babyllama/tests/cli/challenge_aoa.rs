//! The age-of-acquisition task, on a "training" whose checkpoints are one model with its weights
//! scaled, against transformers and SciPy (`tools/golden/challenge_aoa.py`).

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::common::{Finished, Workspace};

const MODEL: &str = "tests/fixtures/challenge/models/llama";
const PLACE: &str = "results/llama/main/zero_shot/causal/AoA_word";
const ALL: &str = "results/llama/all_full_preds_and_fast_scores_causal";

/// A workspace with the finished model in `models/llama`, the data, and checkpoints with these
/// names and scales of their weights; and what the task gives for those of the fixture.
fn workspace(scales: impl FnOnce(&Value) -> Vec<(String, f32)>) -> (Workspace, Value) {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = crate_folder.join("tests/fixtures/challenge_aoa");
    let workspace = Workspace::new();
    let read = |path: &str| fs::read(fixtures.join(path)).unwrap();
    for file in ["cdi_childes.json", "cdi_human.csv"] {
        workspace.write(&format!("data/aoa/{file}"), read(&format!("data/aoa/{file}")));
    }
    fs::create_dir(workspace.path("fast")).unwrap();
    let expected: Value = serde_json::from_slice(&read("expected.json")).unwrap();
    let checkpoints = scales(&expected["scales"]);
    let folders = checkpoints.iter().map(|(name, scale)| (format!("checkpoints/{name}"), *scale));
    for (folder, scale) in folders.chain([("models/llama".to_owned(), 1.0)]) {
        for entry in fs::read_dir(crate_folder.join(MODEL)).unwrap().map(Result::unwrap) {
            let (name, mut bytes) = (entry.file_name(), fs::read(entry.path()).unwrap());
            if name == "model.safetensors" {
                scale_weights(&mut bytes, scale);
            }
            workspace.write(&format!("{folder}/{}", name.to_string_lossy()), bytes);
        }
    }
    (workspace, expected)
}

/// Scales all weights of a safetensors file, which are f32.
fn scale_weights(bytes: &mut [u8], scale: f32) {
    let (length, rest) = bytes.split_at_mut(8);
    let header = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    for weight in rest[header..].chunks_exact_mut(4) {
        let scaled = f32::from_le_bytes(weight.try_into().unwrap()) * scale;
        weight.copy_from_slice(&scaled.to_le_bytes());
    }
}

/// The checkpoints of the fixture.
fn of_fixture(scales: &Value) -> Vec<(String, f32)> {
    let of = |(name, scale): (&String, &Value)| (name.clone(), scale.as_f64().unwrap() as f32);
    scales.as_object().unwrap().iter().map(of).collect()
}

fn evaluate(workspace: &Workspace, rest: &str) -> Finished {
    let line = format!(
        "evaluate challenge models/llama --data data --output results \
         --checkpoints checkpoints --fast-data fast {rest}"
    );
    workspace.babyllama(&line)
}

#[test]
fn surprisals_and_ages_are_those_of_transformers_and_scipy() {
    let (workspace, expected) = workspace(of_fixture);
    let words = expected["words"].as_array().unwrap();
    for year in ["2025", "2026"] {
        // Each year has a folder of results of its own.
        let _ = fs::remove_dir_all(workspace.path("results"));
        evaluate(&workspace, &format!("--rules {year} --json scores.json")).done();
        let file = workspace.text(&format!("{PLACE}/surprisal.json"));
        let start = "{\"metadata\": {\"model_name\": \"llama\", \"use_bos_only\": false, \
                     \"total_steps\": 19, \"completed_steps\": 10}, \"results\": [{\"step\": \
                     \"chck_1M\", \"word_count\": 1000000, \"target_word\": ";
        assert!(file.starts_with(start), "{}", &file[..300]);
        let file: Value = serde_json::from_str(&file).unwrap();
        let mut rows = file["results"].as_array().unwrap().iter();
        for (step, name) in of_fixture(&expected["scales"]).iter().map(|(name, _)| name).enumerate()
        {
            for word in words {
                for (id, curve) in word["surprisals"].as_array().unwrap().iter().enumerate() {
                    let row = rows.next().unwrap();
                    assert_eq!(row["step"], json!(name));
                    assert_eq!(
                        (&row["target_word"], &row["context_id"]),
                        (&word["word"], &json!(id))
                    );
                    let (found, expected) = (row["surprisal"].as_f64(), curve[step].as_f64());
                    let difference = (found.unwrap() - expected.unwrap()).abs();
                    assert!(difference < 2e-5, "{row}, not {}", curve[step]);
                }
            }
            // A word that children are not asked for; that of a single letter is left out.
            assert_eq!(rows.next().unwrap()["target_word"], "unknown");
        }
        assert!(rows.next().is_none());

        let ages = workspace.text(&format!("{PLACE}/ages.jsonl"));
        let ages: Vec<Value> =
            ages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let with_child: Vec<&Value> =
            words.iter().filter(|word| !word["child"].is_null()).collect();
        assert_eq!(ages.len(), with_child.len());
        for (found, expected) in ages.iter().zip(with_child) {
            assert_eq!(found["word"], expected["word"]);
            let near = |found: &Value, expected: &Value| {
                let (found, expected) = (found.as_f64(), expected.as_f64());
                assert_eq!(found.is_some(), expected.is_some(), "{found:?}, not {expected:?}");
                let difference = (found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs();
                assert!(difference < 1e-3, "{found:?}, not {expected:?}");
            };
            near(&found["child"], &expected["child"]);
            near(&found["model"], &expected["model"][year]);
        }
        let score = &workspace.json("scores.json")[0]["tasks"]["aoa"];
        let of_year = &expected["scores"][year];
        assert_eq!((&score["words"], &score["checkpoints"]), (&of_year["words"], &json!(10)));
        let [r, expected_r] = [score, of_year].map(|score| score["r"].as_f64());
        assert_eq!(r.is_some(), expected_r.is_some());
        let (r, expected_r) = (r.unwrap_or(0.0), expected_r.unwrap_or(0.0));
        assert!((r - expected_r).abs() < 1e-3, "{score}, not {of_year}");
        // No correlation, or one that is not chance.
        assert!(score["p"].as_f64().is_none_or(|p| p < 0.1));
        assert_eq!(score["score"], json!(r));
        let shown = workspace.json(&format!("{PLACE}/aoa_score.json"));
        assert_eq!(shown, json!({ "aoa": score["score"] }));
    }
}

/// A track's answers are collected whole or not at all.
#[test]
fn answers_are_collected_where_every_checkpoint_is_there() {
    let (workspace, _) = workspace(|_| {
        let millions = (1..10).chain((10..=100).step_by(10)).enumerate();
        millions.map(|(index, m)| (format!("chck_{m}M"), 0.2 + 0.04 * index as f32)).collect()
    });
    let shown = evaluate(&workspace, "--only aoa").done();
    assert!(shown.stdout.contains("Age of acquisition"), "{}", shown.stdout);
    assert!(shown.stderr.contains("llama at chck_100M on Age of acquisition  done in"));
    let count = workspace.json(&format!("{PLACE}/score.json"))["texts"].clone();
    let lacks = format!("aoa_surprisals ({count} answers, not 8005)");
    assert!(shown.stderr.contains(&lacks), "{}", shown.stderr);
    let surprisals = workspace.json(&format!("{PLACE}/surprisal.json"));
    assert_eq!(surprisals["metadata"]["completed_steps"], 19);
    // The pipeline writes null for other than the published number of texts.
    let answers = workspace.json(&format!("{ALL}.json"));
    assert!(answers["aoa_surprisals"].is_null());
    assert_eq!(answers["aoa"], workspace.json(&format!("{PLACE}/aoa_score.json")));

    // Without one of them there is a score, but no answers.
    fs::remove_dir_all(workspace.path("checkpoints/chck_7M")).unwrap();
    let shown = evaluate(&workspace, "--json scores.json").done();
    assert!(shown.stderr.contains("checkpoints that are missing: chck_7M"), "{}", shown.stderr);
    assert!(shown.stderr.contains("aoa (without chck_7M)"), "{}", shown.stderr);
    assert_eq!(workspace.json("scores.json")[0]["tasks"]["aoa"]["checkpoints"], 18);
    let answers = workspace.json(&format!("{ALL}.json"));
    assert!(answers["aoa"].is_null() && answers["aoa_surprisals"].is_null());
    fs::remove_dir_all(workspace.path("results")).unwrap();
    evaluate(&workspace, "--rules 2025").done();
    assert!(workspace.json(&format!("{ALL}.incomplete.json")).get("aoa").is_none());
}

#[test]
fn each_checkpoint_is_measured_once() {
    let (workspace, _) = workspace(of_fixture);
    let measured = |finished: Finished| finished.done().stderr.matches("done in").count();
    assert_eq!(measured(evaluate(&workspace, "")), 10);
    let scores = workspace.text(&format!("{PLACE}/score.json"));
    assert_eq!(measured(evaluate(&workspace, "")), 0);
    // Other shares of children change the score alone, and a lost checkpoint is measured anew.
    workspace.replace("data/aoa/cdi_human.csv", "zebra", "unknown");
    assert_eq!(measured(evaluate(&workspace, "")), 0);
    assert_ne!(workspace.text(&format!("{PLACE}/score.json")), scores);
    fs::remove_dir_all(workspace.path("results/llama/chck_4M")).unwrap();
    assert_eq!(measured(evaluate(&workspace, "")), 1);
    workspace.replace("data/aoa/cdi_childes.json", "Who has", "Why has");
    assert_eq!(measured(evaluate(&workspace, "")), 10);
}

#[test]
fn the_task_is_left_out_where_something_is_missing() {
    let (workspace, _) = workspace(of_fixture);
    workspace.write(
        "data/supplement_filtered/turns.jsonl",
        "{\"sentence_good\": \"He has it.\", \"sentence_bad\": \"He have it.\"}\n",
    );
    let without = "evaluate challenge models/llama --data data --output results";
    let reason = "Age of acquisition is left out: it compares the checkpoints of a training";
    let shown = workspace.babyllama(without).done();
    assert!(shown.stderr.contains(reason), "{}", shown.stderr);
    assert!(!shown.stdout.contains("Age of acquisition"), "{}", shown.stdout);
    let alone = workspace.babyllama(&format!("{without} --only aoa"));
    assert!(alone.stderr.contains(reason), "{}", alone.stderr);
    alone.refused(1).names(&["data has no folder of a task that is asked for"]);
    // Of the smaller tasks there is none: the model alone is scored.
    let shown = evaluate(&workspace, "--only supplement-filtered").done();
    assert!(shown.stderr.contains("there is no fast/supplement_fast"), "{}", shown.stderr);

    // A damaged file fails the task alone.
    workspace.replace("data/aoa/cdi_human.csv", "dog,0.", "dog,x0.");
    let failed = evaluate(&workspace, "");
    assert!(failed.stderr.contains("cdi_human.csv, line"), "{}", failed.stderr);
    assert!(workspace.path("results/llama/main/zero_shot/causal/blimp").is_dir());
    failed.refused(1).names(&["llama on aoa"]);
    fs::remove_file(workspace.path("data/aoa/cdi_human.csv")).unwrap();
    let shown = evaluate(&workspace, "--only aoa");
    assert!(shown.stderr.contains("left out: there is no data/aoa/cdi_human.csv"));
    shown.refused(1);
}
