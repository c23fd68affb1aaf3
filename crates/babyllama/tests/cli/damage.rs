//! What goes wrong in the middle: damaged checkpoints and a loss that is no number.

use super::common::{RECIPE, TEACHER, Workspace};

const CHECKPOINTS: &str = "runs/small/models/teacher/checkpoints";

/// Makes a finished run one whose teacher was cut after its last checkpoint, and returns the
/// weights it had.
pub fn cut_before_the_end(workspace: &Workspace) -> Vec<u8> {
    let weights = workspace.weights(TEACHER);
    std::fs::remove_dir_all(workspace.path(TEACHER)).unwrap();
    std::fs::remove_file(workspace.path("runs/small/stages/model-teacher.json")).unwrap();
    std::fs::remove_file(workspace.path("runs/small/models/teacher/finished.json")).unwrap();
    // A file in the folder's place ends the training when all but that is done.
    workspace.write(TEACHER, "");
    workspace.babyllama("run small.toml").refused(1).names(&["stage model-teacher"]);
    std::fs::remove_file(workspace.path(TEACHER)).unwrap();
    weights
}

/// The checkpoints, oldest first: after 70 steps and after all 72.
fn state(workspace: &Workspace, checkpoint: usize) -> String {
    let names = workspace.names(CHECKPOINTS);
    assert_eq!(names, ["step-00000070", "step-00000072"]);
    format!("{CHECKPOINTS}/{}/state.safetensors", names[checkpoint])
}

fn flip_a_byte(workspace: &Workspace, file: &str) {
    let mut bytes = workspace.bytes(file);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    workspace.write(file, bytes);
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let workspace = Workspace::trained();
    let (weights, metrics) =
        (cut_before_the_end(&workspace), workspace.metrics("runs/small/models/teacher"));
    let newest = state(&workspace, 1);
    flip_a_byte(&workspace, &newest);
    let finished = workspace.babyllama("run small.toml").done();
    let word = format!("teacher  passed over {newest}: its checksum does not match");
    assert!(finished.stderr.contains(&word), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("teacher  continues after step 70 of 72"),
        "{}",
        finished.stderr
    );
    assert_eq!(workspace.weights(TEACHER), weights);
    assert_eq!(workspace.metrics("runs/small/models/teacher"), metrics);
    assert_eq!(workspace.names(CHECKPOINTS), [""; 0], "a finished model needs none");
}

#[test]
fn a_cut_description_is_damage_too() {
    let workspace = Workspace::trained();
    let weights = cut_before_the_end(&workspace);
    workspace
        .write(&state(&workspace, 1).replace("state.safetensors", "state.json"), "{\"progress\":");
    let finished = workspace.babyllama("run small.toml").done();
    assert!(
        finished.stderr.contains("teacher  continues after step 70 of 72"),
        "{}",
        finished.stderr
    );
    assert_eq!(workspace.weights(TEACHER), weights);
}

#[test]
fn damage_to_every_checkpoint_stops_the_run() {
    let workspace = Workspace::trained();
    let weights = cut_before_the_end(&workspace);
    for checkpoint in [0, 1] {
        flip_a_byte(&workspace, &state(&workspace, checkpoint));
    }
    let newest = format!("{} is damaged: its checksum does not match", state(&workspace, 1));
    let refusal = workspace.babyllama("run small.toml").refused(1);
    refusal.names(&["stage model-teacher", &newest]).advises("remove the folder checkpoints");
    std::fs::remove_dir_all(workspace.path(CHECKPOINTS)).unwrap();
    workspace.babyllama("run small.toml").done();
    assert_eq!(workspace.weights(TEACHER), weights);
}

#[test]
fn a_loss_that_is_no_number_names_its_step() {
    let workspace = Workspace::new();
    let wild = RECIPE.replacen("3e-3", "1e30\nmax_grad_norm = 0", 1).replacen(
        "checkpoint_steps = 5",
        "checkpoint_steps = 1",
        1,
    );
    workspace.write("small.toml", wild);
    let refusal = workspace.babyllama("run small.toml").refused(1);
    refusal
        .names(&["stage model-teacher", "NaN", "at step 2", "the last checkpoint is kept"])
        .advises("learning_rate");
    assert_eq!(workspace.names(CHECKPOINTS), ["step-00000001"]);
    assert_eq!(workspace.names(TEACHER), [""; 0]);
    // The failed run has left its page.
    let page = workspace.text("runs/small/report.html");
    let lines = || page.lines().filter(|line| line.contains("class=\"missing\""));
    assert!(lines().any(|line| line.contains("the end of the run") && line.contains("NaN")));
    // A page that cannot be written hides no failure.
    workspace.write("runs/small/report.html", "mine");
    workspace.babyllama("run small.toml").refused(1).names(&["stage model-teacher", "NaN"]);
    assert_eq!(workspace.text("runs/small/report.html"), "mine");
    std::fs::remove_file(workspace.path("runs/small/report.html")).unwrap();
    workspace.babyllama("run small.toml --set teacher.train.learning_rate=1e-3").done();
}

#[test]
fn a_held_out_loss_that_is_no_number_stops_the_run() {
    let workspace = Workspace::new();
    workspace
        .write("small.toml", RECIPE.replacen("3e-3", "1e30\nmax_grad_norm = 0\nmax_steps = 1", 1));
    let refusal = workspace.babyllama("run small.toml").refused(1);
    refusal
        .names(&["stage model-teacher", "the held-out loss is NaN after step 1"])
        .advises("learning_rate");
    assert_eq!(workspace.names(TEACHER), [""; 0]);
}
