//! Kills and failures at single file operations: whatever is cut there, the same command again ends
//! as if nothing had happened, and nothing is left over.
//!
//! `faults.c` counts the operations. Where there is no C compiler the tests do nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::common::{Finished, RECIPE, STUDENT, Workspace};

/// What happens at an operation.
const MODES: [&str; 4] = ["before", "after", "middle", "fail"];

/// Numbers of errors that a disk gives: it fails, it is full.
const ERRORS: [&str; 2] = ["5", "28"];

/// Parts of the names of files with times in them: of steps, or of files.
const TIMED: [&str; 8] = [
    "metrics.jsonl",
    "summary.json",
    "finished.json",
    "log.txt",
    "table.md",
    "report.html",
    "stages/",
    "cola/",
];

/// The commands that leave files, each with OUTPUT for its folder.
const COMMANDS: [&str; 13] = [
    "run micro.toml --output OUTPUT",
    "pretrain --config micro.toml --model teacher --tokens runs/small/tokens/train.bin \
     --validation runs/small/tokens/validation.bin --tokenizer \
     runs/small/tokenizer/tokenizer.json --output OUTPUT",
    "distill --config micro.toml --model student --teacher runs/small/models/teacher/final \
     --tokens runs/small/tokens/train.bin --validation runs/small/tokens/validation.bin \
     --tokenizer runs/small/tokenizer/tokenizer.json --output OUTPUT",
    "cache-teachers micro.toml --output OUTPUT",
    "finetune runs/small/models/student/final --data data/glue_filtered --max-steps 2 \
     --output OUTPUT",
    "evaluate all runs/small/models/student/final --data data --text text --sequence-length 16 \
     --max-steps 2 --output OUTPUT",
    "corpus clean text --output OUTPUT",
    "tokenizer train text --vocab-size 300 --output OUTPUT",
    "tokens encode text --tokenizer runs/small/tokenizer/tokenizer.json --output OUTPUT/text.bin",
    "corpus write-builtin --words 300 --validation-words 100 --pairs 1 --output OUTPUT",
    "evaluate blimp runs/small/models/student/final --data pairs --output OUTPUT",
    "export runs/small --model student --output OUTPUT --replace",
    "report runs/small --output OUTPUT/report.html --figures OUTPUT/figures",
];

/// A workspace with all that the commands read, and the library that brings faults about.
struct Faults {
    workspace: Workspace,
    library: PathBuf,
}

impl Faults {
    fn new() -> Option<Self> {
        let workspace = Workspace::new();
        let library = workspace.path("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/faults.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut compile = Command::new(compiler);
        compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        compile.stderr(Stdio::null());
        if !compile.status().is_ok_and(|status| status.success()) {
            return None;
        }
        let micro = RECIPE
            .replace("epochs = 2", "max_steps = 6")
            .replace("checkpoint_steps = 5", "checkpoint_steps = 2");
        let micro = micro
            .replace("teachers = [\"teacher\"]", "teachers = [\"teacher\"]\nsignal = \"hidden\"");
        workspace.write(
            "micro.toml",
            micro.replace("blimp = [\"pairs\"]", "blimp = [\"pairs\", \"builtin\"]"),
        );
        workspace.babyllama("run micro.toml --output runs/small").done();
        workspace.copy("pairs", "data/blimp_filtered");
        let item = |index: usize| format!("{{\"sentence\": \"a b\", \"label\": {}}}\n", index % 2);
        for name in ["train", "valid"] {
            let items: String = (0..8).map(item).collect();
            workspace.write(&format!("data/glue_filtered/cola.{name}.jsonl"), items);
        }
        assert!(workspace.path(STUDENT).is_dir());
        Some(Self { workspace, library })
    }

    /// Runs a command with a folder for its output, with variables for the library.
    fn run(&self, line: &str, output: &str, variables: &[(&str, &str)]) -> Finished {
        let line = line.replace("OUTPUT", output);
        let mut command = self.workspace.command(&line.split_whitespace().collect::<Vec<_>>());
        if !variables.is_empty() {
            command.env("LD_PRELOAD", &self.library);
            command.env("FAULT_UNDER", self.workspace.path(output));
            command.envs(variables.iter().copied());
        }
        self.workspace.finish(command)
    }

    /// The number of operations of a command, and what it leaves.
    fn unbroken(&self, line: &str) -> (usize, BTreeMap<String, Vec<u8>>) {
        let log = self.workspace.path("operations");
        let _ = fs::remove_file(&log);
        self.run(line, "unbroken", &[("FAULT_LOG", log.to_str().unwrap())]).done();
        let left = self.left("unbroken");
        fs::remove_dir_all(self.workspace.path("unbroken")).unwrap();
        (fs::read_to_string(log).unwrap().lines().count(), left)
    }

    /// The files that a command left; those that the clock has a part in by name alone. Event files
    /// are named by the clock, and there is one more for each time that a training went on.
    fn left(&self, output: &str) -> BTreeMap<String, Vec<u8>> {
        let folder = self.workspace.path(output);
        let mut left = BTreeMap::new();
        let mut open = vec![folder.clone()];
        while let Some(place) = open.pop() {
            for entry in fs::read_dir(place).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
                if name.contains(report::tensorboard::PREFIX) {
                    continue;
                }
                let is_timed = TIMED.iter().any(|timed| name.contains(timed));
                let bytes =
                    if is_timed || path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
                left.insert(name, bytes);
            }
        }
        left
    }

    /// Cuts a command at an operation and gives it again.
    fn cut(
        &self,
        line: &str,
        at: usize,
        mode: &str,
        error: &str,
        whole: &BTreeMap<String, Vec<u8>>,
    ) {
        let output = "cut";
        let number = at.to_string();
        let variables =
            [("FAULT_AT", number.as_str()), ("FAULT_MODE", mode), ("FAULT_ERROR", error)];
        let cut = self.run(line, output, &variables);
        let place = format!("{line}: {mode} {at} (error {error}): {}", cut.stderr);
        match mode {
            "fail" => assert!(matches!(cut.code, Some(0 | 1)), "{place}"),
            _ => assert!(cut.code.is_none(), "{place}"),
        }
        if cut.code == Some(1) {
            assert!(cut.stderr.contains("next: "), "{place}");
        }
        let again = self.run(line, output, &[]);
        assert_eq!(again.code, Some(0), "{place}\nagain: {}", again.stderr);
        let left = self.left(output);
        let names = |left: &BTreeMap<String, Vec<u8>>| left.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&left), names(whole), "{place}");
        for (name, bytes) in whole {
            assert!(left[name] == *bytes, "{name} differs: {place}");
        }
        fs::remove_dir_all(self.workspace.path(output)).unwrap();
    }

    /// Cuts the commands that begin with a word at a number of places that are spread over the
    /// operations of each.
    fn cut_everywhere(&self, places: usize, first: &str) -> usize {
        let mut cuts = 0;
        for line in COMMANDS.into_iter().filter(|line| line.starts_with(first)) {
            let (operations, whole) = self.unbroken(line);
            let places = places.min(operations);
            for place in 0..places {
                let at = 1 + place * operations / places;
                let mode = MODES[place % MODES.len()];
                self.cut(line, at, mode, ERRORS[place / MODES.len() % ERRORS.len()], &whole);
                cuts += 1;
            }
            println!("{line}: {places} of {operations} operations");
        }
        cuts
    }
}

#[test]
fn a_cut_at_any_file_operation_changes_nothing() {
    if let Some(faults) = Faults::new() {
        faults.cut_everywhere(4, "");
    }
}

/// Hundreds of places, in some minutes: `cargo test --release -p babyllama --test cli -- --ignored
/// faults`. `BABYLLAMA_FAULTS` is the number of places, `BABYLLAMA_FAULTS_COMMAND` the first word
/// of the commands.
#[test]
#[ignore = "takes minutes"]
fn cuts_at_hundreds_of_file_operations_change_nothing() {
    let Some(faults) = Faults::new() else { panic!("there is no C compiler") };
    let places = std::env::var("BABYLLAMA_FAULTS").ok().and_then(|text| text.parse().ok());
    let first = std::env::var("BABYLLAMA_FAULTS_COMMAND").unwrap_or_default();
    println!("{} cuts", faults.cut_everywhere(places.unwrap_or(100), &first));
}
