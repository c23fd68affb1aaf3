//! Searches for settings: real trainings, stopped, continued and killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::common::{RECIPE, Workspace};

/// Nine short epochs of a student and its teacher.
pub const SWEEP: &str = r#"
name = "small"
recipe = "small.toml"
model = "student"
trials = 9
confirm = { top = 2, seeds = 2 }
heartbeat_seconds = 0.5

[space]
"train.learning_rate" = { log_normal = [-6, 1] }
"train.batch_size" = [8, 16, 32]
"train.weight_decay" = { uniform = [0, 1] }
"#;

pub const PLACE: &str = "runs/sweeps/small";

pub fn workspace(sweep: &str) -> Workspace {
    let workspace = Workspace::new();
    let train = "[models.student.train]\nepochs = 2";
    workspace.write("small.toml", RECIPE.replace(train, "[models.student.train]\nepochs = 9"));
    workspace.write("sweep.toml", sweep);
    workspace
}

/// All trials of the sweep.
fn trials(workspace: &Workspace) -> Vec<Value> {
    let lines = workspace.babyllama(&format!("sweep export {PLACE} jsonl")).done().stdout;
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The page of a sweep without its recipe, or without the file that names its store, has its
/// trials, also where the folder has another name; what is lost is named.
fn check_lost_files(workspace: &Workspace) {
    fs::rename(workspace.path(PLACE), workspace.path("moved")).unwrap();
    let files = ["sweep.toml", "base.toml", "store.txt"];
    let texts = files.map(|file| workspace.text(&format!("moved/{file}")));
    for lost in 1..=files.len() {
        fs::remove_file(workspace.path(&format!("moved/{}", files[lost - 1]))).unwrap();
        workspace.babyllama("report moved --output lost.html").done();
        let page = workspace.text("lost.html");
        for file in &files[..lost] {
            assert!(page.contains(&format!("Not here: {file}")), "{file}: {page:.2000}");
        }
        for part in ["Sweep small", "9 of 9 trials", "The best trials", "as the store has it"] {
            assert!(page.contains(part), "{part}: {page:.2000}");
        }
        let status = workspace.babyllama("sweep status moved");
        match lost < files.len() {
            true => assert!(status.done().stdout.contains("small: 9 of 9 trials")),
            false => drop(status.refused(2)),
        }
    }
    for (file, text) in files.iter().zip(texts) {
        workspace.write(&format!("moved/{file}"), text);
    }
    fs::rename(workspace.path("moved"), workspace.path(PLACE)).unwrap();
}

/// The time of the last end that a page has, in UTC.
fn last_end(workspace: &Workspace) -> String {
    let page = workspace.text(&format!("{PLACE}/report.html"));
    let subtitle = page.lines().find(|line| line.contains("class=\"subtitle\"")).unwrap();
    subtitle.split("Z to ").nth(1).unwrap().split('Z').next().unwrap().to_owned()
}

/// Runs the recipe of a trial on its own, and insists on the bits that the trial has.
fn assert_same_bits(workspace: &Workspace, number: u64) {
    let recipe = format!("trial-{number}.toml");
    let best = format!("sweep best {PLACE} --trial {number} --output {recipe}");
    workspace.babyllama(&best).done();
    let run = format!("runs/trial-{number}");
    workspace.babyllama(&format!("run {recipe} --output {run}")).done();
    let trial = format!("{PLACE}/trials/{number:05}/models/student/final");
    let whole = format!("{run}/models/student/final");
    assert!(workspace.weights(&trial) == workspace.weights(&whole), "trial {number}");
}

#[test]
fn a_sweep_ends_with_a_confirmed_table_and_its_trials_have_the_bits_of_plain_runs() {
    let workspace = workspace(SWEEP);
    let plan = workspace.babyllama("sweep plan sweep.toml").done().stdout;
    assert!(plan.contains("0.111, 0.333") && plan.contains("8, 16, 32"), "{plan}");
    let run = workspace.babyllama("sweep run sweep.toml").done();
    assert!(run.stdout.contains("small: 9 of 9 trials"), "{}", run.stdout);
    assert!(run.stdout.contains("small/confirm: fresh seeds"), "{}", run.stdout);
    assert!(run.stdout.contains("baseline (the recipe)"), "{}", run.stdout);
    let found = trials(&workspace);
    let numbers: Vec<u64> = found.iter().map(|trial| trial["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..9).collect::<Vec<u64>>());
    let complete: Vec<&Value> = found.iter().filter(|trial| trial["state"] == "complete").collect();
    let stopped = found.iter().filter(|trial| trial["state"] == "stopped").count();
    assert!(!complete.is_empty() && complete.len() + stopped == 9, "{found:?}");
    // The teacher is trained once, for all; a stopped trial keeps no checkpoint.
    assert_eq!(workspace.names(&format!("{PLACE}/shared/models")), ["teacher"]);
    for trial in &found {
        let folder = format!("{PLACE}/trials/{:05}/models", trial["number"].as_u64().unwrap());
        assert_eq!(workspace.names(&folder), ["student"]);
        assert!(!workspace.path(&format!("{folder}/student/checkpoints")).exists());
    }
    // A trial that waited at its rungs and went on has the bits of a run without a break.
    for trial in &complete {
        assert_same_bits(&workspace, trial["number"].as_u64().unwrap());
    }
    assert!(complete[0]["scores"]["pairs"].as_f64().is_some(), "{}", complete[0]);
    let check = workspace.babyllama(&format!("sweep check {PLACE}")).done().stdout;
    assert!(check.contains("small: 9 proposals are the same to the bit"), "{check}");
    let status = workspace.babyllama(&format!("sweep status {PLACE} --trials")).done().stdout;
    assert!(status.contains("best so far: trial") && status.contains("at rung 0 with"), "{status}");
    // Given again, nothing is left to do.
    let again = workspace.babyllama("sweep run sweep.toml").done();
    assert_eq!(again.stdout, run.stdout);
    let csv = workspace.text(&format!("{PLACE}/small.csv"));
    assert_eq!(csv.lines().count(), 10);
    assert!(workspace.path(&format!("{PLACE}/small-confirm.md")).is_file());
    let page = workspace.text(&format!("{PLACE}/report.html"));
    assert!(page.contains("Confirmed against the search"), "{page}");
    // It ends with the confirmation's last trial, whose stages record their ends.
    let trials = workspace.names(&format!("{PLACE}/trials/confirm"));
    let stage = |trial: &String| {
        let stages = format!("{PLACE}/trials/confirm/{trial}/stages/model-student.json");
        workspace.json(&stages)["end"]["time"].as_str().unwrap().trim_end_matches('Z').to_owned()
    };
    let end = trials.iter().map(stage).max().unwrap();
    assert!(last_end(&workspace) >= end, "{} {end}", last_end(&workspace));
    let report = format!("report {PLACE} --output page.html --figures figures");
    workspace.babyllama(&report).done();
    // Its trials are its table, and its page stands behind that of runs.
    let trials = format!("report {PLACE} --output page.html --csv trials.csv");
    workspace.babyllama(&trials).done();
    workspace.babyllama(&trials).done();
    assert_eq!(workspace.text("trials.csv"), csv);
    let written = format!("by babyllama {}", env!("CARGO_PKG_VERSION"));
    for part in [&written[..], "trained on ", "Z to 20", "1 thread"] {
        assert!(page.contains(part), "{part}: {page:.2000}");
    }
    for part in ["trials", "trials/00000", "shared"] {
        let figures = format!("report {PLACE} --output page.html --figures {PLACE}/{part}");
        let refusal = workspace.babyllama(&figures).refused(2).names(&["a part of a sweep"]);
        refusal.advises(&format!("--figures {PLACE}/figures"));
    }
    check_lost_files(&workspace);
    let run = "runs/trial-of-best";
    fs::create_dir_all(workspace.path(run)).unwrap();
    workspace.copy(&format!("{PLACE}/trials/00000/models/student"), run);
    workspace.babyllama(&format!("report {PLACE} {run} --output both.html")).done();
    let both = workspace.text("both.html");
    assert!(both.contains("small: Search") && both.contains("Training loss"));
    let mixed = format!("report {PLACE} {run} --output both.html --csv mixed.csv");
    workspace.babyllama(&mixed).refused(2).names(&["trials of", PLACE]).advises("name one sweep");
    assert!(workspace.text("page.html").contains("History"));
    assert!(workspace.text("figures/history.csv").starts_with("trial,validation_loss,state\n0,"));
    workspace.write("mine.csv", "number,mine\n");
    for format in ["csv", "jsonl"] {
        let export = |file: &str| {
            workspace.babyllama(&format!("sweep export {PLACE} {format} --output {file}"))
        };
        export("mine.csv").refused(1).names(&["mine.csv is another file"]);
        export(format).done();
        export(format).done();
    }
}

#[test]
fn a_trial_that_cannot_be_trained_fails_with_the_reason_and_the_search_goes_on() {
    let keys = "name = 'small'\nrecipe = 'small.toml'\nmodel = 'student'\ntrials = 8\n\
                sampler = 'random'\nstop = { rule = 'none' }\n[space]\n\
                'embedding_dropout' = { uniform = [0, 1.5] }\n'train.batch_size' = [8, 16, 32]";
    let workspace = workspace(keys);
    workspace.babyllama("sweep create sweep.toml").done();
    for values in ["embedding_dropout=1.5", "embedding_dropout=0.5"] {
        let enqueue = format!("sweep enqueue {PLACE} {values}");
        let enqueued = workspace.babyllama(&enqueue);
        // What the recipe refuses is refused at once.
        match values.contains("1.5") {
            true => drop(enqueued.refused(2).names(&["embedding_dropout"])),
            false => drop(enqueued.done()),
        }
    }
    workspace.babyllama(&format!("sweep work {PLACE}")).done();
    let found = trials(&workspace);
    assert_eq!(found.len(), 8);
    for trial in &found {
        let fails = trial["settings"]["embedding_dropout"].as_f64().unwrap() >= 1.0;
        assert_eq!(trial["state"], if fails { "failed" } else { "complete" }, "{trial}");
        let why = trial["why"].as_str().unwrap_or_default();
        assert_eq!(why.contains("embedding_dropout"), fails, "{trial}");
    }
    assert!(found.iter().any(|trial| trial["state"] == "failed"), "{found:?}");
    workspace.babyllama(&format!("report {PLACE} --output page.html")).done();
    let page = workspace.text("page.html");
    assert!(
        page.contains("the result of trial") && page.contains("it must be at least 0 and below 1")
    );
}

#[test]
fn stopping_and_the_end_of_the_time_give_trials_back() {
    let workspace = workspace(&SWEEP.replace("trials = 9", "trials = 30\nsampler = 'random'"));
    workspace.babyllama("sweep create sweep.toml").done();
    let paused = workspace.babyllama(&format!("sweep work {PLACE} --for 2s")).done();
    assert!(paused.stdout.starts_with("Paused; "), "{}", paused.stdout);
    let status = workspace.babyllama(&format!("sweep status {PLACE}")).done().stdout;
    assert!(!status.contains("running"), "{status}");
    workspace.babyllama(&format!("sweep stop {PLACE}")).done();
    let stopped = workspace.babyllama(&format!("sweep work {PLACE}")).done().stdout;
    assert!(stopped.contains("sweep stop --undo"), "{stopped}");
    workspace.babyllama(&format!("sweep stop {PLACE} --undo")).done();
    workspace.babyllama(&format!("sweep work {PLACE} --jobs 2")).done();
    assert!(trials(&workspace).iter().all(|trial| trial["state"] != "failed"));
    let check = workspace.babyllama(&format!("sweep check {PLACE}")).done().stdout;
    assert!(check.contains("small: 30 proposals are the same to the bit"), "{check}");
}

#[test]
fn what_is_no_sweep_is_named() {
    let workspace = workspace(SWEEP);
    workspace.write("notes/thesis.tex", "precious");
    let advice = "sweep create";
    workspace
        .babyllama("sweep status runs/none")
        .refused(2)
        .names(&["holds no sweep"])
        .advises(advice);
    let create = |more: &str| workspace.babyllama(&format!("sweep create sweep.toml {more}"));
    create("--output notes").refused(1).names(&["holds other files"]);
    let store = create("--store host=h,password=s3cret").refused(2).names(&["is no store"]);
    assert!(!store.cause.contains("s3cret"), "{}", store.cause);
    create("--set trials=0").refused(2).names(&["`trials` is 0"]);
    create("--set corpus.word=3").refused(2).names(&["did you mean"]);
    let password = "postgresql://me:s3cret@127.0.0.1:1/none";
    let refused = create(&format!("--store {password}")).refused(1).names(&["me@127.0.0.1:1"]);
    assert!(!refused.cause.contains("s3cret"), "{}", refused.cause);
    create("").done();
    create("--set seed=9").refused(2).names(&["`seed`"]);
    create(&format!("--set name=other --output {PLACE}"))
        .refused(1)
        .names(&["holds the sweep `small`"]);
    workspace.babyllama(&format!("sweep best {PLACE}")).refused(1).names(&["no trial"]);
    workspace.babyllama(&format!("sweep confirm {PLACE}")).refused(1).names(&["no trial"]);
    workspace
        .babyllama(&format!("sweep status {PLACE} --study smal"))
        .refused(2)
        .names(&["did you mean `small`?"]);
    assert_eq!(workspace.text("notes/thesis.tex"), "precious");
    workspace
        .write("wandb.yaml", "method: random\nparameters:\n  lr:\n    min: 1e-4\n    max: 1e-2\n");
    let import = "sweep import wandb.yaml --recipe small.toml --model student --output im.toml";
    workspace.babyllama(import).done();
    workspace.babyllama("sweep plan im.toml").done();
}

#[test]
fn a_text_that_changes_or_goes_away_ends_the_worker_and_no_trial() {
    let sweep = SWEEP.replace("trials = 9", "trials = 3\nstop = { rule = \"none\" }");
    let workspace = workspace(&sweep);
    workspace.babyllama("sweep create sweep.toml").done();
    let work = || workspace.babyllama(&format!("sweep work {PLACE}"));
    fs::rename(workspace.path("text"), workspace.path("elsewhere")).unwrap();
    work().refused(1).names(&["text does not exist"]);
    fs::rename(workspace.path("elsewhere"), workspace.path("text")).unwrap();
    workspace.babyllama(&format!("sweep work {PLACE}")).done();
    let standing = |number: usize| trials(&workspace)[number]["state"].clone();
    assert_eq!(standing(0), "complete");
    // More trials, of another text.
    let before = workspace.text("text/a.train");
    workspace.write("text/a.train", format!("{before}The red king sees the old dog today.\n"));
    workspace.babyllama("sweep create sweep.toml --set trials=4").done();
    work().refused(1).names(&["another than when the sweep began"]).advises("old text");
    // A sweep that fails leaves its page too, and what keeps that from being written hides nothing.
    let run = || workspace.babyllama("sweep run sweep.toml --set trials=4").refused(1);
    let page = format!("{PLACE}/report.html");
    run().names(&["another than when the sweep began"]);
    assert!(workspace.text(&page).contains("of 4 trials"));
    workspace.write(&page, "mine");
    run().names(&["another than when the sweep began"]);
    assert_eq!(workspace.text(&page), "mine");
    assert_eq!(standing(3), "queued");
    workspace.write("text/a.train", before);
    work().done();
    assert_eq!(standing(3), "complete");
    // A sweep may be moved.
    fs::rename(workspace.path(PLACE), workspace.path("moved")).unwrap();
    let status = workspace.babyllama("sweep status moved").done().stdout;
    assert!(status.contains("small: 4 of 4 trials, 4 complete"), "{status}");
}

/// A fine-tuning task of four words.
fn write_task(workspace: &Workspace) {
    let item = |index: usize| {
        let (word, label) = if index.is_multiple_of(2) { ("dog", 1) } else { ("king", 0) };
        let premise = format!("The big {word} sees the bird today.");
        let item = serde_json::json!({
            "sentence1": premise, "sentence2": "It is a dog.", "label": label, "idx": index,
        });
        format!("{item}\n")
    };
    workspace.write("tasks/rte.train.jsonl", (0..24).map(item).collect::<String>());
    workspace.write("tasks/rte.valid.jsonl", (0..12).map(item).collect::<String>());
}

#[test]
fn fine_tuning_is_searched_for_each_model_and_task() {
    let workspace = Workspace::trained();
    write_task(&workspace);
    workspace.write(
        "sweep.toml",
        "name = 'small'\ntrials = 4\nstop = { rule = 'asha', form = 'stopping' }\n\
         confirm = { top = 1, seeds = 2 }\n[finetune]\n\
         models = ['runs/small/models/student/final', 'runs/small/models/teacher/final']\n\
         data = 'tasks'\ntasks = ['rte']\n[space]\n\
         'learning_rate' = { log_uniform = [1e-4, 1e-2] }\n\
         'epochs' = { log_uniform = [1, 4], integer = true }\n'batch_size' = [4, 8]\n",
    );
    let run = workspace.babyllama("sweep run sweep.toml").done();
    for model in ["student", "teacher"] {
        assert!(run.stdout.contains(&format!("small/{model}/rte: 4 of 4")), "{}", run.stdout);
        assert!(run.stdout.contains(&format!("small/{model}/rte/confirm")), "{}", run.stdout);
    }
    let page = workspace.text(&format!("{PLACE}/report.html"));
    assert!(page.contains("trained on ") && page.contains("1 thread"), "{page:.2000}");
    workspace.babyllama(&format!("sweep best {PLACE}")).refused(2).names(&["2 studies"]);
    let study = "--study small/student/rte";
    let csv = format!("report {PLACE} --output page.html --csv trials.csv");
    workspace
        .babyllama(&csv)
        .refused(1)
        .names(&["small/student/rte, small/teacher/rte", "--study"]);
    workspace.babyllama(&format!("{csv} --study other")).refused(1).names(&["no study other"]);
    workspace.babyllama(&format!("{csv} {study}")).done();
    let exported = format!("sweep export {PLACE} csv {study} --output exported.csv");
    workspace.babyllama(&exported).done();
    assert_eq!(workspace.text("trials.csv"), workspace.text("exported.csv"));
    let of_run = format!("report runs/small --output page.html --csv m.csv {study}");
    workspace.babyllama(&of_run).refused(2).names(&["no single sweep"]);
    workspace.babyllama(&format!("sweep best {PLACE} {study} --output ft.toml")).done();
    let score = trials(&workspace)
        .iter()
        .filter(|trial| trial["study"] == "small/student/rte" && trial["state"] == "complete")
        .map(|trial| trial["value"].as_f64().unwrap())
        .fold(0.0, f64::max);
    // The recipe of the best gives its score again.
    let finetune = "finetune runs/small/models/student/final --data tasks --tasks rte --recipe \
                    ft.toml --output runs/ft";
    workspace.babyllama(finetune).done();
    let seed = workspace.names("runs/ft/student/rte");
    let result = workspace.json(&format!("runs/ft/student/rte/{}/result.json", seed[0]));
    assert_eq!(result["score"]["score"].as_f64().unwrap(), score);
}

#[test]
fn a_trial_whose_folder_another_worker_has_waits_for_it() {
    let sweep = SWEEP.replace("trials = 9", "trials = 1\nstop = { rule = \"none\" }");
    let workspace = workspace(&sweep);
    workspace.babyllama("sweep create sweep.toml").done();
    let place = format!("{PLACE}/trials/00000/lock");
    workspace.write(&place, "");
    let lock = fs::File::open(workspace.path(&place)).unwrap();
    lock.lock().unwrap();
    let mut worker = workspace.command(&["sweep", "work", PLACE]);
    let mut worker = worker.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines().map(Result::unwrap);
    let waits = lines.any(|line| line.contains("waits for the trial's folder"));
    drop(lock);
    let rest: Vec<String> = lines.collect();
    assert!(worker.wait().unwrap().success() && waits, "{rest:?}");
    assert_eq!(trials(&workspace)[0]["state"], "complete");
}

/// Begins a worker.
fn begin(workspace: &Workspace, store: &str) -> Child {
    let mut words = vec!["sweep", "work", PLACE];
    if !store.is_empty() {
        words.extend(["--store", store]);
    }
    workspace.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// `cargo test --release -p babyllama --test cli -- --ignored killed_workers`; with
/// BABYLLAMA_STORE, an address of PostgreSQL, in that store.
#[test]
#[ignore = "takes minutes"]
fn killed_workers_lose_no_trial_and_change_no_bit() {
    let sweep = SWEEP
        .replace("trials = 9", "trials = 60\nretries = 1000\nsampler = 'bohb'")
        .replace("heartbeat_seconds = 0.5", "heartbeat_seconds = 0.25");
    let workspace = workspace(&sweep);
    let store = std::env::var("BABYLLAMA_STORE").unwrap_or_default();
    let create = match store.is_empty() {
        true => "sweep create sweep.toml".to_owned(),
        false => format!("sweep create sweep.toml --store {store}"),
    };
    workspace.babyllama(&create).done();
    let mut workers: Vec<Child> = (0..4).map(|_| begin(&workspace, &store)).collect();
    let (mut kills, mut state) = (0, 1u64);
    loop {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(300 + (state >> 33) % 2500));
        let victim = (state >> 40) as usize % workers.len();
        if let Some(status) = workers[victim].try_wait().unwrap() {
            assert!(status.success(), "a worker ended with {status}");
            break;
        }
        workers[victim].kill().unwrap();
        workers[victim].wait().unwrap();
        kills += 1;
        workers[victim] = begin(&workspace, &store);
    }
    for worker in &mut workers {
        assert!(worker.wait().unwrap().success());
    }
    let found = trials(&workspace);
    let numbers: Vec<u64> = found.iter().map(|trial| trial["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..60).collect::<Vec<u64>>());
    assert!(found.iter().all(|t| t["state"] == "complete" || t["state"] == "stopped"));
    let check = workspace.babyllama(&format!("sweep check {PLACE}")).done().stdout;
    assert!(check.contains("60 proposals are the same to the bit"), "{check}");
    let mut complete = 0;
    for trial in found.iter().filter(|trial| trial["state"] == "complete") {
        let number = trial["number"].as_u64().unwrap();
        assert_same_bits(&workspace, number);
        // No step was trained again once it was on disk: they rise by one.
        let metrics = format!("{PLACE}/trials/{number:05}/models/student");
        let steps: Vec<u64> = workspace
            .metrics(&metrics)
            .iter()
            .filter(|record| record["event"] == "step")
            .map(|record| record["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<u64>>());
        complete += 1;
    }
    println!("{kills} kills, {complete} complete trials");
    assert!(kills > 10 && complete > 3, "{kills} {complete}");
}
