//! Runs as a whole: what they remember, what they do not undo, and the commands on their folders.

use serde_json::Value;

use super::common::{RECIPE, STUDENT, TEACHER, Workspace};

const OTHER: &str = "--set student.train.learning_rate=1e-3";

/// A finished run of six steps a model.
fn short() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 6"));
    workspace.babyllama("run small.toml").done();
    workspace
}

/// Makes a model's training one that took long.
fn make_long(workspace: &Workspace, model: &str, seconds: f64) {
    let log = format!("runs/small/models/{model}/metrics.jsonl");
    let text = workspace.text(&log);
    let mut record: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    record["seconds"] = seconds.into();
    let rest = text.split_once('\n').unwrap().1;
    workspace.write(&log, format!("{record}\n{rest}"));
}

#[test]
fn long_training_is_not_undone_by_accident() {
    let workspace = short();
    let weights = workspace.weights(STUDENT);
    make_long(&workspace, "student", 7200.0);
    let recipe = workspace.bytes("runs/small/recipe.toml");
    let refusal = workspace.babyllama(&format!("run small.toml {OTHER}")).refused(2);
    refusal
        .names(&["set aside", "student (2:00:0", "train.learning_rate was 0.003, is 0.001"])
        .advises("--replace");
    assert!(workspace.weights(STUDENT) == weights, "nothing was touched");
    assert!(workspace.bytes("runs/small/recipe.toml") == recipe, "nor was the recipe");
    workspace.babyllama(&format!("run small.toml {OTHER} --replace")).done();
    assert!(workspace.weights(STUDENT) != weights);
    // What the other settings left took a moment; going back to the long training is no loss.
    let back = workspace.babyllama("run small.toml").done();
    assert!(back.stderr.contains("goes on with what these settings left"), "{}", back.stderr);
    assert!(workspace.weights(STUDENT) == weights);
}

#[test]
fn short_trainings_count_together() {
    let workspace = short();
    for model in ["teacher", "student"] {
        make_long(&workspace, model, 40.0);
    }
    let other = "run small.toml --set train.learning_rate=1e-3";
    workspace.babyllama(other).refused(2).names(&["teacher (0:4", "student (0:4"]);
    workspace.babyllama(&format!("run small.toml {OTHER}")).done();
}

#[test]
fn a_run_goes_on_with_its_own_recipe() {
    let workspace = short();
    workspace.babyllama(&format!("run small.toml {OTHER} --output runs/trial")).done();
    let weights = workspace.weights("runs/trial/models/student/final");
    let again = workspace.babyllama("run --output runs/trial").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stderr);
    assert!(workspace.weights("runs/trial/models/student/final") == weights);
    let absent = workspace.babyllama("run --output runs/none").refused(2);
    absent.names(&["no recipe is named", "runs/none/recipe.toml"]);
}

#[test]
fn a_stored_recipe_that_was_damaged_is_no_recipe() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 6"));
    workspace.babyllama("run small.toml --only teacher").done();
    let whole = workspace.text("runs/small/recipe.toml");
    for damaged in ["", &whole[..whole.len() / 2], &whole.replace("seed = 7", "seed = 8")] {
        workspace.write("runs/small/recipe.toml", damaged);
        let refusal = workspace.babyllama("run --output runs/small").refused(1);
        refusal.names(&["runs/small/recipe.toml is not as the run wrote it"]).advises("RECIPE");
    }
    workspace.babyllama("run small.toml --only teacher").done();
    assert_eq!(workspace.text("runs/small/recipe.toml"), whole);
}

#[test]
fn a_run_takes_no_folder_of_something_else() {
    let workspace = Workspace::new();
    for (folder, part) in [("text", "text is read"), ("pairs", "holds other files and no run")] {
        let refusal = workspace.babyllama(&format!("run small.toml --output {folder}")).refused(1);
        refusal.names(&[part]).advises("folder");
    }
    assert_eq!(workspace.names("pairs"), ["agreement.jsonl", "order.jsonl"]);
}

#[test]
fn a_dry_run_shows_what_is_done_and_what_would_be() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 6"));
    let first = workspace.babyllama("run small.toml --dry-run").done();
    assert_eq!(first.stdout.matches("to do: not done yet").count(), 7, "{}", first.stdout);
    assert_eq!(workspace.names("runs"), [""; 0], "nothing is made");
    workspace.babyllama("run small.toml").done();
    let done = workspace.babyllama("run small.toml --dry-run").done();
    assert_eq!(done.stdout.matches("done").count(), 7, "{}", done.stdout);
    let other = workspace.babyllama(&format!("run small.toml {OTHER} --dry-run")).done();
    let line = "settings changed: train.learning_rate was 0.003, is 0.001";
    assert!(other.stdout.contains(line), "{}", other.stdout);
    assert!(other.stdout.contains("to do, sets aside student"), "{}", other.stdout);
    let json = workspace.babyllama(&format!("run small.toml {OTHER} --dry-run --json")).done();
    let lines = json.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let states: Vec<_> = lines.map(|line| line["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| **state == "done").count(), 5, "{states:?}");
    assert!(other.stdout.contains("to do: stage model-student changed"), "{}", other.stdout);
}

#[test]
fn one_model_is_trained_with_what_it_needs() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 6"));
    workspace.babyllama("run small.toml --only teacher").done();
    assert_eq!(workspace.names("runs/small/models"), ["teacher"]);
    let files = |model: &str| [".json", ".pairs-1.jsonl"].map(|ending| format!("{model}{ending}"));
    assert_eq!(workspace.names("runs/small/evaluation"), files("teacher"));
    let refusal = workspace.babyllama("run small.toml --only studnt").refused(2);
    refusal.names(&["--only studnt", "student"]);
    workspace.babyllama("run small.toml --only student").done();
    let both = [files("student"), files("teacher")].concat();
    assert_eq!(workspace.names("runs/small/evaluation"), both);
    let whole = workspace.babyllama("run small.toml").done();
    assert!(whole.stdout.contains("Nothing to do"), "{}", whole.stderr);
}

#[test]
fn quiet_and_json_and_the_log() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 6"));
    let quiet = workspace.babyllama("run small.toml --quiet --output runs/quiet").done();
    // Of all that is no result only what may not be as expected is shown.
    let warning = "warning: the text yields ";
    let is_all = quiet.stderr.starts_with(warning) && quiet.stderr.lines().count() == 1;
    assert!(is_all && quiet.stdout.contains("student"), "{}", quiet.stderr);
    let log = workspace.text("runs/quiet/log.txt");
    assert!(log.contains(&format!("Z {warning}")), "{log}");
    assert!(log.contains("Z stage corpus: not done yet\n"), "{log}");
    assert!(log.ends_with("Z the run is done\n"), "{log}");
    let json = workspace.babyllama("run small.toml --json --output runs/json").done();
    assert!(json.stderr.is_empty(), "{}", json.stderr);
    let events: Vec<Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("stage"), count("step"), count("done")), (7, 12, 1));
    assert_eq!(count("warning"), 1);
    assert!(events.iter().all(|event| event["event"] == "done" || event["time"].is_string()));
    let record: Value = serde_json::from_str(
        workspace.text("runs/json/models/student/metrics.jsonl").lines().next().unwrap(),
    )
    .unwrap();
    assert_eq!(record["model"], "student");
    assert_eq!(record["tokens_seen"], record["tokens"]);
    assert!(record["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn status_list_and_compare_read_finished_runs() {
    let workspace = short();
    workspace.babyllama(&format!("run small.toml {OTHER} --output runs/trial")).done();
    let status = |locale: &str| {
        let mut command = workspace.command(&["status", "runs/small"]);
        command.env("LC_ALL", locale).env_remove("TERM");
        workspace.finish(command).done().stdout
    };
    let (status, ascii) = (status("C.UTF-8"), status("C"));
    for part in ["no process works on it", "model-teacher", "finished", "products", "f32, "] {
        assert!(status.contains(part), "{part}: {status}");
    }
    // Two curves each, one letter a step.
    for (shown, letters) in [(&status, "▁▂▃▄▅▆▇█"), (&ascii, "_.-:=+*#")] {
        let curve = |line: &str| {
            let last = line.split_whitespace().next_back().unwrap_or_default();
            let is_curve = last.chars().count() == 6 && last.chars().all(|l| letters.contains(l));
            line.contains(" training ") && is_curve
        };
        assert_eq!(shown.lines().filter(|line| curve(line)).count(), 2, "{shown}");
        assert_eq!(shown.lines().filter(|line| line.contains(" held-out  ")).count(), 2, "{shown}");
    }
    assert!(ascii.is_ascii(), "{ascii}");
    let list = workspace.babyllama("list runs").done().stdout;
    assert!(list.contains("runs/small") && list.contains("2 of 2"), "{list}");
    assert!(list.contains("  finished  "), "{list}");
    let compare = workspace.babyllama("compare runs/small runs/trial").done().stdout;
    for part in ["held-out loss", "difference", "student", "trial"] {
        assert!(compare.contains(part), "{part}: {compare}");
    }
    // Scores of earlier versions have another key.
    let place = "runs/trial/evaluation/student.json";
    let earlier = workspace.text(place).replacen("\"pairs\": {", "\"blimp\": {", 1);
    assert!(earlier.contains("\"blimp\": {"), "{earlier}");
    workspace.write(place, earlier);
    assert_eq!(workspace.babyllama("compare runs/small runs/trial").done().stdout, compare);
    let twice = workspace.babyllama("compare runs/small runs/../runs/small").refused(2);
    twice.names(&["is named twice"]).advises("each run once");
    for command in ["status text", "clean text", "compare text runs/small"] {
        workspace.babyllama(command).refused(1).names(&["text is no run's folder"]);
    }
}

#[test]
fn cleaning_removes_what_results_do_not_need() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 6"));
    let line = "run small.toml --set student.distill.signal=hidden";
    workspace.babyllama(line).done();
    for model in [TEACHER, STUDENT] {
        let folder = model.replace("/final", "");
        let kept =
            ["best", "best.json", "final", "finished.json", "follows_from.json", "metrics.jsonl"];
        let kept = [&kept[..], &["summary.json"]].concat();
        let names = workspace.names(&folder);
        let (events, names): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| name.starts_with(report::tensorboard::PREFIX));
        assert_eq!(names, kept, "a finished model keeps no checkpoints");
        assert_eq!(events.len(), 1, "{events:?}");
    }
    workspace.babyllama(&format!("{line} {OTHER}")).done();
    let shown = workspace.babyllama("clean runs/small").done().stdout;
    for part in ["teacher cache", "trained with other settings", "student.old-", "--yes removes"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(workspace.names("runs/small/teachers").len(), 1);
    workspace.babyllama("clean runs/small --yes").done();
    assert_eq!(workspace.names("runs/small/teachers"), [""; 0]);
    assert_eq!(workspace.names("runs/small/models"), ["student", "teacher"]);
    let again = workspace.babyllama(&format!("{line} {OTHER}")).done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stderr);
    assert!(workspace.babyllama("clean runs/small").done().stdout.contains("nothing to remove"));
}

/// The pairs of the built-in grammar are made in the run; a kill may leave an empty folder.
#[test]
fn pairs_that_were_begun_are_made() {
    let workspace = Workspace::new();
    let recipe = RECIPE.replace("epochs = 2", "max_steps = 6");
    workspace.write("small.toml", recipe.replace("\"pairs\"", "\"builtin\""));
    workspace.babyllama("run small.toml --only teacher").done();
    let pairs = workspace.path("runs/small/corpus/pairs");
    std::fs::remove_dir_all(&pairs).unwrap();
    std::fs::create_dir(&pairs).unwrap();
    std::fs::remove_file(workspace.path("runs/small/stages/pairs.json")).unwrap();
    workspace.babyllama("run small.toml").done();
}
