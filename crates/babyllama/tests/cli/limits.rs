//! A disk without room, readers that go away, and a run that is in use.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::common::{Finished, STUDENT, TEACHER, Workspace, search_path};
use super::damage::cut_before_the_end;

/// The program, started by a shell that sets it up.
pub fn shell(workspace: &Workspace, script: &str) -> Finished {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("PATH", search_path());
    workspace.surround(&mut command);
    workspace.finish(command)
}

/// A limit on the size of files stands for the full disk, because it needs no privileges: a
/// checkpoint takes 96 kB, the rest less. Ignoring the signal turns the limit into a failed write.
#[test]
fn a_disk_without_room_for_a_checkpoint() {
    let workspace = Workspace::trained();
    let weights = cut_before_the_end(&workspace);
    let checkpoints = "runs/small/models/teacher/checkpoints";
    fs::remove_dir_all(workspace.path(checkpoints).join("step-00000072")).unwrap();
    let limited = "trap '' XFSZ; ulimit -f 96; exec babyllama run small.toml";
    let refusal = shell(&workspace, limited).refused(1);
    refusal
        .names(&["stage model-teacher", "step-00000072: File too large"])
        .advises("ulimit -f unlimited");
    assert_eq!(
        workspace.names(checkpoints),
        ["step-00000070"],
        "the one before stays, and no remains"
    );
    let finished = workspace.babyllama("run small.toml").done();
    assert!(
        finished.stderr.contains("teacher  continues after step 70 of 72"),
        "{}",
        finished.stderr
    );
    assert_eq!(workspace.weights(TEACHER), weights);
}

/// A disk that is really full: it has room for two checkpoints and not for the third beside them.
#[test]
#[ignore = "needs the right to mount a file system in memory"]
fn a_full_disk() {
    let workspace = Workspace::trained();
    fs::create_dir(workspace.path("disk")).unwrap();
    let mounted = |script: &str| {
        shell(&workspace, &format!("mount -t tmpfs -o size=400k babyllama disk && {script}"))
    };
    let command = "babyllama run small.toml --output disk/run";
    let first = mounted(command);
    let checkpoints = workspace.names("disk/run/models/teacher/checkpoints");
    let more = shell(&workspace, &format!("mount -o remount,size=64m disk && {command}"));
    let weights = fs::read(workspace.path("disk/run/models/teacher/final/model.safetensors"));
    shell(&workspace, "umount disk").done();
    first
        .refused(1)
        .names(&["stage model-teacher", "No space left on device"])
        .advises("make room on the disk");
    assert!(
        !checkpoints.is_empty() && checkpoints.iter().all(|name| name.starts_with("step-")),
        "{checkpoints:?}"
    );
    assert!(more.done().stderr.contains("teacher  continues after step "));
    assert_eq!(weights.unwrap(), workspace.weights(TEACHER));
}

#[test]
fn readers_that_have_seen_enough_are_no_failure() {
    let workspace = Workspace::trained();
    let loss = format!("babyllama evaluate loss {STUDENT} --data text --sequence-length 16");
    // A file keeps the exit code, which a pipe would lose.
    let deaf = |command: &str| {
        shell(&workspace, &format!("({command}; echo $? > code) 2>&1 | true; cat code"))
    };
    assert_eq!(deaf(&loss).done().stdout, "0\n");
    assert_eq!(deaf("babyllama run small.toml --output runs/deaf").done().stdout, "0\n");
    assert_eq!(workspace.weights("runs/deaf/models/student/final"), workspace.weights(STUDENT));
    if cfg!(target_os = "linux") {
        let full = shell(&workspace, &format!("{loss} > /dev/full")).refused(1);
        full.names(&["cannot write to standard output"]).advises("make room");
    }
}

#[test]
fn a_run_has_one_process_at_a_time() {
    let workspace = Workspace::trained();
    let endless = ["run", "small.toml", "--set", "teacher.train.epochs=100000"];
    let mut first = workspace.command(&endless).stderr(Stdio::null()).spawn().unwrap();
    let lock = workspace.path("runs/small/lock");
    let (holder, begun) = (format!("{}\n", first.id()), Instant::now());
    while fs::read_to_string(&lock).unwrap() != holder && begun.elapsed() < Duration::from_secs(20)
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let second = workspace.babyllama("run small.toml");
    let elsewhere = workspace.babyllama("run small.toml --output runs/other");
    first.kill().unwrap();
    first.wait().unwrap();
    let cause = format!("runs/small is in use by process {}", first.id());
    second.refused(1).names(&[&cause]).advises(&format!("kill {}", first.id()));
    elsewhere.done();
    // The lock ends with its holder, however that ended.
    workspace.babyllama("run small.toml").done();
}
