//! A workspace with a small corpus, and the program run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_babyllama");

/// A teacher and a student with dropout, 72 steps each, on the workspace's own text.
pub const RECIPE: &str = r#"
seed = 7

[corpus]
source = "text"
validation_fraction = 0.1

[tokenizer]
vocab_size = 300

[models.teacher]
architecture = "llama"
hidden_size = 16
intermediate_size = 24
num_layers = 2
num_heads = 4
num_kv_heads = 2

[models.teacher.train]
epochs = 2
batch_size = 8
sequence_length = 16
learning_rate = 3e-3
checkpoint_steps = 5

[models.student]
architecture = "gpt2"
hidden_size = 16
num_layers = 2
num_heads = 2

[models.student.train]
epochs = 2
batch_size = 8
sequence_length = 16
learning_rate = 3e-3
checkpoint_steps = 5

[models.student.distill]
teachers = ["teacher"]

[evaluate]
blimp = ["pairs"]
"#;

/// Where runs of `small.toml` put the trained models.
pub const TEACHER: &str = "runs/small/models/teacher/final";
pub const STUDENT: &str = "runs/small/models/student/final";

const NOUNS: [&str; 8] = ["dog", "cat", "bird", "child", "mother", "teacher", "farmer", "king"];

/// A temporary folder with `text/` (two files), `pairs/` (two tasks) and `small.toml` (the recipe).
pub struct Workspace {
    folder: TempDir,
}

impl Workspace {
    pub fn new() -> Self {
        let workspace = Self { folder: tempfile::tempdir().unwrap() };
        workspace.write("text/a.train", sentences(250, 1));
        workspace.write("text/b.train", sentences(250, 2));
        workspace.write("pairs/agreement.jsonl", pairs("The {} sees a {}.", "The {} see a {}."));
        workspace.write("pairs/order.jsonl", pairs("The {} has a {}.", "The has {} a {}."));
        workspace.write("small.toml", RECIPE);
        workspace
    }

    /// A workspace in which `small.toml` has been run.
    pub fn trained() -> Self {
        let workspace = Self::new();
        workspace.babyllama("run small.toml").done();
        workspace
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Writes a file, with the folders that it is in.
    pub fn write(&self, inside: &str, content: impl AsRef<[u8]>) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn bytes(&self, inside: &str) -> Vec<u8> {
        fs::read(self.path(inside)).unwrap_or_else(|cause| panic!("{inside}: {cause}"))
    }

    pub fn text(&self, inside: &str) -> String {
        String::from_utf8(self.bytes(inside)).unwrap()
    }

    pub fn json(&self, inside: &str) -> Value {
        serde_json::from_slice(&self.bytes(inside)).unwrap()
    }

    /// Replaces a part of a file that must be there.
    pub fn replace(&self, inside: &str, old: &str, new: &str) {
        let text = self.text(inside);
        assert!(text.contains(old), "{inside} has no {old:?}: {text}");
        self.write(inside, text.replace(old, new));
    }

    /// Copies the files of a folder.
    pub fn copy(&self, from: &str, to: &str) {
        for name in self.names(from) {
            self.write(&format!("{to}/{name}"), self.bytes(&format!("{from}/{name}")));
        }
    }

    /// The sorted names in a folder; none when there is no such folder.
    pub fn names(&self, inside: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(inside)).into_iter().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Trains the models of a recipe on one, two and three threads, in steps that are large enough
    /// to be shared, and insists on the same weights, metrics and scores.
    pub fn assert_threads_change_no_bit(&self, recipe: &str) {
        let wide = "--set defaults.hidden_size=64 --set defaults.train.batch_size=32 --set \
                    defaults.train.sequence_length=32 --set defaults.train.max_steps=8";
        for threads in 1..=3 {
            let line = format!("--threads {threads} run {recipe} --output runs/{threads} {wide}");
            self.babyllama(&line).done();
        }
        for other in ["runs/2", "runs/3"] {
            self.assert_same_models("runs/1", other);
        }
        for file in self.names("runs/1/evaluation") {
            let text = |run: &str| self.text(&format!("{run}/evaluation/{file}"));
            assert_eq!(text("runs/1"), text("runs/3"), "{file}");
        }
    }

    /// Trains the model `first` of a recipe with batches that are whole and split, and insists on
    /// the same losses but for rounding.
    pub fn assert_a_batch_may_be_split(&self, recipe: &str) {
        for size in [0, 1, 5] {
            let split = format!("--set defaults.train.micro_batch_size={size}");
            let line = format!("run {recipe} --only first --output runs/{size} {split}");
            self.babyllama(&line).done();
        }
        let losses = |size: usize| self.losses(&format!("runs/{size}/models/first"));
        for size in [1, 5] {
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-4 * a.abs();
            assert!(losses(0).iter().zip(&losses(size)).all(near), "{size}");
        }
    }

    /// Kills a run of a recipe at steps of its models, continues it, and insists on the bits of a
    /// run that was not killed.
    #[cfg(unix)]
    pub fn assert_a_kill_changes_no_bit(&self, recipe: &str, kills: &[(&str, u64)]) {
        self.replace(recipe, "epochs = 2", "epochs = 10");
        self.babyllama(&format!("run {recipe} --output runs/whole")).done();
        let words = ["run", recipe, "--output", "runs/killed"];
        for (model, step) in kills {
            let folder = format!("runs/killed/models/{model}");
            let finished = super::interruption::signalled(self, &words, &folder, *step, "KILL");
            assert_eq!(finished.code, None);
        }
        self.babyllama(&words.join(" ")).done();
        self.assert_same_models("runs/whole", "runs/killed");
    }

    /// Insists on the same weights and metrics of all models of two runs.
    pub fn assert_same_models(&self, first: &str, second: &str) {
        let names = self.names(&format!("{first}/models"));
        assert!(!names.is_empty() && names == self.names(&format!("{second}/models")));
        for model in names {
            let place = |run: &str| format!("{run}/models/{model}");
            let weights = |run: &str| self.weights(&format!("{}/final", place(run)));
            assert!(weights(first) == weights(second), "{model}");
            assert_eq!(self.metrics(&place(first)), self.metrics(&place(second)), "{model}");
        }
    }

    /// Trains and scores the model `first` of a recipe for a few steps on the CPU and on a GPU, and
    /// insists on the same losses but for rounding.
    pub fn assert_a_gpu_trains_as_the_cpu(&self, recipe: &str) {
        let losses = |output: &str, device: &str| -> Vec<f64> {
            let steps = "--only first --set defaults.train.max_steps=4 --precision f32";
            let line = format!("run {recipe} --output runs/{output} {steps} --device {device}");
            self.babyllama(&line).done();
            let records = self.metrics(&format!("runs/{output}/models/first"));
            records.iter().filter_map(|record| record["loss"].as_f64()).collect()
        };
        let (expected, found) = (losses("cpu", "cpu"), losses("gpu", "cuda"));
        assert!(expected.len() == 4 && found.len() == 4, "{expected:?} {found:?}");
        for (expected, found) in expected.iter().zip(&found) {
            assert!((found / expected - 1.0).abs() < 1e-4, "{found} instead of {expected}");
        }
    }

    /// The trained weights in a folder.
    pub fn weights(&self, inside: &str) -> Vec<u8> {
        self.bytes(&format!("{inside}/model.safetensors"))
    }

    /// A model's metrics without the times.
    pub fn metrics(&self, model: &str) -> Vec<Value> {
        let text = self.text(&format!("{model}/metrics.jsonl"));
        let record = |line: &str| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            for key in ["seconds", "time"] {
                record.as_object_mut().unwrap().remove(key);
            }
            record
        };
        text.lines().map(record).collect()
    }

    /// The loss at each step.
    pub fn losses(&self, model: &str) -> Vec<f64> {
        let steps = self.metrics(model).into_iter().filter(|record| record["event"] == "step");
        steps.map(|record| record["loss"].as_f64().unwrap()).collect()
    }

    /// The program with arguments, to be run in this folder on one thread unless they say
    /// otherwise.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words);
        self.surround(&mut command);
        command
    }

    /// Gives a command this folder and a plain environment.
    pub fn surround(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
            .env("RAYON_NUM_THREADS", "1")
            .env_remove("RUST_BACKTRACE")
            .env_remove("BABYLLAMA_DEVICE");
    }

    /// Runs the program to its end; the line is cut at blanks.
    pub fn babyllama(&self, line: &str) -> Finished {
        self.finish(self.command(&line.split_whitespace().collect::<Vec<_>>()))
    }

    pub fn finish(&self, mut command: Command) -> Finished {
        Finished::new(command.output().unwrap())
    }
}

/// Sentences of a tiny language; another seed gives other ones.
pub fn sentences(count: usize, seed: u64) -> String {
    let mut state = seed;
    let mut draw = |words: &[&'static str]| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        words[(state >> 33) as usize % words.len()]
    };
    let mut sentence = |_| {
        let adjective = draw(&["big", "small", "old", "young", "happy", "red"]);
        let (subject, verb) =
            (draw(&NOUNS), draw(&["sees", "likes", "finds", "follows", "calls", "helps"]));
        let (object, place) =
            (draw(&NOUNS), draw(&["today", "in the garden", "near the house", "again"]));
        format!("The {adjective} {subject} {verb} the {object} {place}.\n")
    };
    (0..count).map(&mut sentence).collect()
}

/// Minimal pairs of two patterns with two gaps, one pair a line.
fn pairs(good: &str, bad: &str) -> String {
    let fill = |pattern: &str, nouns: [&str; 2]| {
        pattern.replacen("{}", nouns[0], 1).replacen("{}", nouns[1], 1)
    };
    let line = |nouns| {
        let (good, bad) = (fill(good, nouns), fill(bad, nouns));
        let pair = serde_json::json!({ "sentence_good": good, "sentence_bad": bad });
        format!("{pair}\n")
    };
    NOUNS
        .iter()
        .flat_map(|first| NOUNS[..2].iter().map(move |second| [*first, *second]))
        .map(line)
        .collect()
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The last words of a command that failed.
#[derive(Debug)]
pub struct Refusal {
    pub cause: String,
    pub advice: String,
}

impl Finished {
    pub fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let finished = Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
        finished
    }

    /// Insists on success.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Insists on a failure with this exit code that ends in one line of cause and one of advice.
    #[track_caller]
    pub fn refused(self, code: i32) -> Refusal {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        let mut lines = self.stderr.lines().rev();
        let (advice, cause) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let after = |start: &str, line: &str| {
            let rest = line.trim_start().strip_prefix(start).filter(|rest| !rest.is_empty());
            rest.unwrap_or_else(|| panic!("no {start:?} where it should be: {}", self.stderr))
                .to_owned()
        };
        let head = if code == 130 { "stopped: " } else { "error: " };
        Refusal { cause: after(head, cause), advice: after("next: ", advice) }
    }
}

impl Refusal {
    /// Insists on a cause with all of these parts.
    #[track_caller]
    pub fn names(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.cause.contains(part), "no {part:?} in: {}", self.cause);
        }
        self
    }

    /// Whether it advises to delete a file or folder.
    pub fn advise_deletion(&self) -> bool {
        self.advice.contains("delete")
    }

    /// Insists on advice with this part.
    #[track_caller]
    pub fn advises(self, part: &str) -> Self {
        assert!(self.advice.contains(part), "no {part:?} in: {}", self.advice);
        self
    }
}

/// Adds folders to the search path, so that `babyllama` in a shell is the program under test.
pub fn search_path() -> String {
    let folder = Path::new(PROGRAM).parent().unwrap().display();
    format!("{folder}:{}", std::env::var("PATH").unwrap_or_default())
}
