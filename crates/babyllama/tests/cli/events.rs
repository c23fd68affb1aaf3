//! The events of evaluations as lines of JSON.

use serde_json::Value;

use super::common::{STUDENT, Workspace};

/// The events of a command, which prints nothing else on standard output.
fn events(workspace: &Workspace, words: &[&str]) -> Vec<Value> {
    let finished = workspace.finish(workspace.command(words)).done();
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    finished.stdout.lines().map(parse).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn evaluations_print_their_events_as_json() {
    let workspace = Workspace::trained();
    let pairs = ["evaluate", "blimp", STUDENT, "--data", "pairs", "--events"];
    let found = events(&workspace, &pairs);
    assert_eq!(kinds(&found), ["begin", "end", "done"]);
    assert_eq!((&found[0]["unit"], &found[0]["total"]), (&"sentences".into(), &64.into()));
    assert!(found[2]["scores"][0]["blimp"]["score"].as_f64().unwrap() > 0.0, "{}", found[2]);
    let loss = ["evaluate", "loss", STUDENT, "--data", "text", "--sequence-length", "16"];
    let found = events(&workspace, &[&loss[..], &["--events", "--json", "loss.json"]].concat());
    assert_eq!(kinds(&found), ["begin", "end", "done"]);
    assert_eq!(found[2]["scores"], workspace.json("loss.json"));
    std::fs::create_dir(workspace.path("data")).unwrap();
    std::fs::rename(workspace.path("pairs"), workspace.path("data/blimp_filtered")).unwrap();
    let all = ["evaluate", "all", STUDENT, "--data", "data", "--output", "scores", "--events"];
    let found = events(&workspace, &all);
    let last = found.last().unwrap();
    assert!(kinds(&found).contains(&"begin") && last["event"] == "done", "{last}");
    workspace.finish(workspace.command(&[&pairs[..], &["--quiet"]].concat())).refused(2);
}

#[test]
fn names_that_turn_text_are_escaped_in_events_and_stay_the_same_value() {
    let workspace = Workspace::trained();
    let name = "models/a\u{202e}b";
    workspace.copy(STUDENT, name);
    let words = ["evaluate", "loss", name, "--data", "text", "--sequence-length", "16", "--events"];
    let finished = workspace.finish(workspace.command(&words)).done();
    assert!(!finished.stdout.contains('\u{202e}'), "{}", finished.stdout);
    let found = events(&workspace, &words);
    assert!(found[0]["work"].as_str().unwrap().contains("models/a"), "{}", found[0]);
}

#[test]
fn names_that_turn_text_are_escaped_in_csv() {
    let workspace = Workspace::new();
    let step = "{\"event\":\"step\",\"step\":1,\"loss\":1.5,\"phase\":\"a\u{202e}\\u0000b\"}\n";
    workspace.write("runs/x/models/m\u{2066}n/metrics.jsonl", step);
    workspace.babyllama("report runs/x --csv metrics.csv").done();
    let expected = "run,model,event,step,loss,phase\nx,m\\u{2066}n,step,1,1.5,a\\u{202e}\\u{0}b\n";
    assert_eq!(workspace.text("metrics.csv"), expected);
}
