//! `evaluate all`: everything at hand, once, in one table.

use std::io::Read;

use eval::blimp::groups::{blimp_tasks, filtered_sizes};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::brought::{bring_roberta, with_vocabulary};
use super::common::{Finished, STUDENT, TEACHER, Workspace, sentences};

/// Small steps.
const QUICK: &str = "--max-steps 3 --set default.batch_size=8";

/// A workspace with trained models and a little of every benchmark.
fn workspace() -> Workspace {
    let workspace = Workspace::trained();
    let order = workspace.text("pairs/order.jsonl");
    let pair = order.lines().next().unwrap();
    for task in blimp_tasks() {
        workspace.write(&format!("data/blimp_filtered/{task}.jsonl"), format!("{pair}\n"));
    }
    let lines = |count: usize, seed: u64| {
        let item = |(index, line): (usize, &str)| {
            format!("{}\n", json!({ "sentence": line, "label": index % 2 }))
        };
        sentences(count, seed).lines().enumerate().map(item).collect::<String>()
    };
    workspace.write("data/supplement_filtered/hypernym.jsonl", workspace.text("pairs/order.jsonl"));
    workspace.write("data/glue_filtered/cola.train.jsonl", lines(24, 1));
    workspace.write("data/glue_filtered/cola.valid.jsonl", lines(10, 2));
    let item = |contexts: [&str; 2], targets: [&str; 2]| {
        let [context1, context2] = contexts;
        let [target1, target2] = targets;
        format!(
            "{}\n",
            json!({
                "Context1": context1,
                "Context2": context2,
                "Target1": target1,
                "Target2": target2,
            })
        )
    };
    let [contexts, targets] =
        [["The dog is big.", "The dog is small."], ["It is not small.", "It is not big."]];
    let ewok =
        item(contexts, targets) + &item([contexts[1], contexts[0]], [targets[1], targets[0]]);
    workspace.write("data/ewok_filtered/social-relations.jsonl", ewok);
    workspace
}

/// Brings as many pairs of each of BLiMP's tasks as the filtered files have.
fn whole_blimp(workspace: &Workspace) {
    for (task, pairs) in filtered_sizes() {
        let file = format!("data/blimp_filtered/{task}.jsonl");
        let all = workspace.text(&file).repeat(pairs);
        workspace.write(&file, all);
    }
}

fn all(workspace: &Workspace, rest: &str) -> Finished {
    workspace.babyllama(&format!("evaluate all {rest} --data data --output results {QUICK}"))
}

/// What the file for the 2024 track holds, of which tasks are missing.
fn submission(workspace: &Workspace, model: &str) -> Value {
    let name = format!("{model}_textonly_predictions.incomplete.json.gz");
    let packed = workspace.bytes(&format!("results/{model}/{name}"));
    let mut text = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_available_benchmark_is_scored_once() {
    let workspace = workspace();
    whole_blimp(&workspace);
    let models =
        format!("{TEACHER} {STUDENT} --text text --sequence-length 16 --seed 1,2 --json all.json");
    let first = all(&workspace, &models).done();
    assert!(
        first.stderr.contains("msgs is left out: no folder msgs_filtered or msgs in data"),
        "{}",
        first.stderr
    );
    let lacks = "incomplete.json.gz: it lacks 10 tasks of glue, 4 tasks of blimp_supplement, 10 \
                 tasks of ewok, the published items of blimp_supplement, the published items of \
                 ewok";
    assert!(first.stderr.contains(lacks), "{}", first.stderr);
    for row in [
        "held-out loss",
        "BLiMP filtered ",
        "BLiMP supplement, 1 of 5 tasks",
        "EWoK, 1 of 11 tasks",
        "(Super)GLUE, mean of 1",
        "BabyLlama-2, run 1",
    ] {
        assert!(first.stdout.contains(row), "{row}: {}", first.stdout);
    }
    let written =
        ["table.md", "scores.csv", "teacher/results.json", "student/glue/cola/seed-2/result.json"]
            .map(|file| workspace.bytes(&format!("results/{file}")));
    let [table, csv, ..] = &written;
    let [table, csv] = [table, csv].map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    for part in [
        "## Differences",
        "## BLiMP supplement",
        "| hypernym",
        "| cola",
        "README of babylm/evaluation-pipeline-2024",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert!(
        csv.contains("\nstudent,glue,cola,2,mcc,") && csv.contains("\nteacher,loss,a.train,,nats,"),
        "{csv}"
    );

    let page = workspace.text("results/report.html");
    for part in [
        "BLiMP filtered by group",
        "Held-out loss by source of text",
        "BabyLlama-2, run 1",
        "the hardest items",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("class=\"missing\""), "nothing is missing");
    let cut = "student ((Super)GLUE, 1 of 11 tasks, not the published items of cola)";
    assert!(page.contains(cut) && table.contains(cut), "printed scores are of all items: {table}");

    let harness = workspace.json("results/student/results.json");
    let own = workspace.json("results/student/blimp_filtered/result.json");
    assert_eq!(harness["groups"]["blimp_filtered"]["acc,none"], own["score"]);
    assert_eq!(
        harness["results"]["blimp_adjunct_island_filtered"]["acc,none"],
        own["tasks"][0]["score"]
    );
    assert_eq!(workspace.json("all.json")[1]["suites"][0], own);
    let answers = submission(&workspace, "student");
    let labels = &answers["glue"]["cola"]["predictions"];
    assert!(
        labels.as_array().unwrap().len() == 10
            && labels[9]["id"] == "cola_9"
            && labels[9]["pred"].is_i64()
    );
    let chosen =
        answers["blimp"]["adjunct_island"]["predictions"][0]["pred"].as_str().unwrap().to_owned();
    assert!(chosen.starts_with(" The ") && chosen.ends_with('.'), "{chosen:?}");

    // Nothing is left to do, and nothing changes.
    let again = all(&workspace, &models).done();
    assert!(
        !again.stderr.contains("sentences/s") && again.stderr.contains("done already"),
        "{}",
        again.stderr
    );
    assert_eq!(workspace.bytes("results/table.md"), written[0]);
    assert_eq!(workspace.bytes("results/student/glue/cola/seed-2/result.json"), written[3]);
}

#[test]
fn a_part_of_blimp_is_named_as_such_and_built_in_pairs_are_not_blimp() {
    let workspace = workspace();
    std::fs::remove_dir_all(workspace.path("data")).unwrap();
    workspace.copy("pairs", "data/blimp_filtered");
    workspace.copy("pairs", "data/supplement_filtered");
    let order = workspace.bytes("pairs/order.jsonl");
    workspace.write("data/blimp_filtered/wh_island.jsonl", &order);
    let line = format!("{STUDENT} --only blimp-filtered,blimp-supplement --json all.json");
    let part = all(&workspace, &line).done();
    let row = "BLiMP filtered, 1 of 67 tasks and 2 of other names";
    let shown = part.stdout.lines().find(|line| line.starts_with(row));
    let shown = shown.unwrap_or_else(|| panic!("{}", part.stdout));
    assert_eq!(shown.split_whitespace().count(), 12, "a score, and none of papers: {shown}");
    assert!(workspace.text("results/table.md").contains(&format!("## {row}")));
    assert_eq!(workspace.json("results/student/results.json")["groups"], json!({}));
    let answers = submission(&workspace, "student");
    assert_eq!(answers["blimp"].as_object().unwrap().keys().collect::<Vec<_>>(), ["wh_island"]);
    workspace.write("part/wh_island.jsonl", order);
    let alone = workspace.babyllama(&format!("evaluate blimp {STUDENT} --data part")).done();
    let note = "this is not all of the benchmark: BLiMP filtered, 1 of 67 tasks";
    assert!(alone.stderr.contains(note), "{}", alone.stderr);

    // All tasks, but not all of their pairs.
    for task in blimp_tasks() {
        let pair = workspace.text("pairs/order.jsonl").lines().next().unwrap().to_owned();
        workspace.write(&format!("cut/blimp_filtered/{task}.jsonl"), pair);
    }
    let line = format!("evaluate all {STUDENT} --data cut --output cut-results {QUICK}");
    let cut = workspace.babyllama(&line).done();
    let row = "BLiMP filtered, 67 of 67 tasks of another size";
    assert!(cut.stdout.contains(row), "{}", cut.stdout);
    assert_eq!(workspace.json("cut-results/student/results.json")["groups"], json!({}));
    let lacks = "incomplete.json.gz: it lacks glue, blimp_supplement, ewok, the published items of \
                 blimp\n";
    assert!(cut.stderr.contains(lacks), "{}", cut.stderr);

    workspace.write("data/blimp_filtered/builtin_pairs", "");
    let refused = all(&workspace, &format!("{STUDENT} --only blimp-filtered")).refused(1);
    refused.names(&["data/blimp_filtered holds pairs of the built-in grammar"]);
}

#[test]
fn a_table_of_someone_else_is_not_replaced() {
    let workspace = workspace();
    workspace.write("results/table.md", "# My notes\n");
    let refusal = all(&workspace, &format!("{STUDENT} --only blimp-filtered")).refused(1);
    refusal.names(&["results/table.md is another file"]).advises("another place for the output");
    assert_eq!(workspace.text("results/table.md"), "# My notes\n");
    std::fs::rename(workspace.path("results/table.md"), workspace.path("notes.md")).unwrap();
    for _ in 0..2 {
        all(&workspace, &format!("{STUDENT} --only blimp-filtered")).done();
    }
}

#[test]
fn what_is_not_asked_for_stays_while_it_is_up_to_date() {
    let workspace = workspace();
    let run = |only: &str| all(&workspace, &format!("{STUDENT} --only {only}")).done();
    run("blimp-filtered,blimp-supplement");
    let files = ["results/table.md", "results/scores.csv", "results/student/results.json"];
    let before = files.map(|file| workspace.bytes(file));
    let again = run("blimp-filtered");
    assert!(again.stdout.contains("BLiMP supplement"), "{}", again.stdout);
    assert!(files.map(|file| workspace.bytes(file)) == before);
    // A result that no longer follows from the data is not shown, and not made.
    let text = workspace.text("data/supplement_filtered/hypernym.jsonl");
    workspace.write("data/supplement_filtered/hypernym.jsonl", text.replace("The", "A"));
    let stale = run("blimp-filtered");
    assert!(!stale.stdout.contains("BLiMP supplement"), "{}", stale.stdout);
}

#[test]
fn a_model_keeps_its_folder_whichever_others_are_named_beside_it() {
    let workspace = workspace();
    let only = "--only blimp-supplement";
    all(&workspace, &format!("{STUDENT} {only}")).done();
    let scores = workspace.bytes("results/student/blimp_supplement/result.json");
    workspace.copy(STUDENT, "runs/other/models/student/final");
    let both = format!("runs/other/models/student/final {STUDENT} {only}");
    let table = all(&workspace, &both).done().stdout;
    let folders = ["other-student", "student"];
    assert!(folders.iter().all(|name| table.contains(&format!("{name} "))), "{table}");
    let is_folder = |name: &String| workspace.path(&format!("results/{name}/model.json")).exists();
    let found: Vec<_> = workspace.names("results").into_iter().filter(is_folder).collect();
    assert_eq!(found, folders);
    assert!(workspace.bytes("results/student/blimp_supplement/result.json") == scores);
    let again = all(&workspace, &both).done();
    assert!(!again.stderr.contains("accuracy"), "{}", again.stderr);
    // Fine-tuning names its folders in the same way.
    let tune = |models: &str| {
        let tasks = "--data data/glue_filtered --tasks cola --output tuned";
        workspace.babyllama(&format!("finetune {models} {tasks} {QUICK}")).done()
    };
    tune(STUDENT);
    tune(&format!("{STUDENT} runs/other/models/student/final"));
    let is_folder = |name: &String| workspace.path(&format!("tuned/{name}/model.json")).exists();
    let found: Vec<_> = workspace.names("tuned").into_iter().filter(is_folder).collect();
    assert_eq!(found, folders);
}

#[test]
fn what_changed_is_scored_again_and_nothing_else() {
    let workspace = workspace();
    let run = |rest: &str| {
        all(&workspace, &format!("{STUDENT} --only blimp-filtered,blimp-supplement {rest}")).done()
    };
    run("");
    let scored = |finished: &Finished| {
        ["blimp_filtered", "supplement_filtered"]
            .map(|folder| finished.stderr.contains(&format!("on data/{folder}")))
    };
    assert_eq!(scored(&run("")), [false, false]);
    let hypernym = workspace.text("data/supplement_filtered/hypernym.jsonl");
    workspace.write(
        "data/supplement_filtered/hypernym.jsonl",
        &hypernym[..hypernym.find('\n').unwrap() + 1],
    );
    assert_eq!(scored(&run("")), [false, true]);
    assert_eq!(scored(&run("--rules 2023")), [true, true]);
    assert_eq!(workspace.json("results/student/blimp_supplement/result.json")["rules"], "2023");
}

#[test]
fn results_that_others_touched_are_not_believed() {
    let workspace = workspace();
    let run = || all(&workspace, &format!("{STUDENT} --only blimp-filtered")).done();
    run();
    let own = workspace.bytes("results/student/blimp_filtered/result.json");
    let answers = "results/student/blimp_filtered/predictions.jsonl";
    let whole = workspace.text(answers);
    workspace.write(answers, &whole[..whole.len() / 2]);
    run();
    assert_eq!(
        (workspace.text(answers), workspace.bytes("results/student/blimp_filtered/result.json")),
        (whole, own.clone())
    );
    // Another command writes the same files by other rules.
    workspace.copy("data/blimp_filtered", "named/blimp_filtered");
    std::fs::remove_file(workspace.path("results/student/stages/blimp_filtered.json")).unwrap();
    run();
    assert_eq!(workspace.bytes("results/student/blimp_filtered/result.json"), own);
    // Another model of the same name does not take the folder over.
    workspace.copy(TEACHER, "other/student");
    all(&workspace, "other/student --only blimp-filtered").done();
    assert_eq!(workspace.bytes("results/student/blimp_filtered/result.json"), own);
    let owner = workspace.text("results/other-student/model.json");
    assert!(owner.contains("other/student"), "{owner}");
}

#[test]
fn an_ensemble_is_a_model_but_for_fine_tuning() {
    let workspace = workspace();
    let finished = all(&workspace, &format!("{TEACHER} {STUDENT} --ensemble")).done();
    assert!(
        finished.stderr.contains("glue is left out: an ensemble is not fine-tuned"),
        "{}",
        finished.stderr
    );
    assert!(
        workspace.json("results/teacher+student/blimp_filtered/result.json")["items"]
            .as_u64()
            .unwrap()
            >= 20
    );
    assert!(submission(&workspace, "teacher+student")["glue"].is_null());
}

#[test]
fn what_fails_by_itself_does_not_end_the_rest() {
    let workspace = workspace();
    whole_blimp(&workspace);
    let line =
        format!("{TEACHER} {STUDENT} --text text --sequence-length 16 --seed 1,2 --json all.json");
    all(&workspace, &line).done();
    // Two benchmarks and a task that worked before do not now.
    let pairs = workspace.text("data/supplement_filtered/hypernym.jsonl");
    workspace.replace("data/supplement_filtered/hypernym.jsonl", "sentence_bad", "sentence_worse");
    workspace.copy("data/ewok_filtered", "ewok");
    workspace.write("data/ewok_filtered/social-relations.jsonl", "");
    for half in ["train", "valid"] {
        workspace.write(&format!("data/msgs/main_verb_control.{half}.jsonl"), "{\"label\": 1}\n");
    }
    let failed = all(&workspace, &format!("{line} --set cola.learning_rate=1e30"));
    let table = workspace.text("results/table.md");
    for shown in [&failed.stdout, &table] {
        let words = shown.replace('|', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "BLiMP supplement failed (1) failed (1)",
            "EWoK failed (2) failed (2)",
            "macro-average failed (1, 2",
            "(Super)GLUE, mean of 1 failed (",
            "MSGS, mean of 1 failed (",
            "(1) teacher on blimp_supplement; student on blimp_supplement: \
             data/supplement_filtered/hypernym.jsonl, line 1: no field `sentence_bad`",
            "(2) teacher on ewok; teacher on ewok_official; student on ewok; student on \
             ewok_official: data/ewok_filtered",
            "student on cola, seed 2: the loss is",
            "teacher on main_verb_control; student on main_verb_control: \
             data/msgs/main_verb_control.train.jsonl, line 1: no field",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
    }
    let written = workspace.json("all.json");
    assert_eq!(
        (&written[1]["overview"]["EWoK"], &written[1]["failed"][0]["benchmark"]),
        (&json!("failed"), &json!("blimp_supplement"))
    );
    assert_eq!(
        workspace.json("results/student/results.json")["groups"].as_object().unwrap().len(),
        1
    );
    for gone in ["blimp_supplement/result.json", "stages/ewok.json", "glue/cola/seed-1/result.json"]
    {
        assert!(!workspace.path("results/student").join(gone).exists(), "{gone}");
    }
    failed
        .refused(1)
        .names(&["12 parts failed: teacher on blimp_supplement;"])
        .advises("what succeeded is kept");

    // With the causes mended, only what failed is done.
    workspace.write("data/supplement_filtered/hypernym.jsonl", pairs);
    workspace.copy("ewok", "data/ewok_filtered");
    std::fs::remove_dir_all(workspace.path("data/msgs")).unwrap();
    let mended = all(&workspace, &line).done();
    let scored = [
        "data/supplement_filtered",
        "on data/ewok_filtered",
        "on cola, seed 2",
        "data/blimp_filtered",
        "held-out loss",
    ];
    let scored = scored.map(|what| mended.stderr.contains(what));
    assert_eq!(scored, [true, true, true, false, false], "{}", mended.stderr);
    assert!(!workspace.text("results/table.md").contains("failed"));
}

#[test]
fn what_concerns_everything_ends_it_at_once() {
    let workspace = workspace();
    workspace.copy(STUDENT, "wordless");
    std::fs::remove_file(workspace.path("wordless/tokenizer.json")).unwrap();
    let wordless = all(&workspace, &format!("{TEACHER} wordless")).refused(1);
    wordless
        .names(&["wordless/tokenizer.json does not exist"])
        .advises("vocab.json with merges.txt");
    assert!(!workspace.path("results/teacher").exists(), "nothing is scored before");
    all(&workspace, &format!("{TEACHER} --text nowhere"))
        .refused(1)
        .names(&["cannot read nowhere"]);
    // Two kilobytes a file are too little for the answers: a disk without room.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 4; exec babyllama evaluate all {STUDENT} --data data --output \
         results {QUICK}"
    );
    let full = super::limits::shell(&workspace, &limited);
    assert!(!full.stdout.contains("failed"), "{}", full.stdout);
    let full = full.refused(1).names(&[
        "student on blimp_filtered",
        "predictions.jsonl",
        "File too large",
    ]);
    full.advises("ulimit -f unlimited");
    assert!(!workspace.path("results/student/blimp_filtered/result.json").exists());
    all(&workspace, STUDENT).done();
}

#[cfg(unix)]
#[test]
fn what_comes_before_the_held_out_loss_hears_signals_too() {
    let workspace = workspace();
    workspace.write("long/a.train", sentences(60_000, 1));
    let line = format!(
        "evaluate all {STUDENT} --data data --text long --sequence-length 16 --only loss \
         --output results"
    );
    let words: Vec<&str> = line.split_whitespace().collect();
    let folder = workspace.path("results/student/loss");
    let stopped =
        super::interruption::signalled_when(&workspace, &words, "TERM", || folder.exists());
    stopped
        .refused(130)
        .names(&["student on loss: interrupted"])
        .advises("continue with: babyllama evaluate all");
    assert_eq!(workspace.names("results/student/loss"), [""; 0]);
}

#[test]
fn data_that_cannot_be_scored_is_refused() {
    let workspace = workspace();
    let nothing = workspace
        .babyllama(&format!("evaluate all {STUDENT} --data text --output results"))
        .refused(1);
    nothing
        .names(&["nothing to score", "text has none of the benchmarks' folders"])
        .advises("under their names: blimp");
    let inside = workspace
        .babyllama(&format!("evaluate all {STUDENT} --data data/blimp_filtered --output results"));
    inside
        .refused(1)
        .names(&["nothing to score"])
        .advises("give the folder that contains blimp_filtered with --data");
    std::fs::create_dir_all(workspace.path("hollow/glue_filtered")).unwrap();
    let hollow =
        workspace.babyllama(&format!("evaluate all {STUDENT} --data hollow --output results"));
    assert!(hollow.stdout.contains("\n(Super)GLUE    failed (1)"), "{}", hollow.stdout);
    hollow
        .refused(1)
        .names(&["hollow/glue_filtered has the files of no task"])
        .advises("TASK.train.jsonl");
    let absent = workspace
        .babyllama(&format!("evaluate all {STUDENT} --data none --output results"))
        .refused(1);
    absent.names(&["cannot read none"]).advises("--data");
    all(&workspace, &format!("{STUDENT} --only loss"))
        .refused(1)
        .names(&["no held-out text is named with --text"]);
    workspace.write("data/supplement_filtered/hypernym.jsonl", "{oops\n");
    let broken =
        all(&workspace, &format!("{STUDENT} --only blimp-filtered,blimp-supplement")).refused(1);
    broken
        .names(&["data/supplement_filtered/hypernym.jsonl, line 1: bad JSON"])
        .advises("mend that line");
    assert!(workspace.names("results/student/blimp_filtered").contains(&"result.json".to_owned()));
    all(&workspace, &format!("{STUDENT} --recipe 2025")).refused(2);
    let mixed = all(&workspace, &format!("{STUDENT} --recipe babyllama-1")).refused(2);
    mixed.names(&["by the rules of 2023", "--rules is 2024"]);
}

#[test]
fn of_a_masked_model_only_the_next_token_is_left_out() {
    let workspace = workspace();
    bring_roberta(&workspace, "roberta");
    let first = all(&workspace, "roberta --text text --seed 1,2").done();
    let left_out =
        "roberta: loss is left out: a masked language model does not predict the next token";
    assert!(first.stderr.contains(left_out), "{}", first.stderr);
    for row in ["BLiMP filtered", "BLiMP supplement", "EWoK", "(Super)GLUE, mean of 1"] {
        assert!(first.stdout.contains(row), "{row}: {}", first.stdout);
    }
    for seed in [1, 2] {
        let result = workspace.json(&format!("results/roberta/glue/cola/seed-{seed}/result.json"));
        assert_eq!((&result["steps"], &result["validation_items"]), (&json!(3), &json!(10)));
    }
    let again = all(&workspace, "roberta --text text --seed 1,2").done();
    assert_eq!((again.stderr.matches("done already").count(), &again.stdout), (2, &first.stdout));

    // A tokenizer without the tokens that such a model needs ends neither the table nor the other
    // model.
    bring_roberta(&workspace, "silent");
    with_vocabulary(&workspace, "gpt2", "silent");
    let silent = all(&workspace, &format!("silent {STUDENT}"));
    let words = silent.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("silent on glue: the tokenizer has no `sep_token`"), "{words}");
    assert!(workspace.path("results/student/blimp_filtered/result.json").exists());
    silent.refused(1).names(&["parts failed: silent on blimp_filtered"]);
}

#[test]
fn names_of_two_lines_tear_no_table() {
    let workspace = workspace();
    workspace.copy(STUDENT, "two\nlines");
    workspace.write("data/blimp_filtered/wh_island.jsonl", "{oops\n");
    let words = ["evaluate", "all", "two\nlines", "--data", "data", "--output", "results"];
    let only = ["--only", "blimp-filtered,blimp-supplement"];
    let finished = workspace.finish(workspace.command(&[&words[..], &only].concat()));
    let table = workspace.text("results/table.md");
    for text in [&finished.stdout, &table, &finished.stderr] {
        assert!(text.contains("two\\nlines"), "{text}");
    }
    for text in [&finished.stdout, &table] {
        assert!(!text.lines().any(|line| line.starts_with("lines")), "{text}");
    }
    assert!(workspace.names("results").contains(&"two\\nlines".to_owned()));
}

#[test]
fn scores_of_other_data_are_not_replaced_and_folders_of_answers_are_named() {
    let workspace = Workspace::trained();
    workspace.copy("pairs", "others");
    let score = |model: &str, data: &str| {
        workspace.babyllama(&format!("evaluate blimp {model} --data {data} --output scores"))
    };
    score(STUDENT, "pairs").done();
    score(STUDENT, "pairs").done();
    let refusal = score(STUDENT, "others").refused(1);
    refusal.names(&["scores/student/pairs holds the scores of other data"]).advises("--output");
    score(TEACHER, "pairs").done();
    let folder = workspace.babyllama("evaluate compare scores scores/teacher").refused(1);
    folder
        .names(&["scores has no answers itself"])
        .advises("give one of scores/student/pairs, scores/teacher/pairs");
    workspace.babyllama("evaluate compare scores/student/pairs scores/teacher/pairs").done();
    for command in ["finetune", "evaluate all"] {
        let line = format!("{command} {STUDENT} --data pairs --output tuned --seed 1,2,1");
        workspace.babyllama(&line).refused(2).names(&["--seed names 1 twice"]);
    }
}
