//! Runs that are cut at any moment and continued: they end with the same bits as a run that was
//! not.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::common::{Finished, RECIPE, STUDENT, Workspace, search_path, sentences};

/// 720 steps of teacher and student each: long enough to be hit in the middle. The student's
/// matrices are Muon's.
pub fn longer_recipe() -> String {
    let muon = "[models.student.train]\noptimizer = \"muon\"\nweight_decay_epochs = 3.0\n";
    RECIPE
        .replace("[models.student.train]\n", muon)
        .replace("epochs = 2", "epochs = 20")
        .replace("checkpoint_steps = 5", "checkpoint_steps = 7")
}

pub fn models(run: &str) -> [String; 2] {
    ["teacher", "student"].map(|model| format!("{run}/models/{model}"))
}

/// A workspace where `small.toml` takes longer and `runs/whole` is its run that nobody cut.
fn with_whole_run() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("small.toml", longer_recipe());
    workspace.babyllama("run small.toml --output runs/whole").done();
    workspace
}

/// The last step in a model's metrics, 0 before the first.
pub fn last_step(workspace: &Workspace, model: &str) -> u64 {
    let text = fs::read_to_string(workspace.path(model).join("metrics.jsonl")).unwrap_or_default();
    let number = |line: &str| line.split_once("\"step\":")?.1.split(',').next()?.parse().ok();
    text.lines().filter_map(number).next_back().unwrap_or(0)
}

/// Starts a command and sends it a signal as soon as a model's metrics show a step.
pub fn signalled(
    workspace: &Workspace,
    words: &[&str],
    model: &str,
    step: u64,
    signal: &str,
) -> Finished {
    signalled_when(workspace, words, signal, || last_step(workspace, model) >= step)
}

pub fn signalled_when(
    workspace: &Workspace,
    words: &[&str],
    signal: &str,
    is_time: impl Fn() -> bool,
) -> Finished {
    let mut child =
        workspace.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !is_time() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {}", child.id())])
        .status()
        .unwrap();
    let finished = Finished::new(child.wait_with_output().unwrap());
    assert!(
        kill.success() && finished.code != Some(0),
        "ended before it was stopped: {}",
        finished.stderr
    );
    finished
}

/// Insists that a run has the weights and metrics of the run that was not cut.
#[track_caller]
fn assert_whole(workspace: &Workspace, run: &str) {
    for (model, whole) in models(run).iter().zip(models("runs/whole")) {
        let metrics = workspace.metrics(model);
        let steps = metrics.iter().filter(|record| record["event"] == "step");
        let steps: Vec<u64> = steps.map(|record| record["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, (1..=720).collect::<Vec<_>>(), "{model}");
        assert_eq!(metrics, workspace.metrics(&whole), "{model}");
        assert!(
            workspace.weights(&format!("{model}/final"))
                == workspace.weights(&format!("{whole}/final")),
            "{model}"
        );
    }
    assert_eq!(
        workspace.names("runs/whole/evaluation"),
        workspace.names(&format!("{run}/evaluation"))
    );
}

#[test]
fn a_killed_run_continues_to_the_same_bits() {
    let workspace = with_whole_run();
    let [teacher, student] = models("runs/killed");
    let words = ["run", "small.toml", "--output", "runs/killed"];
    for (model, step) in [
        (&teacher, 1),
        (&teacher, 5),
        (&teacher, 60),
        (&student, 1),
        (&student, 140),
        (&student, 350),
    ] {
        let finished = signalled(&workspace, &words, model, step, "KILL");
        assert_eq!(finished.code, None);
    }
    let finished = workspace.babyllama(&words.join(" ")).done();
    assert!(finished.stderr.contains("student  continues after step "), "{}", finished.stderr);
    assert_whole(&workspace, "runs/killed");
}

#[test]
fn checkpoints_come_by_time_and_a_kill_before_the_first_is_reported() {
    let workspace = Workspace::new();
    let recipe = longer_recipe().replace("checkpoint_steps = 7\n", "");
    workspace
        .write("small.toml", recipe.replace("\nepochs = 20", "\nepochs = 20\nmax_steps = 400"));
    let [teacher, _] = models("runs/small");
    let words = ["run", "small.toml"];
    signalled(&workspace, &words, &teacher, 10, "KILL");
    let more = ["--set", "teacher.train.checkpoint_minutes=0.00001"];
    let words: Vec<&str> = words.into_iter().chain(more).collect();
    let finished = signalled(&workspace, &words, &teacher, 30, "KILL");
    let word = "teacher  no checkpoint yet: begins again";
    assert!(finished.stderr.contains(word), "{}", finished.stderr);
    let finished = workspace.babyllama(&words.join(" ")).done();
    assert!(finished.stderr.contains("teacher  continues after step "), "{}", finished.stderr);
    workspace.babyllama("run small.toml --output runs/whole").done();
    assert_eq!(workspace.metrics(&teacher), workspace.metrics("runs/whole/models/teacher"));
    for model in ["teacher", "student"] {
        let weights = |run: &str| workspace.weights(&format!("runs/{run}/models/{model}/final"));
        assert!(weights("small") == weights("whole"), "{model}");
    }
}

#[test]
fn a_run_that_is_asked_to_stop_says_how_to_continue() {
    let workspace = with_whole_run();
    fs::rename(workspace.path("small.toml"), workspace.path("my recipe.toml")).unwrap();
    let [teacher, student] = models("runs/my run");
    let words = [
        "run",
        "my recipe.toml",
        "--output",
        "runs/my run",
        "--set",
        "name=mine",
        "--set",
        "evaluate.blimp=[ 'pairs' ]",
    ];
    let first = signalled(&workspace, &words, &teacher, 100, "TERM");
    let refusal = first.refused(130).names(&["stage model-teacher", "interrupted", "saved"]);
    let command = refusal.advice.strip_prefix("continue with: ").unwrap().to_owned();
    let quoted = "run 'my recipe.toml' --output 'runs/my run' --set name=mine --set \
     'evaluate.blimp=[ '\\''pairs'\\'' ]'";
    assert_eq!(command, format!("babyllama {quoted}"));
    // Everything up to the signal is saved.
    let (stopped, kept) =
        (last_step(&workspace, &teacher), workspace.names(&format!("{teacher}/checkpoints")));
    assert_eq!(kept.last().unwrap(), &format!("step-{stopped:08}"));

    signalled(&workspace, &words, &student, 50, "INT").refused(130).names(&["stage model-student"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).env("PATH", search_path());
    workspace.surround(&mut shell);
    let finished = workspace.finish(shell).done();
    assert!(finished.stderr.contains("student  continues after step "), "{}", finished.stderr);
    assert_whole(&workspace, "runs/my run");
}

/// A terminal that is closed or a connection that ends.
#[test]
#[cfg(target_os = "linux")]
fn a_hangup_saves_and_one_that_nohup_ignores_changes_nothing() {
    let workspace = Workspace::new();
    workspace.write("small.toml", longer_recipe());
    let [teacher, _] = models("runs/small");
    let words = ["run", "small.toml", "--only", "teacher"];
    let best = workspace.path(&format!("{teacher}/best/model.safetensors"));
    let first = signalled_when(&workspace, &words, "HUP", || best.exists());
    first.refused(130).names(&["interrupted", "saved"]);
    let (stopped, kept) =
        (last_step(&workspace, &teacher), workspace.names(&format!("{teacher}/checkpoints")));
    assert_eq!(kept.last().unwrap(), &format!("step-{stopped:08}"));
    // What was best so far is a whole model.
    workspace.babyllama("export runs/small --model teacher --output taken").done();
    for model in ["taken", "runs/small/models/teacher/best"] {
        let command = format!("generate {model} --prompt The --max-tokens 3 --greedy");
        workspace.babyllama(&command).done();
    }

    let program = env!("CARGO_BIN_EXE_babyllama");
    let script = format!("trap '' HUP; '{program}' {} & kill -HUP $!; wait $!", words.join(" "));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]);
    workspace.surround(&mut shell);
    workspace.finish(shell).done();
}

/// A stage of text is left between two of its pieces and begun anew; a run that is asked to stop
/// begins no other.
#[test]
fn a_run_stops_between_stages() {
    let workspace = Workspace::new();
    workspace.write("text/a.train", sentences(50_000, 1));
    let corpus = workspace.path("runs/small/stages/corpus.json");
    let words = [
        "run",
        "small.toml",
        "--set",
        "teacher.train.max_steps=5",
        "--set",
        "student.train.max_steps=5",
    ];
    let refusal = signalled_when(&workspace, &words, "TERM", || corpus.exists()).refused(130);
    refusal
        .names(&["interrupted"])
        .advises("babyllama run small.toml --set teacher.train.max_steps=5");
    assert_eq!(workspace.names("runs/small/models"), [""; 0]);
    let finished = workspace.babyllama(&words.join(" ")).done();
    assert!(!finished.stderr.contains("stage corpus"), "{}", finished.stderr);
}

/// What is written beside its place until it is whole is removed.
#[test]
fn work_on_text_stops_and_leaves_nothing_unfinished() {
    let workspace = Workspace::new();
    workspace.write("raw/cbt.train", sentences(50_000, 1).repeat(15));
    workspace.babyllama("tokenizer train text --vocab-size 300 --output tokenizer").done();
    let encode = "tokens encode raw --tokenizer tokenizer/tokenizer.json --output out/tokens.bin";
    for (line, begun) in [
        ("corpus clean raw --output clean", "clean/cbt.train.partial"),
        ("tokenizer train raw --output other", "other"),
        (encode, "out/tokens.bin.partial"),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let has_begun = || workspace.path(begun).exists();
        let refusal = signalled_when(&workspace, &words, "INT", has_begun).refused(130);
        let command = format!("begin again with: babyllama {line}");
        refusal.names(&["interrupted; nothing unfinished is left"]).advises(&command);
    }
    for folder in ["clean", "other", "out"] {
        assert_eq!(workspace.names(folder), [""; 0], "{folder}");
    }
}

/// The loss of the closing table is no training: it is left after the batch at work.
#[test]
fn a_run_stops_within_its_last_stages() {
    let workspace = Workspace::new();
    workspace.write("held/a.train", sentences(40_000, 3));
    let few = ["teacher.train.max_steps=5", "student.train.max_steps=5"];
    let text = ["evaluate.blimp=[]", "corpus.validation=\"held\""];
    let mut words = vec!["run", "small.toml"];
    words.extend(few.iter().chain(&text).flat_map(|set| ["--set", set]));
    workspace.finish(workspace.command(&words)).done();
    fs::remove_file(workspace.path("runs/small/evaluation/teacher.json")).unwrap();
    // A stage that begins takes back that it was done.
    let done = workspace.path("runs/small/stages/evaluate-teacher.json");
    let refusal = signalled_when(&workspace, &words, "INT", || !done.exists()).refused(130);
    refusal.names(&["stage evaluate-teacher", "interrupted"]);
    let mut names = workspace.names("runs/small/evaluation");
    names.retain(|name| name.ends_with(".json"));
    assert_eq!(names, ["student.json"]);
}

#[test]
fn scoring_that_is_stopped_names_the_command_that_begins_again() {
    let workspace = Workspace::trained();
    let text = sentences(40_000, 3);
    workspace.write("held/a.train", &text);
    let pair = |line: &str| {
        let turned: Vec<&str> = line.split(' ').rev().collect();
        format!(
            "{}\n",
            serde_json::json!({ "sentence_good": line, "sentence_bad": turned.join(" ") })
        )
    };
    workspace.write("many/a.jsonl", text.lines().map(pair).collect::<String>());
    for line in [
        format!("evaluate loss {STUDENT} --data held --sequence-length 16 --json new/scores.json"),
        format!("evaluate blimp {STUDENT} --data many --json new/scores.json"),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The folder is made when the signals are listened to.
        let has_begun = || workspace.path("new").exists();
        let refusal = signalled_when(&workspace, &words, "INT", has_begun).refused(130);
        let command = format!("begin again with: babyllama {line}");
        refusal.names(&["interrupted; nothing unfinished is left"]).advises(&command);
        assert!(!workspace.path("new").exists(), "{line}");
    }
}

#[test]
fn one_model_outside_a_run_continues_too() {
    let workspace = with_whole_run();
    let tokens =
        "--tokens runs/whole/tokens/train.bin --validation runs/whole/tokens/validation.bin";
    let command = format!(
        "distill --config small.toml --model student --teacher runs/whole/models/teacher/final \
         {tokens} --output"
    );
    workspace.babyllama(&format!("{command} at-once")).done();
    let line = format!("{command} stopped");
    let words: Vec<&str> = line.split_whitespace().collect();
    signalled(&workspace, &words, "stopped", 30, "KILL");
    let second = signalled(&workspace, &words, "stopped", 90, "TERM").refused(130);
    second.advises("continue with: babyllama distill --config small.toml --model student");
    assert!(workspace.babyllama(&line).done().stderr.contains("training  continues after step "));
    assert_eq!(workspace.metrics("stopped"), workspace.metrics("at-once"));
    assert!(workspace.weights("stopped/final") == workspace.weights("at-once/final"));
    let other = workspace.babyllama(&format!("{line} --set learning_rate=1e-3")).refused(1);
    other.names(&["stopped/checkpoints", "other settings"]).advises("another --output");
}
