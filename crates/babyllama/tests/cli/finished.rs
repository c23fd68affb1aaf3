//! Files of finished work that were damaged or lost: the work is done again, or refused with the
//! file to delete. Other numbers are never left.

use std::fs;
use std::path::{Path, PathBuf};

use super::common::{RECIPE, STUDENT, TEACHER, Workspace};

const RUN: &str = "run small.toml --set student.distill.signal=hidden";

/// A finished run of a teacher and a student of a few steps each, built-in pairs and an ensemble.
fn small() -> Workspace {
    let workspace = Workspace::new();
    let recipe = RECIPE.replace("epochs = 2", "max_steps = 6");
    workspace.write("small.toml", recipe + "ensembles = [[\"teacher\", \"student\"]]\n");
    workspace.babyllama(RUN).done();
    workspace
}

/// All files below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// What a run is for: weights, tokenizer and scores.
fn results(workspace: &Workspace) -> Vec<Vec<u8>> {
    let mut results = vec![workspace.weights(TEACHER), workspace.weights(STUDENT)];
    for file in ["tokenizer/tokenizer.json", "tokens/train.bin", "tokens/validation.bin"] {
        results.push(workspace.bytes(&format!("runs/small/{file}")));
    }
    for name in ["teacher", "student", "teacher+student"] {
        results.push(workspace.bytes(&format!("runs/small/evaluation/{name}.json")));
    }
    results
}

/// The kinds of damage, each as what becomes of a file's bytes; `None` removes the file.
fn damages(bytes: &[u8]) -> [Option<Vec<u8>>; 4] {
    let mut flipped = bytes.to_vec();
    if let Some(byte) = flipped.get_mut(bytes.len() / 2) {
        *byte ^= 1;
    }
    [Some(flipped), Some(bytes[..bytes.len() / 2].to_vec()), Some(Vec::new()), None]
}

/// Every file, and of the kinds of damage one at a time.
#[test]
fn damage_to_one_file_gives_the_same_results_or_a_refusal_that_helps() {
    damage_files(|index, kind| kind == index % 4);
}

#[test]
#[ignore = "takes a minute or two"]
fn any_damage_to_one_file_gives_the_same_results_or_a_refusal_that_helps() {
    damage_files(|_, _| true);
}

/// Damages the files of a run, one at a time, in the ways that are chosen by the numbers of file
/// and kind.
fn damage_files(is_chosen: impl Fn(usize, usize) -> bool) {
    let workspace = small();
    let whole = results(&workspace);
    let run = workspace.path("runs/small");
    let all = files(&run);
    assert!(all.len() > 30, "{all:?}");
    for (index, path) in all.into_iter().enumerate() {
        let Ok(bytes) = fs::read(&path) else { continue };
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        for (kind, damage) in damages(&bytes).into_iter().enumerate() {
            if !is_chosen(index, kind) {
                continue;
            }
            match &damage {
                Some(damage) if *damage == bytes => continue,
                // Decay of a disk changes no time.
                Some(damage) => {
                    fs::write(&path, damage).unwrap();
                    let file = fs::File::options().append(true).open(&path).unwrap();
                    file.set_modified(modified).unwrap();
                }
                None => fs::remove_file(&path).unwrap(),
            }
            let finished = workspace.babyllama(RUN);
            let place = format!("{} ({kind}): {}", path.display(), finished.stderr);
            if finished.code != Some(0) {
                let refusal = finished.refused(1).advise_deletion();
                let _ = fs::remove_file(&path);
                assert!(refusal, "{place}");
                workspace.babyllama(RUN).done();
            }
            assert!(results(&workspace) == whole, "{place}");
            // One file at a time: what the run does not need to make again comes back here.
            path.parent().map(fs::create_dir_all);
            fs::write(&path, &bytes).unwrap();
        }
    }
}

#[test]
fn a_finished_model_comes_back_from_its_best_weights() {
    let workspace = small();
    let weights = workspace.weights(TEACHER);
    let mut flipped = weights.clone();
    flipped[weights.len() / 2] ^= 1;
    workspace.write(&format!("{TEACHER}/model.safetensors"), flipped);
    let finished = workspace.babyllama(RUN).done();
    let word = "models/teacher/final/model.safetensors was damaged or lost and is whole again";
    assert!(finished.stderr.contains(word), "{}", finished.stderr);
    assert!(finished.stdout.contains("Nothing to do"), "{}", finished.stdout);
    assert!(workspace.weights(TEACHER) == weights);
}

#[test]
fn every_command_that_uses_a_damaged_model_refuses_it() {
    let workspace = small();
    workspace.copy(TEACHER, "elsewhere");
    let flip = |file: &str| {
        let mut bytes = workspace.bytes(file);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        workspace.write(file, bytes);
    };
    flip(&format!("{TEACHER}/model.safetensors"));
    let generate = format!("generate {TEACHER} --prompt The --max-tokens 2");
    let distill = format!(
        "distill --config small.toml --model student --teacher {TEACHER} --tokens \
         runs/small/tokens/train.bin --output runs/alone"
    );
    for line in [
        "export runs/small --model teacher --output exported",
        &generate,
        &distill,
        &format!("evaluate blimp {TEACHER} --data pairs"),
        &format!("evaluate loss {TEACHER} --data text --sequence-length 16"),
    ] {
        let refusal = workspace.babyllama(line).refused(1);
        refusal
            .names(&["teacher/final/model.safetensors is not as stage model-teacher left it"])
            .advises("delete that file");
    }
    assert!(!workspace.path("exported").exists());
    // Of a copy nothing is known.
    flip("elsewhere/model.safetensors");
    workspace.babyllama("generate elsewhere --prompt The --max-tokens 2").done();
    // Without the final weights the best ones would be taken.
    fs::remove_dir_all(workspace.path(TEACHER)).unwrap();
    flip("runs/small/models/teacher/best/model.safetensors");
    workspace
        .babyllama("export runs/small --model teacher --output exported")
        .refused(1)
        .names(&["teacher/best/model.safetensors is not as it was written"]);
}

#[test]
fn a_model_trained_alone_is_checked_too() {
    let workspace = small();
    let tokens =
        "--tokens runs/small/tokens/train.bin --validation runs/small/tokens/validation.bin";
    let line = format!("pretrain --config small.toml --model teacher {tokens} --output alone");
    workspace.babyllama(&line).done();
    let file = "alone/final/model.safetensors";
    let weights = workspace.bytes(file);
    let mut flipped = weights.clone();
    flipped[weights.len() / 2] ^= 1;
    workspace.write(file, &flipped);
    let generate = "evaluate loss alone/final --data runs/small/tokens/validation.bin --raw-tokens";
    workspace.babyllama(generate).refused(1).names(&["alone/final/model.safetensors is not as"]);
    workspace.babyllama(&line).done();
    assert!(workspace.bytes(file) == weights, "the same command makes it again");
    flipped.truncate(weights.len());
    workspace.write("alone/best/model.safetensors", flipped);
    workspace
        .babyllama(&line)
        .refused(1)
        .names(&["alone/best/model.safetensors is not as it was written"])
        .advises("the folders best and checkpoints there");
}

#[test]
fn scores_that_were_changed_are_found_again() {
    let workspace = small();
    workspace.copy("pairs", "data/blimp_filtered");
    let item = |index: usize| format!("{{\"sentence\": \"a b\", \"label\": {}}}\n", index % 2);
    let items: String = (0..8).map(item).collect();
    for name in ["train", "valid"] {
        workspace.write(&format!("data/glue_filtered/cola.{name}.jsonl"), &items);
    }
    let line = format!("evaluate all {STUDENT} --data data --output results --max-steps 2");
    let score = || workspace.babyllama(&line).done();
    score();
    let all = files(&workspace.path("results/student"));
    let of_scores = |path: &&PathBuf| {
        ["blimp_filtered", "cola"]
            .iter()
            .any(|name| path.to_string_lossy().contains(&format!("/{name}/")))
    };
    for path in all.iter().filter(of_scores) {
        let bytes = fs::read(path).unwrap();
        for damage in damages(&bytes).into_iter().flatten() {
            fs::write(path, damage).unwrap();
            score();
            let text = |bytes: &[u8]| without_times(&String::from_utf8_lossy(bytes));
            assert_eq!(text(&fs::read(path).unwrap()), text(&bytes), "{}", path.display());
        }
    }
}

/// A result's lines without those that the clock decides.
fn without_times(text: &str) -> String {
    let timed = ["\"seconds\"", "\"tokens_per_second\"", "\"checksum\""];
    let lines = text.lines().filter(|line| !timed.iter().any(|key| line.contains(key)));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn complete_prepared_data_is_used_where_nothing_can_be_written() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 2"));
    workspace.babyllama("run small.toml --prepared shared --output first").done();
    let folder = format!("shared/{}", workspace.names("shared")[0]);
    let lock = workspace.path(&format!("{folder}/lock"));
    let _ = fs::remove_file(&lock);
    let allow = |mode: &str| {
        let place = workspace.path(&folder);
        let done = std::process::Command::new("chmod").args(["-R", mode]).arg(place).status();
        assert!(done.unwrap().success());
    };
    allow("a-w");
    if fs::write(&lock, "").is_ok() {
        // Root may write anywhere.
        allow("u+w");
        return;
    }
    let finished = workspace.babyllama("run small.toml --prepared shared --output second");
    allow("u+w");
    finished.done();
    assert!(
        workspace.weights("first/models/student/final")
            == workspace.weights("second/models/student/final")
    );
}

#[test]
fn prepared_data_that_is_shared_needs_none_of_the_runs_own() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 2"));
    workspace.babyllama("run small.toml --only teacher").done();
    fs::remove_dir_all(workspace.path("runs/small/tokens")).unwrap();
    workspace.babyllama("run small.toml --prepared shared").done();
    workspace.babyllama("run small.toml --output runs/whole").done();
    workspace.assert_same_models("runs/whole", "runs/small");
}

#[test]
fn files_among_those_of_a_stage_are_not_read() {
    let workspace = small();
    let run = format!("{RUN} --set evaluate.blimp=[\"builtin\"]");
    workspace.babyllama(&run).done();
    let before = results(&workspace);
    let pairs = workspace.bytes("runs/small/corpus/pairs/adjunct_island.jsonl");
    for (file, bytes) in [
        ("runs/small/corpus/pairs/mine.jsonl", pairs),
        ("runs/small/corpus/train/mine.train", b"Some more text.\n".to_vec()),
    ] {
        workspace.write(file, bytes);
        let refusal = workspace.babyllama(&run).refused(1);
        refusal.names(&[file, "none of the files that stage"]).advises("move it out");
        fs::remove_file(workspace.path(file)).unwrap();
    }
    // What is not read decides nothing.
    workspace.write("runs/small/corpus/train/README.md", "Mine.\n");
    workspace.babyllama(&run).done();
    assert!(results(&workspace) == before);
}
