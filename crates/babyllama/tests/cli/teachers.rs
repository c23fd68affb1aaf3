//! Teacher caches: written by `run`, `distill` and `cache-teachers`, through kills and damage.

use std::fs;

use super::common::{Finished, RECIPE, STUDENT, TEACHER, Workspace};

const KEPT: &str = "--set student.distill.signal=hidden --set student.distill.cache=kept";

/// The last part of the line that reports how much of a student's cache is there.
fn there(finished: &Finished) -> &str {
    let line = finished.stderr.lines().find(|line| line.contains("teacher outputs are stored in"));
    line.unwrap_or_else(|| panic!("{}", finished.stderr)).rsplit_once(", ").unwrap().1
}

/// The sequences of the training text.
fn sequences(workspace: &Workspace) -> usize {
    workspace.json("kept/manifest.json")["blocks"].as_u64().unwrap() as usize
}

/// Changes a byte of the second block.
fn flip_a_byte(workspace: &Workspace) {
    let mut bytes = workspace.bytes("kept/blocks.bin");
    bytes[16 * 16 * 4 + 7] ^= 1;
    workspace.write("kept/blocks.bin", bytes);
}

#[test]
fn kept_states_train_the_same_student() {
    let workspace = Workspace::trained();
    let hidden = workspace
        .babyllama("run small.toml --set student.distill.signal=hidden --output runs/hidden")
        .done();
    assert!(there(&hidden).starts_with("0 of "), "{}", hidden.stderr);
    assert!(workspace.weights("runs/hidden/models/student/final") == workspace.weights(STUDENT));
    assert_eq!(
        workspace.metrics("runs/hidden/models/student"),
        workspace.metrics("runs/small/models/student")
    );
    // Where exact states come from decides nothing: the run that is done stays done.
    let again = workspace.babyllama("run small.toml --set student.distill.signal=hidden").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stderr);
    let rounded = workspace.babyllama(
        "run small.toml --set student.distill.signal=hidden --set student.distill.codec=bf16 \
         --output runs/hidden",
    );
    let rounded = rounded.done();
    let reason = "stage model-student: settings changed: distill.";
    assert!(rounded.stderr.contains(reason), "{}", rounded.stderr);
    assert_eq!(workspace.names("runs/hidden/teachers").len(), 2);
}

#[test]
fn caching_trains_the_teachers_and_fills_the_cache_once() {
    let workspace = Workspace::new();
    let teach = workspace.babyllama(&format!("cache-teachers small.toml {KEPT}")).done();
    assert!(
        teach.stderr.contains("stage model-teacher") && !teach.stderr.contains("model-student"),
        "{}",
        teach.stderr
    );
    let count = sequences(&workspace);
    assert!(
        teach.stderr.contains(&format!("{count} of {count} sequences were read")),
        "{}",
        teach.stderr
    );
    assert!(workspace.path("kept/complete").exists());
    // The name that the command had first.
    let again = workspace.babyllama(&format!("teach small.toml --model student {KEPT}")).done();
    assert!(
        again.stderr.contains(&format!("0 of {count} sequences were read")),
        "{}",
        again.stderr
    );
    let run = workspace.babyllama(&format!("run small.toml {KEPT}")).done();
    assert_eq!(there(&run), "complete)");
    workspace.babyllama("run small.toml --output runs/online").done();
    assert!(workspace.weights(STUDENT) == workspace.weights("runs/online/models/student/final"));

    let resolved = workspace.bytes("runs/small/recipe.toml");
    workspace
        .babyllama("cache-teachers small.toml")
        .refused(2)
        .names(&["no model of the recipe keeps"])
        .advises("signal");
    assert!(
        workspace.bytes("runs/small/recipe.toml") == resolved,
        "a refused request replaced the recipe"
    );
    workspace.babyllama("cache-teachers small.toml --output runs/new").refused(2);
    assert!(!workspace.path("runs/new").exists());
    let wrong =
        workspace.babyllama(&format!("cache-teachers small.toml --model pupil {KEPT}")).refused(2);
    wrong.names(&["--model pupil is none", "teacher, student"]);
    let wrong = workspace
        .babyllama(&format!("cache-teachers small.toml --model teacher {KEPT}"))
        .refused(2);
    wrong.names(&["no teacher outputs are kept for teacher"]);
}

#[test]
fn the_objective_on_held_out_text_is_kept_too() {
    let workspace = Workspace::new();
    let select =
        "--set student.train.select_by=objective --set student.train.evaluation_sequences=9";
    workspace.babyllama(&format!("run small.toml {select} --output runs/online")).done();
    workspace.babyllama(&format!("cache-teachers small.toml {select} {KEPT}")).done();
    let heldout =
        workspace.names("kept").into_iter().find(|name| name.starts_with("heldout-")).unwrap();
    assert_eq!(workspace.json(&format!("kept/{heldout}/manifest.json"))["blocks"], 9);
    workspace.babyllama(&format!("run small.toml {select} {KEPT}")).done();
    assert_eq!(
        workspace.metrics("runs/small/models/student"),
        workspace.metrics("runs/online/models/student")
    );
    assert!(workspace.weights(STUDENT) == workspace.weights("runs/online/models/student/final"));
}

#[test]
fn another_teachers_cache_is_refused() {
    let workspace = Workspace::new();
    workspace.babyllama(&format!("run small.toml {KEPT}")).done();
    let refusal = workspace
        .babyllama(&format!("run small.toml {KEPT} --set teacher.train.seed=5"))
        .refused(1);
    let parts = [
        "stage model-student",
        "teacher cache kept has other contents",
        "`teachers[0].weights` is \"",
    ];
    refusal.names(&parts).advises("name another folder with `cache`");
    let refusal = workspace.babyllama(&format!(
        "cache-teachers small.toml {KEPT} --set student.train.sequence_length=8"
    ));
    let cause = "was filled with sequence_length = 16, and this is sequence_length = 8";
    refusal.refused(2).names(&["model student", cause]);
    fs::remove_dir_all(workspace.path("kept")).unwrap();
    workspace.babyllama(&format!("run small.toml {KEPT} --set teacher.train.seed=5")).done();
}

#[test]
fn damage_is_named_and_repaired_by_runs_and_by_caching() {
    let workspace = Workspace::trained();
    let run = format!("run small.toml {KEPT} --output runs/kept");
    workspace.babyllama(&format!("cache-teachers small.toml {KEPT} --output runs/kept")).done();
    let whole = workspace.bytes("kept/blocks.bin");
    let repaired = |damage: &str| {
        let line = format!("{run} --set student.train.seed={}", damage.len());
        let stderr = workspace.babyllama(&line).done().stderr;
        assert!(
            stderr.contains(damage) && stderr.contains("the teachers read it again"),
            "{stderr}"
        );
        assert!(workspace.bytes("kept/blocks.bin") == whole);
    };
    flip_a_byte(&workspace);
    repaired("block 1 of kept/blocks.bin is damaged");
    flip_a_byte(&workspace);
    let mended =
        workspace.babyllama(&format!("cache-teachers small.toml {KEPT} --output runs/kept")).done();
    assert!(
        mended.stderr.contains(&format!("1 of {} sequences were read", sequences(&workspace))),
        "{}",
        mended.stderr
    );
    assert!(workspace.bytes("kept/blocks.bin") == whole);

    workspace.write("kept/blocks.bin", &whole[..whole.len() - 100]);
    let cut = format!("kept/blocks.bin has {} bytes instead of {}", whole.len() - 100, whole.len());
    repaired(&cut);
    workspace.write("kept/manifest.json", "{\"format\": 9}");
    workspace
        .babyllama(&run)
        .refused(1)
        .names(&["kept/manifest.json", "format 9"])
        .advises("delete");
    fs::remove_dir_all(workspace.path("kept")).unwrap();
    workspace.babyllama(&run).done();
    assert!(workspace.weights("runs/kept/models/student/final") == workspace.weights(STUDENT));
}

#[test]
fn a_place_that_is_no_folder_is_refused_before_the_first_step() {
    let workspace = Workspace::new();
    let flags = "--set student.distill.signal=sampled --set student.distill.cache=small.toml";
    workspace
        .babyllama(&format!("run small.toml {flags}"))
        .refused(1)
        .names(&["stage model-student", "small.toml"]);
    assert!(!workspace.path("runs/small/models/student/metrics.jsonl").exists());
}

#[test]
fn settings_that_do_not_go_together_are_wrong_usage() {
    let workspace = Workspace::new();
    let refused = |flags: &str| workspace.babyllama(&format!("run small.toml {flags}")).refused(2);
    refused("--set student.distill.signal=hidden --set student.train.random_offset=true").names(&[
        "`models.student.distill.signal` is \"hidden\"; random_offset = true",
        "chunk_offsets",
    ]);
    refused("--set student.distill.signal=sampled --set student.distill.divergence=reverse_kl")
        .names(&["`models.student.distill.signal` is \"sampled\"", "forward_kl"]);
    refused("--set student.distill.weights=[1,2]")
        .names(&["`models.student.distill.weights`", "one for each teacher"]);
    refused("--set student.train.chunk_offsets=[0,16]")
        .names(&["`models.student.train.chunk_offsets` is [0, 16]"]);
    refused("--set student.distill.signal=hiden")
        .names(&["`models.student.distill.signal` cannot be \"hiden\""]);
}

#[test]
fn students_outside_a_run_share_a_cache() {
    let workspace = Workspace::trained();
    let tokens =
        "--tokens runs/small/tokens/train.bin --validation runs/small/tokens/validation.bin";
    let student =
        format!("distill --config small.toml --model student --teacher {TEACHER} {tokens}");
    let distill = |more: &str, output: &str| {
        workspace.babyllama(&format!("{student} {more} --output {output}")).done()
    };
    let first = distill("--signal sampled --samples 8 --cache kept", "first");
    assert!(there(&first).starts_with("0 of "), "{}", first.stderr);
    let second = distill("--signal sampled --samples 8 --cache kept --alpha 0.2", "second");
    assert_eq!(there(&second), "complete)");
    let third = distill("--signal sampled --samples 8 --cache kept", "third");
    assert_eq!(there(&third), "complete)");
    assert!(workspace.weights("first/final") == workspace.weights("third/final"));
    assert!(workspace.weights("first/final") != workspace.weights("second/final"));
    // Neither the student's seed nor its name decides what is drawn; nor does a run of the recipe
    // draw anything else.
    let seeded = distill(
        "--signal sampled --samples 8 --cache kept --set seed=3 --set max_steps=2",
        "seeded",
    );
    assert_eq!(there(&seeded), "complete)");
    let pupil = format!(
        "distill --config small.toml --model teacher --teacher {TEACHER} {tokens} --set max_steps=2"
    );
    let pupil = workspace
        .babyllama(&format!("{pupil} --signal sampled --samples 8 --cache kept --output pupil"));
    assert_eq!(there(&pupil.done()), "complete)");
    let set = ["signal=sampled", "samples=8", "cache=kept"]
        .map(|set| format!("--set student.distill.{set}"))
        .join(" ");
    assert_eq!(
        there(&workspace.babyllama(&format!("run small.toml {set} --output runs/drawn")).done()),
        "complete)"
    );
    // Without a recipe one seed serves all.
    let start = format!(
        "distill --model {TEACHER} --teacher {TEACHER} {tokens} --signal sampled --cache plain-kept"
    );
    let start = format!("{start} --set sequence_length=16 --set max_steps=2");
    for seed in [1, 2] {
        workspace.babyllama(&format!("{start} --set seed={seed} --output start-{seed}")).done();
    }
    let other = workspace
        .babyllama(&format!("{student} --signal sampled --samples 9 --cache kept --output fourth"));
    other.refused(2).names(&["was filled with samples = 8, and this is samples = 9"]);

    // A weight for the only teacher changes nothing; another divergence does.
    let plain = distill("", "plain");
    assert!(!plain.stderr.contains("keeps what"), "{}", plain.stderr);
    distill(
        "--weight 3 --ensemble mean_logits --divergence forward_kl --signal hidden --codec f32",
        "spelled",
    );
    assert!(workspace.weights("plain/final") == workspace.weights("spelled/final"));
    assert_eq!(workspace.names("spelled/teachers").len(), 1);
    distill("--divergence jensen_shannon", "middle");
    assert!(workspace.weights("plain/final") != workspace.weights("middle/final"));
}

#[test]
fn a_cache_has_a_folder_of_its_own() {
    let workspace = Workspace::trained();
    let tokens = "--tokens runs/small/tokens/train.bin";
    let distill = format!(
        "distill --config small.toml --model student --teacher {TEACHER} {tokens} --signal hidden"
    );
    let refused = |line: String, problem: &str| {
        workspace
            .babyllama(&line)
            .refused(2)
            .names(&["teacher cache", problem])
            .advises("a folder of its own");
    };
    let in_a_model = format!("is in the model folder {TEACHER}");
    refused(format!("{distill} --cache {TEACHER}/kept --output out"), &in_a_model);
    refused(format!("{distill} --cache out --output out"), "is the output folder");
    let start = format!(
        "distill --model {STUDENT} --teacher {TEACHER} {tokens} --signal sampled --output out"
    );
    refused(format!("{start} --cache {STUDENT}"), &format!("is in the model folder {STUDENT}"));
    assert!(!workspace.path("out").exists());

    let own = "--set student.distill.signal=hidden --set student.distill.cache";
    refused(format!("run small.toml {own}=runs/small"), "is the output folder");
    refused(
        format!("cache-teachers small.toml {own}=runs/small/models/teacher/final/kept"),
        "is in the model folder runs/small",
    );
    let outside = format!("--set student.distill.teachers=['{TEACHER}'] --output runs/other");
    refused(format!("run small.toml {outside} {own}={TEACHER}"), &in_a_model);
    assert!(!workspace.path("runs/other").exists());
    assert!(workspace.babyllama("run small.toml").done().stdout.contains("Nothing to do"));
    // Files of others that bear a cache's names are left alone.
    workspace.write("theirs/blocks.bin", "precious");
    let foreign = workspace.babyllama(&format!("{distill} --cache theirs --output out")).refused(1);
    foreign.names(&["theirs", "blocks.bin", "not a teacher cache"]).advises("name another folder");
    assert_eq!(workspace.text("theirs/blocks.bin"), "precious");
}

#[test]
fn a_plan_compares_the_kinds_of_teacher_outputs() {
    let workspace = Workspace::new();
    let plan =
        workspace.babyllama("plan small.toml --set student.distill.samples=32").done().stdout;
    for part in ["online *", "hidden, f32", "hidden, bf16", "sampled, 32", "kept on disk"] {
        assert!(plan.contains(part), "no {part:?} in {plan}");
    }
    let plan =
        workspace.babyllama("plan small.toml --set student.train.random_offset=true").done().stdout;
    assert_eq!(plan.matches("not possible").count(), 3, "{plan}");
}

#[cfg(unix)]
mod unix {
    use super::super::interruption::signalled_when;
    use super::super::limits::shell;
    use super::*;

    /// Whether a checksum is written and not all are.
    fn is_half_written(workspace: &Workspace) -> bool {
        let bytes = fs::read(workspace.path("kept/checksums.bin")).unwrap_or_default();
        let written = bytes.chunks(8).filter(|checksum| **checksum != [0; 8]).count();
        written > 0 && written * 8 < bytes.len()
    }

    /// Writes a text and a recipe of enough steps for a kill to hit the middle of the first epoch.
    fn larger(workspace: &Workspace) {
        workspace.write("text/a.train", super::super::common::sentences(4_000, 1));
        workspace.write("small.toml", RECIPE.replace("epochs = 2", "epochs = 1"));
    }

    #[test]
    fn a_kill_during_the_first_epoch_changes_nothing() {
        let workspace = Workspace::new();
        larger(&workspace);
        workspace.babyllama("run small.toml --output runs/online").done();
        let line = format!("run small.toml {KEPT}");
        let words: Vec<&str> = line.split_whitespace().collect();
        for _ in 0..2 {
            let before = fs::read(workspace.path("kept/checksums.bin")).unwrap_or_default();
            let has_grown =
                || is_half_written(&workspace) && workspace.bytes("kept/checksums.bin") != before;
            assert_eq!(signalled_when(&workspace, &words, "KILL", has_grown).code, None);
            assert!(!workspace.path("kept/complete").exists());
        }
        let finished = workspace.babyllama(&line).done();
        assert!(
            there(&finished).contains(" of ") && !there(&finished).starts_with("0 of"),
            "{}",
            finished.stderr
        );
        assert!(
            workspace.weights(STUDENT) == workspace.weights("runs/online/models/student/final")
        );
        assert_eq!(
            workspace.metrics("runs/small/models/student"),
            workspace.metrics("runs/online/models/student")
        );
        let bytes = workspace.bytes("kept/blocks.bin");
        fs::remove_dir_all(workspace.path("kept")).unwrap();
        workspace.babyllama(&format!("cache-teachers small.toml {KEPT}")).done();
        assert!(workspace.bytes("kept/blocks.bin") == bytes);
    }

    #[test]
    fn caching_that_is_stopped_names_the_command_that_continues() {
        let workspace = Workspace::new();
        larger(&workspace);
        let line = format!("cache-teachers small.toml {KEPT} --model student");
        let words: Vec<&str> = line.split_whitespace().collect();
        let stopped =
            signalled_when(&workspace, &words, "INT", || is_half_written(&workspace)).refused(130);
        stopped
            .names(&["interrupted", "saved"])
            .advises("babyllama cache-teachers small.toml --set student.distill.signal=hidden");
        assert!(is_half_written(&workspace));
        let finished = workspace.babyllama(&line).done();
        let count = sequences(&workspace);
        assert!(
            !finished.stderr.contains(&format!("{count} of {count} sequences were read")),
            "{}",
            finished.stderr
        );
        assert!(workspace.path("kept/complete").exists());
    }

    /// A limit on the size of files stands for the full disk, as for checkpoints, which take less
    /// than this cache.
    #[test]
    fn a_disk_without_room_for_the_cache() {
        let workspace = Workspace::trained();
        let command = format!("babyllama run small.toml {KEPT} --output runs/kept");
        let limited =
            shell(&workspace, &format!("trap '' XFSZ; ulimit -f 250; exec {command}")).refused(1);
        limited
            .names(&["stage model-student", "kept/blocks.bin: File too large"])
            .advises("signal = \"sampled\"");
        assert!(!workspace.path("kept/blocks.bin").exists());
        let finished = shell(&workspace, &command).done();
        assert!(!finished.stderr.contains("stage model-teacher"), "{}", finished.stderr);
        assert!(workspace.weights("runs/kept/models/student/final") == workspace.weights(STUDENT));
    }

    /// A disk that is really full when the cache is written.
    #[test]
    #[ignore = "needs the right to mount a file system in memory"]
    fn a_full_disk_for_the_cache() {
        let workspace = Workspace::trained();
        fs::create_dir(workspace.path("disk")).unwrap();
        let command = "babyllama run small.toml --output runs/kept --set \
         student.distill.signal=hidden --set student.distill.cache=disk/kept";
        let full =
            shell(&workspace, &format!("mount -t tmpfs -o size=200k babyllama disk && {command}"));
        let more = shell(&workspace, &format!("mount -o remount,size=64m disk && {command}"));
        shell(&workspace, "umount disk").done();
        full.refused(1)
            .names(&["blocks.bin: No space left on device"])
            .advises("make room on the disk");
        more.done();
        assert!(workspace.weights("runs/kept/models/student/final") == workspace.weights(STUDENT));
    }
}
