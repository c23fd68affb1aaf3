//! A trial that another worker goes on with. Where the first one stood still and lost it, the store
//! has refused its last reports, and the checkpoint is behind them.

use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use super::common::Workspace;
use super::interruption::last_step;
use super::sweep::{PLACE, SWEEP, workspace};

const TRAINING: &str = "runs/sweeps/small/trials/00000/models/student";

/// A sweep of one trial of so many epochs.
fn one_trial(epochs: u64) -> Workspace {
    let keys = "trials = 1\nstop = { rule = 'none' }";
    let sweep = SWEEP.replace("trials = 9", keys).replace("confirm = { top = 2, seeds = 2 }", "");
    let workspace = workspace(&sweep);
    let recipe = workspace.text("small.toml");
    workspace.write("small.toml", recipe.replace("epochs = 9", &format!("epochs = {epochs}")));
    workspace.babyllama("sweep create sweep.toml").done();
    workspace
}

fn store(workspace: &Workspace) -> Connection {
    Connection::open(workspace.path(&format!("{PLACE}/store.db"))).unwrap()
}

/// Removes the last report of the trial from the store.
fn lose_last_report(workspace: &Workspace) {
    let last = "SELECT max(step) FROM trial_intermediate_values";
    let remove = format!("DELETE FROM trial_intermediate_values WHERE step = ({last})");
    assert_eq!(store(workspace).execute(&remove, []).unwrap(), 1);
}

/// The reports in the store, in their order.
fn reports(workspace: &Workspace) -> Vec<f64> {
    let database = store(workspace);
    let all = "SELECT intermediate_value FROM trial_intermediate_values ORDER BY step";
    let mut all = database.prepare(all).unwrap();
    let rows = all.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The held-out losses in the trial's folder.
fn evaluations(workspace: &Workspace) -> Vec<f64> {
    let records = workspace.metrics(TRAINING);
    let all = records.iter().filter(|record| record["event"] == "evaluation");
    all.map(|record| record["cross_entropy"].as_f64().unwrap()).collect()
}

/// Works on the sweep until the trial has done so many steps.
fn work_to(workspace: &Workspace, step: u64) {
    let mut command = workspace.command(&["sweep", "work", PLACE]);
    let mut worker = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while last_step(workspace, TRAINING) < step {
        assert!(worker.try_wait().unwrap().is_none(), "the training ended before step {step}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupt = format!("kill -INT {}", worker.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert!(worker.wait().unwrap().success());
}

fn trial(workspace: &Workspace) -> Value {
    let lines = workspace.babyllama(&format!("sweep export {PLACE} jsonl")).done().stdout;
    serde_json::from_str(&lines).unwrap()
}

#[test]
fn a_trial_that_is_trained_has_the_value_of_its_last_evaluation() {
    let workspace = one_trial(3);
    workspace.babyllama(&format!("sweep work {PLACE}")).done();
    let whole = trial(&workspace);
    assert_eq!((reports(&workspace), reports(&workspace).len()), (evaluations(&workspace), 3));
    for lost in [1, 3] {
        (0..lost).for_each(|_| lose_last_report(&workspace));
        store(&workspace)
            .execute_batch(
                "DELETE FROM trial_values;
                 UPDATE trials SET state = 'RUNNING', datetime_complete = NULL;
                 INSERT INTO babyllama_leases VALUES (1, 1, 0, 'gone', 'gone', 0.0);",
            )
            .unwrap();
        let again = workspace.babyllama(&format!("sweep work {PLACE}")).done();
        assert!(again.stderr.contains("trial 0 is done"), "{}", again.stderr);
        assert_eq!(reports(&workspace), evaluations(&workspace));
        let found = trial(&workspace);
        assert_eq!((&found["state"], &found["value"]), (&whole["state"], &whole["value"]));
    }
}

#[test]
fn a_trial_that_goes_on_reports_what_the_store_had_refused() {
    let workspace = one_trial(2000);
    work_to(&workspace, 60);
    lose_last_report(&workspace);
    let before = evaluations(&workspace);
    assert_eq!(reports(&workspace), before[..before.len() - 1]);
    work_to(&workspace, last_step(&workspace, TRAINING) + 40);
    let all = evaluations(&workspace);
    assert!(all.len() > before.len() && all.starts_with(&before));
    assert_eq!(reports(&workspace), all);
}
