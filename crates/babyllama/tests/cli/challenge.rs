//! The tasks of the challenge of 2025 and 2026, on invented items with models that transformers
//! has scored (`tools/golden/challenge.py`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::common::Workspace;

/// The score of each candidate and how many of its tokens it adds up, by task and question.
type Expected = BTreeMap<String, Vec<Vec<(f64, usize)>>>;

/// A workspace with the fixtures: `models/` and `data/`.
pub(super) fn workspace() -> (Workspace, BTreeMap<String, Expected>) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/challenge");
    let workspace = Workspace::new();
    copy(&fixtures.join("models"), &workspace.path("models"));
    copy(&fixtures.join("data"), &workspace.path("data"));
    let expected = fs::read_to_string(fixtures.join("expected.json")).unwrap();
    (workspace, serde_json::from_str(&expected).unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &to) } else { assert!(fs::copy(path, to).is_ok()) }
    }
}

/// The lines of a task's answers.
fn answers(workspace: &Workspace, place: &str, task: &str) -> Vec<Value> {
    let kind = match task {
        "blimp_filtered" | "supplement_filtered" => "blimp",
        "ewok_filtered" => "ewok",
        "wug_adj_nominalization" => "wug_adj",
        other => other,
    };
    let file = format!("{place}/{kind}/{task}/answers.jsonl");
    workspace.text(&file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_candidate_scores_what_transformers_gives_it() {
    let (workspace, expected) = workspace();
    let mut compared = 0;
    for (asked, tasks) in &expected {
        let [model, backend, year] = asked.split(' ').collect::<Vec<_>>()[..] else { panic!() };
        let line = format!(
            "evaluate challenge models/{model} --data data --rules {year} --backend {backend} \
             --output results/{year}"
        );
        workspace.babyllama(&line).done();
        for (task, questions) in tasks {
            let place = format!("results/{year}/{model}/main/zero_shot/{backend}");
            let found = answers(&workspace, &place, task);
            assert_eq!(found.len(), questions.len(), "{asked} {task}");
            for (answer, candidates) in found.iter().zip(questions) {
                for (index, (score, tokens)) in candidates.iter().enumerate() {
                    assert_eq!(answer["tokens"][index], json!(tokens), "{asked} {task}");
                    let divisor =
                        if task.starts_with("global_piqa") { *tokens as f64 } else { 1.0 };
                    let found = answer["scores"][index].as_f64().unwrap();
                    let difference = (found - score / divisor).abs();
                    assert!(difference < 2e-4, "{asked} {task}: {found}, not {score} / {divisor}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn files_are_those_of_the_pipeline() {
    let (workspace, _) = workspace();
    let file = "data/global_piqa_parallel/eng_latn.jsonl";
    let question = workspace.text(file);
    let number = |index: usize| question.replace("parallel_ex0", &format!("ex{index}"));
    workspace.write(file, (0..103).map(number).collect::<String>());
    let evaluate = |rest: &str| {
        let line = format!("evaluate challenge models/llama --data data --output results {rest}");
        workspace.babyllama(&line).done()
    };
    let shown = evaluate("--rules 2026");
    assert!(shown.stdout.contains("GlobalPIQA parallel"), "{}", shown.stdout);
    assert!(shown.stderr.contains("the first token of a text is not scored"), "{}", shown.stderr);
    assert!(shown.stderr.contains("comps (2 answers, not 91028)"), "{}", shown.stderr);
    let collected = workspace.text("results/llama/all_full_preds_and_fast_scores_causal.json");
    let parsed: Value = serde_json::from_str(&collected).unwrap();
    let keys: Vec<&String> = parsed.as_object().unwrap().keys().collect();
    let expected = [
        "blimp",
        "blimp_supplement",
        "ewok",
        "entity_tracking_filtered",
        "comps",
        "global_piqa_parallel",
        "global_piqa_nonparallel",
        "reading",
        "aoa_surprisals",
        "aoa",
        "glue",
        "fast_eval_results",
    ];
    assert_eq!(keys, expected);
    assert_eq!(parsed["glue"], Value::Null);
    // All 103 questions of one task are there, of the others too few.
    let answers = parsed["global_piqa_parallel"].as_object().unwrap();
    assert_eq!((answers.len(), &parsed["comps"]), (103, &Value::Null));
    assert!(collected.starts_with("{\"blimp\": null, \"blimp_supplement\": null, "));
    // As Python writes it.
    assert!(
        collected
            .contains("\"global_piqa_parallel\": {\"ex0\": {\"predictions\": [{\"id\": \"ex0_0\"")
    );
    let place = "results/llama/main/zero_shot/causal";
    let answer = |file: &str, uid: &str| {
        let answers = workspace.json(&format!("{place}/{file}/predictions.json"));
        answers[uid]["predictions"][0]["pred"].as_str().unwrap().to_owned()
    };
    // The chosen sentence of COMPS and EWoK, the option of entity tracking, the solution of PIQA.
    let comps = answer("comps/comps", "wugs_dist_before");
    assert!(comps.ends_with("Therefore, a wug has wings."), "{comps}");
    assert!(answer("ewok/ewok_filtered", "things").starts_with("The cup "));
    let entity = answer("entity_tracking/entity_tracking", "regular_0_ops");
    assert!(["the cup.", "the pen.", "the hat."].contains(&&entity[..]), "{entity}");
    let solution = answer("global_piqa_parallel/global_piqa_parallel", "ex0");
    assert!(solution.starts_with(" "), "{solution}");
    let blimp = workspace.text(&format!("{place}/blimp/blimp_filtered/predictions.json"));
    assert!(blimp.starts_with("{\"gap_two\": {\"predictions\": [{\"id\": \"gap_two_0\", "));
    assert!(blimp.contains("The caf\\u00e9 "));
    let report =
        workspace.text(&format!("{place}/blimp/blimp_filtered/best_temperature_report.txt"));
    let blocks: Vec<&str> = report.lines().filter(|line| line.starts_with('#')).collect();
    let expected = ["### FIELD ACCURACY", "### UID ACCURACY", "### LINGUISTICS_TERM ACCURACY"];
    assert_eq!(blocks[..3], expected);
    assert!(report.starts_with("TEMPERATURE: 1.00\n\n### FIELD ACCURACY\nsyntax/semantics: "));
    assert!(report.ends_with("\n\n") && blocks[3] == "### AVERAGE ACCURACY");

    let other = "evaluate challenge models/llama --data data --output results --rules 2025";
    let refused = workspace.babyllama(other).refused(1);
    refused.names(&["results/llama holds scores by the rules of 2026"]).advises("--output");
    fs::remove_dir_all(workspace.path("results")).unwrap();

    // The pipeline of 2025 has other questions, and collects nothing while something is missing.
    evaluate("--rules 2025");
    assert_eq!(
        workspace.names("results/llama"),
        [
            "all_full_preds_and_fast_scores_causal.incomplete.json",
            "challenge.json",
            "main",
            "model.json",
            "stages"
        ]
    );
    let of_2025 =
        workspace.json("results/llama/all_full_preds_and_fast_scores_causal.incomplete.json");
    assert_eq!(of_2025["wug_adj"]["wug_adj"]["predictions"].as_array().unwrap().len(), 3);
    assert!(of_2025["wug_adj"]["wug_adj"]["predictions"][0]["prob"].is_f64());
    assert!(of_2025.get("global_piqa_parallel").is_none() && of_2025.get("glue").is_none());
    assert_eq!(
        of_2025["entity_tracking"]["regular_1_ops"]["predictions"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn what_is_done_is_not_done_again_and_equal_sentences_tie() {
    let (workspace, _) = workspace();
    let evaluate = |rest: &str| {
        let line = format!(
            "evaluate challenge models/llama models/roberta --data data --output results {rest}"
        );
        workspace.babyllama(&line)
    };
    let json = "--only blimp-filtered --json scores.json";
    let first = evaluate(json).done();
    assert!(first.stderr.contains("llama on BLiMP  done in"), "{}", first.stderr);
    let scores = workspace.json("scores.json");
    assert_eq!(scores[0]["tasks"]["blimp_filtered"]["ties"], 1);
    assert_eq!((&scores[0]["backend"], &scores[1]["backend"]), (&json!("causal"), &json!("mlm")));
    // Nothing is scored again; what another call scored stays in the file of all answers.
    assert!(!evaluate(json).done().stderr.contains("done in"));
    evaluate("--only comps").done();
    assert_eq!(workspace.json("scores.json"), scores);
    let kept = workspace.json("results/roberta/challenge.json");
    let tasks: Vec<&String> = kept["tasks"].as_object().unwrap().keys().collect();
    assert_eq!(tasks, ["blimp_filtered", "comps"]);
    // Changed items are scored anew.
    workspace.replace("data/blimp_filtered/gap_two.jsonl", "seen today?", "seen now?");
    assert!(evaluate(json).done().stderr.contains("llama on BLiMP  done in"));
}

#[test]
fn what_cannot_be_scored_is_refused_or_left_out() {
    let (workspace, _) = workspace();
    let evaluate =
        |rest: &str| workspace.babyllama(&format!("evaluate challenge {rest} --output results"));
    evaluate("models/roberta --data data --backend causal")
        .refused(1)
        .names(&["the back end causal cannot score models of the family"])
        .advises("mlm or mntp for masked");
    evaluate("models/llama --data text").refused(1).names(&["text has no folder of a task"]);
    evaluate("models/llama --data none").refused(1).names(&["none"]);
    // A damaged file fails its task alone.
    workspace.write("data/comps/comps_wugs.jsonl", "{\"property_phrase\": \"can run.\"}\n");
    workspace.write("data/ewok_filtered/things.jsonl", "{\n");
    let found = evaluate("models/llama --data data");
    for reason in
        ["comps_wugs.jsonl, line 1: no field `prefix_acceptable`", "things.jsonl, line 1: bad JSON"]
    {
        assert!(found.stderr.contains(reason), "{}", found.stderr);
    }
    found.refused(1).names(&["2 parts failed: llama on ewok_filtered; llama on comps"]);
    assert!(workspace.path("results/llama/main/zero_shot/causal/blimp").is_dir());
}

#[test]
fn checkpoints_are_scored_on_the_smaller_tasks_and_collected() {
    let (workspace, _) = workspace();
    let words = Path::new(env!("CARGO_MANIFEST_DIR")).join("../eval/tests/fixtures");
    let words = fs::read(words.join("reading_data.csv")).unwrap();
    for folder in ["data/reading", "fast/reading"] {
        workspace.write(&format!("{folder}/reading_data.csv"), &words);
    }
    for (full, fast) in [
        ("blimp_filtered", "blimp_fast"),
        ("entity_tracking", "entity_tracking_fast"),
        ("global_piqa_parallel", "global_piqa_parallel"),
    ] {
        copy(&workspace.path(&format!("data/{full}")), &workspace.path(&format!("fast/{fast}")));
    }
    for checkpoint in ["chck_1M", "chck_10M", "chck_3000M"] {
        workspace.copy("models/llama-begins", &format!("checkpoints/{checkpoint}"));
    }
    let line = "evaluate challenge models/llama-begins --data data --checkpoints checkpoints \
                --fast-data fast --output results --json scores.json";
    let first = workspace.babyllama(line).done();
    assert!(first.stderr.contains("checkpoints that are missing: chck_2M, chck_3M"));
    for row in ["Reading", "of which eye tracking", "of which self-paced"] {
        assert!(first.stdout.lines().any(|line| line.starts_with(row)), "{}", first.stdout);
    }
    let collected = "results/llama-begins/all_full_preds_and_fast_scores_causal.json";
    let all = workspace.json(collected);
    // Rows without a word before them have a bare NaN, which is no JSON but Python's.
    let place = "results/llama-begins/main/zero_shot/causal/reading/predictions.json";
    assert!(workspace.text(place).contains("\"prev_pred\": NaN"));
    let fast = &all["fast_eval_results"];
    let blimp = fast["blimp"].as_array().unwrap();
    assert_eq!(
        (blimp.len(), &blimp[1], blimp.iter().filter(|of| of.is_object()).count()),
        (19, &Value::Null, 2)
    );
    assert!(blimp[0]["number_one"].is_f64() && blimp[0] == blimp[9]);
    let entities: Vec<&String> =
        fast["entity_tracking_filtered"][0].as_object().unwrap().keys().collect();
    assert_eq!(entities, ["ambiref_0_ops", "regular_0_ops", "regular_1_ops"]);
    assert!(fast["reading"][9]["spr"].is_f64() && fast["comps"].is_null());
    assert_eq!(fast["global_piqa_parallel"][0].as_object().unwrap().len(), 1);
    let scores = workspace.json("scores.json");
    let checkpoints = scores[0]["checkpoints"].as_array().unwrap();
    let names: Vec<&Value> = checkpoints.iter().map(|one| &one["checkpoint"]).collect();
    assert_eq!(names, ["chck_1M", "chck_10M"]);
    assert!(checkpoints[0]["tasks"]["reading"]["score"]["mean"].is_f64());
    let page = workspace.text("results/report.html");
    for part in ["By the rules of 2026", "Entity tracking", "BLiMP of checkpoints"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("Not here"));
    // A checkpoint that is another model now is scored again, the others are not.
    workspace.copy("models/llama", "checkpoints/chck_1M");
    let again = workspace.babyllama(line).done().stderr;
    assert!(again.contains("at chck_1M on BLiMP  done") && !again.contains("at chck_10M on"));
    let proper =
        format!("{} --proper-reading", line.replace("--output results", "--output proper"));
    let shown = workspace.babyllama(&proper).done();
    assert!(
        shown.stdout.contains("(proper)") && shown.stderr.contains("lacks"),
        "{}",
        shown.stdout
    );
    assert!(workspace.path("proper/llama-begins/main/zero_shot/causal/reading_proper").is_dir());
    let of_proper = workspace.json(&collected.replace("results", "proper"));
    assert!(of_proper["reading"].is_null() && of_proper["fast_eval_results"]["blimp"].is_array());
    assert!(of_proper["fast_eval_results"].get("reading").is_none());
    let two = line.replace("models/llama-begins", "models/llama-begins models/llama");
    workspace.babyllama(&two).refused(2).names(&["--checkpoints are those of one model"]);
    let none = line.replace("--checkpoints checkpoints", "--checkpoints models");
    workspace.babyllama(&none).refused(1).names(&["models has no folder chck_1M"]);
}

/// A text of fewer than a million words reaches no checkpoint, and its run is done all the same.
#[test]
fn a_run_that_reaches_no_checkpoint_of_the_challenge_is_done() {
    let workspace = Workspace::new();
    let line = "run small.toml --only teacher --set teacher.train.challenge_checkpoints=strict";
    workspace.babyllama(line).done();
    assert!(workspace.path("runs/small/models/teacher/snapshots").is_dir());
    let again = workspace.babyllama(line).done();
    assert!(again.stderr.contains("Nothing to do") || again.stdout.contains("Nothing to do"));
}
