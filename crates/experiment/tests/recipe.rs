//! Whole recipes without the command line: from the text to the scores, shared prepared data,
//! stopping and going on.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use experiment::run::{RunOutcome, RunSettings, cache_teachers, run};
use experiment::{Event, ExperimentError, Observer, Recipe, Silent, recipe};
use tempfile::TempDir;

const RECIPE: &str = r#"
[corpus]
words = 4000
pairs_per_paradigm = 4

[tokenizer]
vocab_size = 400

[models.teacher]
architecture = "gpt2"
hidden_size = 32
num_layers = 1
num_heads = 2

[models.teacher.train]
epochs = 1
batch_size = 16
sequence_length = 32

[models.student]
architecture = "llama"
hidden_size = 16
intermediate_size = 32
num_layers = 1
num_heads = 2

[models.student.train]
epochs = 2
batch_size = 16
sequence_length = 32

[models.student.distill]
teachers = ["teacher"]
kl = "token"
signal = "hidden"

[evaluate]
blimp = ["builtin"]
ensembles = [["teacher", "student"]]
"#;

fn small() -> Recipe {
    recipe::embedded("small.toml", RECIPE).unwrap()
}

fn weights(run: &Path, model: &str) -> Vec<u8> {
    std::fs::read(run.join("models").join(model).join("final/model.safetensors")).unwrap()
}

/// Keeps the stages and the numbers of steps, and asks to stop after some steps.
#[derive(Default)]
struct Recorder {
    stages: Mutex<Vec<String>>,
    steps: AtomicU64,
    evaluations: AtomicU64,
    stop_after: Option<u64>,
}

impl Observer for Recorder {
    fn on_event(&self, event: Event<'_>) {
        match event {
            Event::Stage { name, .. } => self.stages.lock().unwrap().push(name.to_owned()),
            Event::Step { record, .. } => {
                assert!(record.loss.is_finite());
                self.steps.fetch_add(1, Ordering::Relaxed);
            }
            Event::Evaluation { .. } => {
                self.evaluations.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn should_stop(&self) -> bool {
        self.stop_after.is_some_and(|steps| self.steps.load(Ordering::Relaxed) >= steps)
    }
}

fn run_in(folder: &Path, observer: &dyn Observer) -> experiment::Result<RunOutcome> {
    run(small(), &RunSettings::on_cpu(folder), observer)
}

#[test]
fn a_small_recipe_goes_from_text_to_scores() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let outcome = run_in(folder.path(), &recorder).unwrap();
    let expected = [
        "corpus",
        "tokenizer",
        "tokens",
        "model-teacher",
        "model-student",
        "pairs",
        "evaluate-teacher",
        "evaluate-student",
        "evaluate-teacher+student",
    ];
    assert_eq!(*recorder.stages.lock().unwrap(), expected);
    assert_eq!((outcome.performed, outcome.skipped), (9, 0));
    assert!(recorder.steps.into_inner() > 2 && recorder.evaluations.into_inner() == 3);
    let table = outcome.table.to_markdown();
    for name in ["teacher", "student", "teacher + student"] {
        assert!(table.contains(&format!("| {name} ")), "{table}");
    }
    assert!(folder.path().join("evaluation/teacher+student.json").is_file());
    let again = run_in(folder.path(), &Silent).unwrap();
    assert_eq!((again.performed, again.skipped), (0, 9));
    assert_eq!(again.table.to_markdown(), table);
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bits() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run_in(whole.path(), &Silent).unwrap();
    for steps in [1, 3] {
        let recorder = Recorder { stop_after: Some(steps), ..Recorder::default() };
        let error = run_in(cut.path(), &recorder).unwrap_err();
        assert!(error.is_stop(), "{error:?}");
    }
    run_in(cut.path(), &Silent).unwrap();
    for model in ["teacher", "student"] {
        assert!(weights(whole.path(), model) == weights(cut.path(), model), "{model}");
    }
}

/// Experts of both bodies as teacher and student, alone and in an ensemble, stopped and gone on.
#[test]
fn models_with_experts_go_the_whole_way() {
    let text = RECIPE
        .replace(
            "architecture = \"gpt2\"",
            "architecture = \"switch\"\nnum_experts = 3\ncapacity = { factor = 1.0 }",
        )
        .replace(
            "architecture = \"llama\"",
            "architecture = \"switch\"\nbody = \"llama\"\nnum_experts = 2\ncapacity = \"none\"",
        );
    let run_in = |folder: &Path, observer: &dyn Observer| {
        let recipe = recipe::embedded("experts.toml", &text).unwrap();
        run(recipe, &RunSettings::on_cpu(folder), observer)
    };
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outcome = run_in(whole.path(), &Silent).unwrap();
    assert_eq!((outcome.performed, outcome.skipped), (9, 0));
    let table = outcome.table.to_markdown();
    assert!(table.contains("| teacher + student "), "{table}");
    for steps in [1, 3] {
        let recorder = Recorder { stop_after: Some(steps), ..Recorder::default() };
        assert!(run_in(cut.path(), &recorder).unwrap_err().is_stop());
    }
    run_in(cut.path(), &Silent).unwrap();
    for (model, model_type) in [("teacher", "babyllama_switch"), ("student", "qwen2_moe")] {
        assert!(weights(whole.path(), model) == weights(cut.path(), model), "{model}");
        let config = whole.path().join("models").join(model).join("final/config.json");
        assert!(std::fs::read_to_string(config).unwrap().contains(model_type));
    }
}

/// The only entry of a folder.
fn only_entry(folder: &TempDir) -> std::path::PathBuf {
    let mut entries = std::fs::read_dir(folder).unwrap();
    let entry = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    entry
}

#[test]
fn runs_share_what_is_prepared_from_the_same_text() {
    let shared = tempfile::tempdir().unwrap();
    let settings = |folder: &TempDir| RunSettings {
        prepared: Some(shared.path().to_owned()),
        ..RunSettings::on_cpu(folder.path())
    };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(small(), &settings(&first), &Silent).unwrap();
    let prepared = only_entry(&shared);
    assert!(prepared.join("tokens/train.bin").is_file());
    assert!(!first.path().join("tokens").exists());
    // Other models of the same text: nothing is prepared again.
    let mut other = small();
    other.models["student"].train.learning_rate = 2e-3;
    let recorder = Recorder::default();
    run(other, &settings(&second), &recorder).unwrap();
    let stages = recorder.stages.into_inner().unwrap();
    assert_eq!(stages.first().map(String::as_str), Some("model-teacher"));
    assert_eq!(only_entry(&shared), prepared);
    assert!(weights(first.path(), "teacher") == weights(second.path(), "teacher"));
    assert!(weights(first.path(), "student") != weights(second.path(), "student"));
    // A run that shares nothing has the same bits.
    let alone = tempfile::tempdir().unwrap();
    run_in(alone.path(), &Silent).unwrap();
    assert!(weights(first.path(), "student") == weights(alone.path(), "student"));
    // Another text has a place of its own.
    let mut longer = small();
    longer.corpus.words = 5000;
    let third = tempfile::tempdir().unwrap();
    run(longer, &settings(&third), &Silent).unwrap();
    assert_eq!(std::fs::read_dir(shared.path()).unwrap().count(), 2);
}

#[test]
fn teacher_caches_are_filled_before_any_student_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RunSettings::on_cpu(folder.path());
    cache_teachers(small(), None, &settings, &Silent).unwrap();
    assert!(folder.path().join("models/teacher/final").is_dir());
    assert!(!folder.path().join("models/student").exists());
    assert_eq!(std::fs::read_dir(folder.path().join("teachers")).unwrap().count(), 1);
    let wrong = cache_teachers(small(), Some("teacher"), &settings, &Silent).unwrap_err();
    assert!(matches!(find_wrong_usage(&wrong), Some(text) if text.contains("teacher")), "{wrong}");
}

fn find_wrong_usage(error: &ExperimentError) -> Option<&str> {
    match error {
        ExperimentError::WrongUsage(text) => Some(text),
        ExperimentError::Advised { source, .. } => find_wrong_usage(source),
        _ => None,
    }
}
