//! Fine-tuning as a classifier: files, scores, what is not done again, and what is refused.

use std::sync::Arc;

use corpus::Tokenizer;
use engine::cpu::Cpu;
use eval::classification::longest_first;
use model::{Batch, hugging_face};
use serde_json::{Value, json};

use super::brought::{bring_roberta, with_vocabulary};
use super::common::{Finished, STUDENT, TEACHER, Workspace, sentences};

/// Settings that make a few small steps.
const QUICK: &str =
    "--set default.epochs=2 --set default.batch_size=8 --set default.learning_rate=1e-2";

/// Items of one sentence, whose adjective is the label: `big` is 1, `old` is 0.
fn adjectives(count: usize, seed: u64) -> String {
    let line = |(index, sentence): (usize, &str)| {
        let rest = sentence.split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
        let label = (index * 7 + seed as usize) % 3 % 2;
        json!({ "sentence": format!("The {} \
         {rest}", ["old", "big"][label]), "label": label, "idx": index })
    };
    sentences(count, seed).lines().enumerate().map(line).map(|item| format!("{item}\n")).collect()
}

/// Items of two sentences under any names, with `classes` labels in turn; every tenth pair is far
/// too long.
fn pairs(fields: [&str; 2], classes: usize, count: usize, seed: u64) -> String {
    let all = sentences(2 * count, seed);
    let lines: Vec<&str> = all.lines().collect();
    let line = |(index, pair): (usize, &[&str])| {
        let second = if index % 10 == 3 { pair[1].repeat(9) } else { pair[1].to_owned() };
        format!(
            "{}\n",
            json!({ (fields[0]): pair[0], (fields[1]): second, "label": index % classes })
        )
    };
    lines.chunks(2).enumerate().map(line).collect()
}

/// Items of MSGS of which a third is for the test.
fn msgs(count: usize, seed: u64) -> String {
    let condition = |index: usize| ["training", "test", "control"][index % 3];
    let with = |(index, line): (usize, &str)| {
        let mut item: Value = serde_json::from_str(line).unwrap();
        item["condition"] = condition(index).into();
        format!("{item}\n")
    };
    adjectives(count, seed).lines().enumerate().map(with).collect()
}

/// A workspace with trained models and the files of `cola` and `rte`.
fn workspace() -> Workspace {
    let workspace = Workspace::trained();
    workspace.write("data/cola.train.jsonl", adjectives(48, 1));
    workspace.write("data/cola.valid.jsonl", adjectives(20, 2));
    workspace.write("data/rte.train.jsonl", pairs(["sentence1", "sentence2"], 2, 21, 3));
    workspace.write("data/rte.valid.jsonl", pairs(["sentence1", "sentence2"], 2, 12, 4));
    workspace
}

fn finetune(workspace: &Workspace, line: &str) -> Finished {
    workspace.babyllama(&format!("finetune {line}"))
}

/// A result without what the clock and the machine state.
fn result(workspace: &Workspace, folder: &str) -> Value {
    let mut result = workspace.json(&format!("{folder}/result.json"));
    for key in ["seconds", "tokens_per_second"] {
        assert!(result.as_object_mut().unwrap().remove(key).unwrap().as_f64().unwrap() > 0.0);
    }
    let machine = result.as_object_mut().unwrap().remove("machine").unwrap();
    assert!(machine["device"].is_string() && machine["threads"].as_u64().unwrap() > 0);
    // It is that of the times too.
    assert!(result.as_object_mut().unwrap().remove("checksum").unwrap().is_string());
    result
}

#[test]
fn every_model_task_and_seed_has_its_folder() {
    let workspace = workspace();
    workspace.write("data/qnli.valid.jsonl", pairs(["question", "sentence"], 2, 4, 5));
    let line =
        format!("{STUDENT} {TEACHER} --data data --seed 1,2 {QUICK} --output out --json out.json");
    let first = finetune(&workspace, &line).done();
    assert!(
        first.stderr.contains("qnli: skipped, there is no training file in data"),
        "{}",
        first.stderr
    );
    assert!(
        first.stdout.contains("mean of 2 tasks of (Super)GLUE") && first.stdout.contains(" ± "),
        "{}",
        first.stdout
    );
    let page = workspace.text("out/report.html");
    for part in [
        "(Super)GLUE of fine-tuned models",
        "BabyLlama-2, run 1 (printed)",
        "Own scores of cola, rte are not of the published items",
        "± ",
        "rte: validation loss",
        "cola: validation f1, percent",
        "student: fine-tuning",
        "All of it on: ",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // The mean of two tasks does not compare with a printed mean of eleven.
    assert!(!page.contains("Scores beside those that papers print"));
    for model in ["student", "teacher"] {
        for (task, seed, items, metric) in [("cola", 1, 20, "mcc"), ("rte", 2, 12, "accuracy")] {
            let folder = format!("out/{model}/{task}/seed-{seed}");
            assert_eq!(
                workspace.names(&folder),
                ["predictions.jsonl", "predictions.txt", "result.json"]
            );
            let result = result(&workspace, &folder);
            let score = &result["score"];
            assert_eq!(
                (&score["name"], &score["metric"], &score["items"]),
                (&json!(task), &json!(metric), &json!(items))
            );
            assert_eq!(
                (&result["settings"]["seed"], &result["settings"]["epochs"]),
                (&json!(seed), &json!(2.0))
            );
            let best = &result["history"][result["best"].as_u64().unwrap() as usize];
            let [loss, selected] = ["loss", "metric"].map(|key| best[key].as_f64().unwrap());
            assert!((score["others"]["loss"].as_f64().unwrap() - loss).abs() < 1e-9, "{result}");
            assert_eq!(
                score["others"]["f1"].as_f64().unwrap(),
                selected,
                "F1 chooses the weights of two classes"
            );
            let table = workspace.text(&format!("{folder}/predictions.txt"));
            let rows: Vec<&str> = table.lines().collect();
            assert_eq!((rows[0], rows.len()), ("index\tprediction", items + 1));
            assert!(
                rows[items] == format!("{}\t0", items - 1)
                    || rows[items] == format!("{}\t1", items - 1)
            );
        }
    }
    // Of twelve pairs one, and of twenty-one two, are longer than the student's 32 positions.
    let cut = &result(&workspace, "out/student/rte/seed-1");
    assert_eq!(
        (&cut["validation_items_truncated"], &cut["score"]["truncated"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(cut["training_items_truncated"], 2);
    let written = workspace.json("out.json");
    assert_eq!(
        (written.as_array().unwrap().len(), written[0]["results"].as_array().unwrap().len()),
        (2, 4)
    );
    assert_eq!(written[1]["suites"][0]["tasks"].as_array().unwrap().len(), 2);
}

#[test]
fn fine_tunings_print_their_events_as_json() {
    let workspace = workspace();
    let line = format!("{STUDENT} --data data --tasks rte {QUICK} --output out --events");
    let finished = finetune(&workspace, &line).done();
    let events: Vec<Value> =
        finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((kinds("begin"), kinds("end"), kinds("done")), (1, 1, 1), "{}", finished.stdout);
    assert!(kinds("evaluation") >= 2);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "done");
    assert_eq!(last["scores"][0]["results"][0]["score"]["name"], "rte", "{last}");
    assert_eq!(finished.stderr, "");
    finetune(&workspace, &format!("{line} --quiet")).refused(2);
}

#[test]
fn what_is_done_is_not_done_again() {
    let workspace = workspace();
    let line = format!("{STUDENT} --data data {QUICK} --output out");
    let first = finetune(&workspace, &line).done();
    let again = finetune(&workspace, &line).done();
    assert_eq!((again.stderr.matches("done already").count(), &again.stdout), (2, &first.stdout));

    // Other items, other settings, a damaged result: each concerns its own task alone.
    let count =
        |line: &str| finetune(&workspace, line).done().stderr.matches("done already").count();
    workspace.write("data/rte.valid.jsonl", pairs(["sentence1", "sentence2"], 2, 10, 9));
    assert_eq!(count(&line), 1);
    assert_eq!(result(&workspace, "out/student/rte/seed-12")["score"]["items"], 10);
    assert_eq!(count(&format!("{line} --set cola.weight_decay=1")), 1);
    workspace.write("out/student/rte/seed-12/result.json", "{");
    assert_eq!(count(&format!("{line} --set cola.weight_decay=1")), 1);
    // Weights that are to be kept and are not there have to be made.
    assert_eq!(count(&format!("{line} --tasks rte --keep")), 0);
    assert_eq!(count(&format!("{line} --tasks rte --keep")), 1);
    assert_eq!(count(&format!("{line} --tasks rte")), 1);
    // Weights of other settings do not stay beside the new result.
    assert_eq!(count(&format!("{line} --tasks rte --set rte.epochs=1")), 0);
    assert!(workspace.names("out/student/rte/seed-12/model").is_empty());
}

#[test]
fn a_model_learns_what_there_is_to_learn() {
    let workspace = workspace();
    let settings = "--set cola.epochs=20 --set cola.batch_size=8 --set cola.learning_rate=2e-2 \
     --set cola.patience=0";
    for model in [STUDENT, TEACHER] {
        finetune(&workspace, &format!("{model} --data data --tasks cola {settings} --output out"))
            .done();
    }
    for model in ["student", "teacher"] {
        let result = result(&workspace, &format!("out/{model}/cola/seed-12"));
        assert_eq!((&result["steps"], &result["best"]), (&json!(120), &Value::Null));
        assert!(result["score"]["score"].as_f64().unwrap() > 0.8, "{result}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let workspace = workspace();
    for threads in [1, 2] {
        let line = format!(
            "{STUDENT} {TEACHER} --data data {QUICK} --keep --output out-{threads} --threads \
             {threads}"
        );
        finetune(&workspace, &line).done();
    }
    for model in ["student", "teacher"] {
        for task in ["cola", "rte"] {
            let [one, two] = [1, 2].map(|threads| format!("out-{threads}/{model}/{task}/seed-12"));
            assert_eq!(result(&workspace, &one), result(&workspace, &two));
            for file in ["predictions.txt", "predictions.jsonl", "model/model.safetensors"] {
                let bytes = |folder: &String| workspace.bytes(&format!("{folder}/{file}"));
                assert!(bytes(&one) == bytes(&two), "{model}, {task}, {file}");
            }
        }
    }
}

#[test]
fn a_kept_classifier_gives_the_same_logits() {
    let workspace = workspace();
    finetune(
        &workspace,
        &format!("{STUDENT} {TEACHER} --data data --tasks cola {QUICK} --keep --output out"),
    )
    .done();
    for model in ["student", "teacher"] {
        let folder = workspace.path(&format!("out/{model}/cola/seed-12/model"));
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        let classifier = hugging_face::load_classifier(&folder, &device).unwrap();
        let tokenizer = Tokenizer::from_folder(&folder).unwrap();
        assert_eq!(classifier.labels(), ["0", "1"]);
        let answers = workspace.text(&format!("out/{model}/cola/seed-12/predictions.jsonl"));
        let items = workspace.text("data/cola.valid.jsonl");
        assert_eq!(answers.lines().count(), 20);
        for (answer, item) in answers.lines().zip(items.lines()) {
            let [answer, item]: [Value; 2] =
                [answer, item].map(|line| serde_json::from_str(line).unwrap());
            let logits = classifier.logits(&Batch::from_sequences([tokenizer
                .encode(item["sentence"].as_str().unwrap())
                .unwrap()]));
            for (logit, score) in logits.iter().zip(answer["scores"].as_array().unwrap()) {
                assert!((*logit as f64 - score.as_f64().unwrap()).abs() < 1e-5, "{answer}");
            }
            assert_eq!(answer["gold"], item["label"]);
        }
        // A classifier is not what is fine-tuned.
        let line = format!("{} --data data --output again", folder.display());
        finetune(&workspace, &line)
            .refused(1)
            .names(&["a sequence classifier"])
            .advises("fine-tuned from");
    }
}

#[test]
fn a_masked_model_is_fine_tuned_by_its_first_token() {
    let workspace = workspace();
    bring_roberta(&workspace, "roberta");
    for threads in [1, 2] {
        let line = format!(
            "roberta --data data {QUICK} --keep --output out-{threads} --threads {threads}"
        );
        finetune(&workspace, &line).done();
    }
    for task in ["cola", "rte"] {
        let [one, two] = [1, 2].map(|threads| format!("out-{threads}/roberta/{task}/seed-12"));
        assert_eq!(result(&workspace, &one), result(&workspace, &two));
        let weights = [&one, &two]
            .map(|folder| workspace.bytes(&format!("{folder}/model/model.safetensors")));
        assert!(weights[0] == weights[1], "{task}");
    }
    let again =
        finetune(&workspace, &format!("roberta --data data {QUICK} --keep --output out-1")).done();
    assert_eq!(again.stderr.matches("done already").count(), 2);

    // What is kept reads as what was trained: the tokenizer of the folder knows what stands around
    // texts.
    let folder = workspace.path("out-1/roberta/rte/seed-12/model");
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    let classifier = hugging_face::load_classifier(&folder, &device).unwrap();
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    let [before, between, after] = tokenizer.tokens_around(true).unwrap();
    assert_eq!((&before[..], &between[..], &after[..]), (&[0][..], &[2, 2][..], &[2][..]));
    let config = workspace.json("out-1/roberta/rte/seed-12/model/config.json");
    assert_eq!(config["architectures"], json!(["RobertaForSequenceClassification"]));
    let answers = workspace.text("out-1/roberta/rte/seed-12/predictions.jsonl");
    let items = workspace.text("data/rte.valid.jsonl");
    assert_eq!(answers.lines().count(), 12);
    let mut cut = 0;
    for (answer, item) in answers.lines().zip(items.lines()) {
        let [answer, item]: [Value; 2] =
            [answer, item].map(|line| serde_json::from_str(line).unwrap());
        let [first, second] = ["sentence1", "sentence2"]
            .map(|key| tokenizer.encode(item[key].as_str().unwrap()).unwrap());
        // The model has 32 positions, four of which are for special tokens.
        let (kept_first, kept_second) = longest_first(first.len(), second.len(), 28);
        cut += usize::from(kept_first + kept_second < first.len() + second.len());
        let ids =
            [&before[..], &first[..kept_first], &between, &second[..kept_second], &after].concat();
        let logits = classifier.logits(&Batch::from_sequences([ids]));
        for (logit, score) in logits.iter().zip(answer["scores"].as_array().unwrap()) {
            assert!((*logit as f64 - score.as_f64().unwrap()).abs() < 1e-5, "{answer}");
        }
    }
    assert!(cut > 0);
    assert_eq!(result(&workspace, "out-1/roberta/rte/seed-12")["validation_items_truncated"], cut);
}

#[test]
fn a_masked_model_learns_what_there_is_to_learn() {
    let workspace = workspace();
    bring_roberta(&workspace, "roberta");
    let settings = "--set cola.epochs=20 --set cola.batch_size=8 --set cola.learning_rate=5e-3 \
     --set cola.patience=0";
    finetune(&workspace, &format!("roberta --data data --tasks cola {settings} --output out"))
        .done();
    let result = result(&workspace, "out/roberta/cola/seed-12");
    assert!(result["score"]["score"].as_f64().unwrap() > 0.8, "{result}");
}

#[test]
fn mnli_answers_its_mismatched_half_by_the_rules_of_2024() {
    let workspace = workspace();
    let fields = ["premise", "hypothesis"];
    for (file, count) in [("mnli.train", 18), ("mnli.valid", 9), ("mnli-mm.valid", 6)] {
        workspace.write(&format!("nli/{file}.jsonl"), pairs(fields, 3, count, count as u64));
    }
    let run =
        |more: &str| finetune(&workspace, &format!("{STUDENT} --data nli {QUICK} {more}")).done();
    run("--output new --tasks mnli-mm");
    run("--output old --set rules=2023 --set default.evaluate_every=2");
    let of = |folder: &str| {
        let result = result(&workspace, folder);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&result["trained_on"]),
            text(&result["rules"]),
            result["score"]["items"].as_u64().unwrap(),
        )
    };
    assert_eq!(of("new/student/mnli/seed-12"), ("mnli".into(), "2024".into(), 9));
    assert_eq!(of("new/student/mnli-mm/seed-12"), ("mnli".into(), "2024".into(), 6));
    assert_eq!(of("old/student/mnli/seed-12"), ("mnli".into(), "2023".into(), 9));
    assert_eq!(of("old/student/mnli-mm/seed-12"), ("mnli-mm".into(), "2023".into(), 6));
    assert_eq!(workspace.json("new/student/mnli/seed-12/result.json")["labels"], json!([0, 1, 2]));
}

#[test]
fn msgs_counts_the_items_of_the_test() {
    let workspace = workspace();
    workspace.write("data/msgs/main_verb_control.train.jsonl", msgs(30, 1));
    workspace.write("data/msgs/main_verb_control.valid.jsonl", msgs(33, 2));
    let line = format!("{STUDENT} --data data --tasks msgs {QUICK} --output out --json");
    finetune(&workspace, &format!("{line} tested.json")).done();
    let again = finetune(&workspace, &format!("{line} all.json --msgs-all-rows")).done();
    assert_eq!(again.stderr.matches("done already").count(), 1);
    let folder = "out/student/main_verb_control/seed-12";
    let result = result(&workspace, folder);
    assert_eq!((&result["score"]["items"], &result["all_rows"]["items"]), (&json!(11), &json!(33)));
    assert_eq!(workspace.text(&format!("{folder}/predictions.txt")).lines().count(), 34);
    assert_eq!(workspace.text(&format!("{folder}/predictions.jsonl")).lines().count(), 11);
    for (file, key) in [("tested.json", "score"), ("all.json", "all_rows")] {
        let shown = &workspace.json(file)[0]["tasks"]["main_verb_control"]["mean"];
        assert_eq!(shown, &result[key]["score"], "{file}");
    }
}

#[test]
fn items_that_are_wrong_are_named_before_anything_is_trained() {
    let workspace = workspace();
    let refused = |file: &str, content: &[u8]| {
        workspace.copy("data", "bad");
        workspace.write(&format!("bad/{file}"), content);
        let line = format!("{STUDENT} --data bad --tasks rte {QUICK} --output out");
        let refusal = finetune(&workspace, &line).refused(1);
        assert!(workspace.names("out/student").is_empty());
        refusal
    };
    let good = workspace.text("data/rte.valid.jsonl");
    let after = |line: &str| format!("{good}{line}\n").into_bytes();
    refused("rte.valid.jsonl", &after("{oops"))
        .names(&["bad/rte.valid.jsonl, line 13: bad JSON"])
        .advises("mend that line");
    let missing = after("{\"sentence1\": \"a\", \"label\": 0}");
    refused("rte.valid.jsonl", &missing)
        .names(&["bad/rte.valid.jsonl, line 13: no field `sentence2`"]);
    let label = after("{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 2}");
    let cause = "bad/rte.valid.jsonl, line 13: label 2 is none of 0, 1, the labels of rte";
    refused("rte.valid.jsonl", &label).names(&[cause]).advises("mend that line or take it out");
    refused("rte.train.jsonl", &[&good.clone().into_bytes()[..], b"\xff\n"].concat())
        .names(&["line 13: not UTF-8"]);
    refused("rte.train.jsonl", b"").names(&["bad/rte.train.jsonl is empty"]);
}

/// A step too large breaks one task, a torn line another; the third is done, and only what failed
/// is tried again.
#[test]
fn what_fails_by_itself_does_not_end_the_rest() {
    let workspace = workspace();
    workspace.write("data/wsc.train.jsonl", "{\"span1_text\": \"a\", \"span");
    workspace.write("data/wsc.valid.jsonl", "{}\n");
    let line =
        format!("{STUDENT} {TEACHER} --data data --seed 1,2 {QUICK} --output out --json out.json");
    let failed = finetune(&workspace, &format!("{line} --set rte.learning_rate=1e30"));
    let words = failed.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "rte accuracy failed (2",
        "wsc accuracy failed (1) failed (1) mean of 3 tasks of (Super)GLUE failed (1, 2",
        "(1) student on wsc; teacher on wsc: data/wsc.train.jsonl, line 1: bad JSON at byte 25: \
         EOF while parsing",
        "(2) student on rte, seed 1",
        "teacher on rte, seed 2: the loss is ",
    ] {
        assert!(words.contains(part), "{part}: {}", failed.stdout);
    }
    assert!(words.contains("cola mcc") && !words.contains("cola mcc failed"), "{}", failed.stdout);
    let written = workspace.json("out.json");
    assert_eq!(written[0]["tasks"].as_object().unwrap().keys().collect::<Vec<_>>(), ["cola"]);
    assert_eq!(
        (&written[0]["suites"], written[1]["failed"].as_array().unwrap().len()),
        (&json!([]), 3)
    );
    assert_eq!(written[0]["failed"][1]["seed"], 1);
    assert_eq!(workspace.names("out/student/rte/seed-1"), [""; 0]);
    let page = workspace.text("out/report.html").replace("&#x2f;", "/");
    for part in
        ["(1) student on wsc; teacher on wsc: data/wsc.train.jsonl", "failed (1, 2", "bad JSON"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("not ended yet"), "it failed");
    let refusal = failed
        .refused(1)
        .names(&["6 parts failed: student on wsc; student on rte, seed 1;", "and 2 more"]);
    refusal.advises("what succeeded is kept");

    let again = finetune(&workspace, &line);
    assert_eq!(again.stderr.matches("done already").count(), 4);
    assert!(
        again.stdout.contains("failed (1)") && !again.stdout.contains("(2)"),
        "{}",
        again.stdout
    );
    again
        .refused(1)
        .names(&["student on wsc; teacher on wsc failed: data/wsc.train.jsonl"])
        .advises("mend that line");
    std::fs::remove_file(workspace.path("data/wsc.train.jsonl")).unwrap();
    assert_eq!(finetune(&workspace, &line).done().stderr.matches("done already").count(), 8);
    let page = || workspace.text("out/report.html");
    assert!(!page().contains("failed ("), "the last call failed nowhere");
    assert!(page().contains("rte: validation loss") && page().contains("cola: validation loss"));

    finetune(&workspace, &format!("{line} --set rte.learning_rate=1e30")).refused(1);
    let [rte, cola] =
        ["rte", "cola"].map(|task| page().contains(&format!("{task}: validation loss")));
    assert!(!rte && cola, "the curves of what failed since are those of other settings");
}

#[test]
fn items_that_teach_nothing_are_named() {
    let workspace = workspace();
    let line = format!("{STUDENT} --data data --tasks rte {QUICK} --output out");
    let good = workspace.text("data/rte.train.jsonl");
    let empty = "{\"sentence1\": \"\", \"sentence2\": \"\", \"label\": 0}\n";
    workspace.write("data/rte.train.jsonl", format!("{good}{empty}"));
    finetune(&workspace, &line)
        .refused(1)
        .names(&["rte.train.jsonl, line 22: the tokenizer leaves nothing"]);
    let zeros: String =
        good.lines().filter(|line| line.ends_with("0}")).map(|line| format!("{line}\n")).collect();
    workspace.write("data/rte.train.jsonl", zeros);
    finetune(&workspace, &line).refused(1).names(&["rte.train.jsonl: every item has the label 0"]);
}

#[test]
fn flags_and_folders_that_are_wrong() {
    let workspace = workspace();
    let refused =
        |line: &str, code| finetune(&workspace, &format!("{line} --output out")).refused(code);
    refused(&format!("{STUDENT} --data nowhere"), 1).names(&["nowhere"]).advises("check the path");
    refused(&format!("{STUDENT} --data text"), 1)
        .names(&["text has the files of no task"])
        .advises("TASK.train.jsonl");
    refused(&format!("{STUDENT} --data data --tasks rtee"), 2)
        .names(&["no such task", "did you mean `rte`?"]);
    refused(&format!("{STUDENT} --data data --recipe 2027"), 2)
        .names(&["did you mean `2023`, `2024`, `2025` or `2026`?"]);
    refused(&format!("{STUDENT} --data data --set rte.epohcs=1"), 2)
        .names(&["tasks.rte.epohcs", "`epochs`"]);
    refused("nowhere --data data", 1).names(&["nowhere is not a folder with a model"]);
    workspace.copy(STUDENT, "wordless");
    std::fs::remove_file(workspace.path("wordless/tokenizer.json")).unwrap();
    refused("wordless --data data", 1).names(&["wordless/tokenizer.json does not exist"]);
    workspace.copy(STUDENT, "torn");
    let weights = workspace.bytes("torn/model.safetensors");
    workspace.write("torn/model.safetensors", &weights[..weights.len() / 2]);
    refused(&format!("{STUDENT} torn --data data"), 1).names(&["torn/model.safetensors"]);
    assert!(!workspace.path("out").exists(), "nothing is trained before");
    // A masked model whose tokenizer knows nothing to put around its texts.
    bring_roberta(&workspace, "masked");
    with_vocabulary(&workspace, "gpt2", "masked");
    refused("masked --data data", 1)
        .names(&["no `sep_token`", "masked model"])
        .advises("tokenizer_config.json");
    // A tokenizer with more words than the model.
    workspace.copy(STUDENT, "foreign");
    let mut tokenizer = workspace.json("foreign/tokenizer.json");
    let the = tokenizer["model"]["vocab"]["The"]
        .as_u64()
        .or(tokenizer["model"]["vocab"]["T"].as_u64())
        .unwrap();
    for id in tokenizer["model"]["vocab"].as_object_mut().unwrap().values_mut() {
        if *id == the {
            *id = json!(5000);
        }
    }
    workspace.write("foreign/tokenizer.json", tokenizer.to_string());
    refused("foreign --data data", 1)
        .names(&["id 5000, outside the model's vocabulary"])
        .advises("same tokenizer");
}

#[cfg(unix)]
#[test]
fn an_interrupted_call_keeps_what_is_done() {
    let workspace = workspace();
    let line = format!(
        "finetune {STUDENT} --data data {QUICK} --set rte.epochs=100000 --set rte.patience=0 \
         --output out"
    );
    let words: Vec<&str> = line.split_whitespace().collect();
    let first = workspace.path("out/student/cola/seed-12/result.json");
    let stopped =
        super::interruption::signalled_when(&workspace, &words, "TERM", || first.exists());
    stopped.refused(130).names(&["interrupted"]).advises("continue with: babyllama finetune");
    assert!(workspace.names("out/student/rte/seed-12").is_empty());
    let again = workspace.babyllama(&format!("{line} --tasks cola")).done();
    assert_eq!(again.stderr.matches("done already").count(), 1);
}
