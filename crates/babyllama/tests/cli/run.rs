//! `run`: which stages are done again, and which are not.

use serde_json::Value;

use super::common::{Finished, STUDENT, TEACHER, Workspace};

/// The stages that a run performed.
fn stages(finished: &Finished) -> Vec<&str> {
    let lines = finished.stderr.lines().map(|line| line.split_once("] ").unwrap_or(("", line)).1);
    let names = lines.filter_map(|line| line.strip_prefix("stage "));
    names.filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect()
}

#[test]
fn a_run_leaves_what_it_promises() {
    let workspace = Workspace::new();
    let finished = workspace.babyllama("run small.toml").done();
    let order = [
        "corpus",
        "tokenizer",
        "tokens",
        "model-teacher",
        "model-student",
        "evaluate-teacher",
        "evaluate-student",
    ];
    assert_eq!(stages(&finished), order);
    assert!(finished.stdout.contains("Everything is in runs/small"), "{}", finished.stdout);
    for (model, folder) in [("teacher", TEACHER), ("student", STUDENT)] {
        let files = ["config.json", "generation_config.json", "model.safetensors"];
        let tokenizer = ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];
        assert_eq!(workspace.names(folder), [files, tokenizer].concat());
        let scores = workspace.json(&format!("runs/small/evaluation/{model}.json"));
        assert!(scores["held_out_loss"].as_f64().unwrap() < 4.0, "{scores}");
        assert_eq!(scores["pairs"]["pairs"]["items"], 32);
        assert!(workspace.text("runs/small/table.md").contains(&format!("| {model} ")));
        let losses = workspace.losses(&format!("runs/small/models/{model}"));
        assert!(losses.len() == 72 && losses[71] < losses[0], "{losses:?}");
    }
    // The resolved recipe, every default written out, is the same experiment.
    workspace.write("resolved.toml", workspace.bytes("runs/small/recipe.toml"));
    assert_eq!(stages(&workspace.babyllama("run resolved.toml").done()), [""; 0]);
}

#[test]
fn a_second_run_does_nothing() {
    let workspace = Workspace::trained();
    let weights = workspace.weights(STUDENT);
    let finished = workspace.babyllama("run small.toml").done();
    assert_eq!(stages(&finished), [""; 0]);
    assert!(finished.stdout.contains("student"), "the table is shown again: {}", finished.stdout);
    assert!(
        finished.stdout.contains("Nothing to do: all 7 stages of runs/small are done"),
        "{}",
        finished.stdout
    );
    assert!(workspace.weights(STUDENT) == weights);
}

#[test]
fn a_change_reaches_what_follows_from_it_and_nothing_else() {
    let workspace = Workspace::trained();
    let run = |more: &str| workspace.babyllama(&format!("run small.toml {more}")).done();
    let student = ["model-student", "evaluate-student"];
    let changed = run("--set student.train.learning_rate=1e-3");
    assert_eq!(stages(&changed), student);
    let reason = "stage model-student: settings changed: train.learning_rate was 0.003, is 0.001";
    assert!(changed.stderr.contains(reason), "{}", changed.stderr);
    assert!(changed.stderr.contains("now in runs/small/models/student.old"), "{}", changed.stderr);
    assert_eq!(
        stages(&run("--set models.student.train.learning_rate=1e-3")),
        [""; 0],
        "the shorthand means the same"
    );

    let both = ["model-teacher", "model-student", "evaluate-teacher", "evaluate-student"];
    let changed = run("--set student.train.learning_rate=1e-3 --set teacher.train.epochs=1");
    assert_eq!(stages(&changed), both);
    assert!(
        changed.stderr.contains("stage model-student: stage model-teacher changed"),
        "{}",
        changed.stderr
    );
    let weights = workspace.weights(STUDENT);
    let back = run("");
    assert_eq!(stages(&back), ["evaluate-teacher", "evaluate-student"], "the models are there");
    assert!(
        back.stderr.contains("goes on with what these settings left earlier"),
        "{}",
        back.stderr
    );
    assert!(
        workspace.weights(STUDENT) != weights && !back.stderr.contains("epoch 1.000"),
        "{}",
        back.stderr
    );

    let evaluations = ["evaluate-teacher", "evaluate-student"];
    assert_eq!(stages(&run("--set evaluate.rules='2023'")), evaluations);
    let fewer_pairs = run("--set evaluate.rules='2023' --set corpus.pairs_per_paradigm=7");
    assert!(!stages(&fewer_pairs).contains(&"corpus"), "{}", fewer_pairs.stderr);
    workspace.write("text/a.train", super::common::sentences(250, 9));
    assert_eq!(
        stages(&run("--set evaluate.rules='2023'")),
        [&["corpus", "tokenizer", "tokens"], &both[..]].concat()
    );
}

#[test]
fn what_changes_no_result_trains_nothing_again() {
    let workspace = Workspace::trained();
    let finished = workspace.babyllama(
        "--threads 2 run small.toml --set teacher.train.checkpoint_steps=0 --set \
         student.train.micro_batch_size=2",
    );
    assert_eq!(stages(&finished.done()), [""; 0]);
}

#[test]
fn what_was_removed_is_made_again() {
    let workspace = Workspace::trained();
    let weights = workspace.weights(STUDENT);
    let remove = |inside: &str| std::fs::remove_dir_all(workspace.path(inside)).unwrap();
    remove(STUDENT);
    let finished = workspace.babyllama("run small.toml").done();
    assert_eq!(stages(&finished), [""; 0], "the best weights are there");
    assert!(workspace.weights(STUDENT) == weights);
    remove(STUDENT);
    remove("runs/small/models/student/best");
    let finished = workspace.babyllama("run small.toml").done();
    assert_eq!(stages(&finished), ["model-student"]);
    let word = "output models/student/final/config.json is missing";
    assert!(finished.stderr.contains(word), "{}", finished.stderr);
    assert!(workspace.weights(STUDENT) == weights);
    // The record of a stage is not the only one of a finished model.
    std::fs::remove_file(workspace.path("runs/small/stages/model-student.json")).unwrap();
    assert_eq!(stages(&workspace.babyllama("run small.toml").done()), [""; 0]);
}

#[test]
fn models_start_from_folders_and_score_as_ensembles() {
    let workspace = Workspace::trained();
    let continued = format!(
        r#"
[corpus]
source = "text"
validation_fraction = 0.1

[tokenizer]
path = "runs/small/tokenizer/tokenizer.json"

[models.first]
from = "{TEACHER}"
train = {{ epochs = 1, batch_size = 8, sequence_length = 16 }}

[models.second]
from = "{TEACHER}"
train = {{ epochs = 1, batch_size = 8, sequence_length = 16, learning_rate = 1e-30 }}

[evaluate]
blimp = ["pairs"]
ensembles = [["first", "second"]]
"#
    );
    workspace.write("more.toml", continued);
    workspace.babyllama("run more.toml").done();
    let mut names = workspace.names("runs/more/evaluation");
    names.retain(|name| name.ends_with(".json"));
    assert_eq!(names, ["first+second.json", "first.json", "second.json"]);
    let loss = |run: &str, name: &str| {
        workspace.json(&format!("runs/{run}/evaluation/{name}.json"))["held_out_loss"]
            .as_f64()
            .unwrap()
    };
    assert_eq!(loss("more", "second"), loss("small", "teacher"), "too small a rate learns nothing");
    assert!(loss("more", "first") < loss("more", "second"));
    assert!(loss("more", "first+second") < loss("more", "second"));
}

#[test]
fn losses_on_a_part_of_the_held_out_text_are_called_so() {
    let workspace = Workspace::new();
    let finished = workspace.babyllama("run small.toml --set train.evaluation_sequences=9").done();
    let remark = "Held-out losses are of 9 sequences of the ";
    assert!(finished.stdout.contains(remark), "{}", finished.stdout);
    assert!(workspace.text("runs/small/table.md").contains(remark));
    let whole = workspace.babyllama("run small.toml --output runs/whole").done();
    assert!(!whole.stdout.contains("Held-out losses are of"), "{}", whole.stdout);
}

#[test]
fn a_model_without_room_for_the_prompts_writes_no_texts() {
    let workspace = Workspace::new();
    let short = "--set train.sequence_length=3 --set teacher.max_positions=3 --set \
                 evaluate.blimp=[]";
    workspace.babyllama(&format!("run small.toml --only teacher {short}")).done();
    assert_eq!(workspace.json("runs/small/evaluation/teacher.json")["samples"], Value::Null);
}
