//! Whole recipes, from text to the resolved form.

mod commands;
mod overrides;
mod rules;
mod shipped;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use train::settings::{KlNormalisation, TrainSettings};

use eval::Rules;

use super::*;

const BASE: &str = "\
seed = 7

[models.small]
architecture = 'gpt2'
hidden_size = 64
num_layers = 2
num_heads = 4

[models.student]
architecture = 'llama'
hidden_size = 64
intermediate_size = 96
num_layers = 2
num_heads = 4

[models.student.train]
epochs = 2
sequence_length = 64

[models.student.distill]
teachers = ['small']
";

struct File {
    _folder: TempDir,
    path: PathBuf,
}

fn write(text: &str) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trial.toml");
    fs::write(&path, text).unwrap();
    File { _folder: folder, path }
}

fn load_with(text: &str, overrides: &[&str]) -> Result<Recipe, String> {
    let file = write(text);
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    let folder = format!("{}/", file.path.parent().unwrap().display());
    load(&file.path, &overrides).map_err(|error| error.to_string().replace(&folder, ""))
}

/// The message with which an override of the base recipe is refused, without the override's own
/// text in front.
fn refusal(text: &str) -> String {
    let message = load_with(BASE, &[text]).unwrap_err();
    let rest = message.strip_prefix(&format!("--set {text}: "));
    rest.unwrap_or_else(|| panic!("does not name its place: {message}")).to_string()
}

#[test]
fn defaults_are_filled_in() {
    let recipe = load_with(BASE, &[]).unwrap();
    assert_eq!((recipe.name.as_str(), recipe.seed), ("trial", 7));
    assert_eq!(recipe.models.keys().collect::<Vec<_>>(), ["small", "student"]);
    assert_eq!(recipe.corpus, CorpusSection::default());
    assert_eq!(recipe.evaluate.rules, Rules::Year2024);
    let student = &recipe.models["student"];
    assert_eq!((student.train.epochs, student.train.seed), (2.0, Some(model_seed(7, "student"))));
    assert_ne!(student.train.seed, recipe.models["small"].train.seed);
    let distill = student.distill.as_ref().unwrap();
    assert_eq!(
        (distill.temperature, distill.alpha, distill.kl),
        (2.0, 0.5, KlNormalisation::Token)
    );
}

#[test]
fn pairs_are_built_in_where_the_text_is() {
    let pairs = |overrides: &[&str]| load_with(BASE, overrides).unwrap().evaluate.blimp.unwrap();
    assert_eq!(pairs(&[]), [Source::Builtin]);
    assert_eq!(pairs(&["corpus.source=data/train"]), []);
    assert_eq!(pairs(&["corpus.source=x", "evaluate.blimp=['builtin']"]), [Source::Builtin]);
}

#[test]
fn a_resolved_recipe_means_the_same() {
    let recipe = load_with(BASE, &[]).unwrap();
    let text = recipe.resolved().unwrap();
    for default in [
        "adam_beta2 = 0.999",
        "num_kv_heads = 4",
        "alpha = 0.5",
        "min_frequency = 2",
        "rules = \"2024\"",
    ] {
        assert!(text.contains(default), "{default} is not in\n{text}");
    }
    let again = load_with(&text, &[]).unwrap();
    assert_eq!(again, recipe);
    assert_eq!(again.hash().unwrap(), recipe.hash().unwrap());
    let other = load_with(BASE, &["student.train.epochs=3"]).unwrap();
    assert_ne!(other.hash().unwrap(), recipe.hash().unwrap());
}

#[test]
fn faults_name_file_line_key_and_the_nearest_name() {
    let message = |from: &str, to: &str| load_with(&BASE.replace(from, to), &[]).unwrap_err();
    assert_eq!(
        message("sequence_length = 64", "sequence_lenght = 64"),
        "trial.toml:18: unknown key `models.student.train.sequence_lenght`; did you mean \
         `sequence_length`?"
    );
    assert_eq!(
        message("epochs = 2", "epochs = 'two'"),
        "trial.toml:17: `models.student.train.epochs` should be a number, found the string \"two\""
    );
    assert_eq!(
        message("'llama'", "'lama'"),
        "trial.toml:10: `models.student.architecture` cannot be \"lama\"; choices: elc-bert, \
         gpt-bert, gpt2, gptj, llama, ltg-bert, qwen3, switch, t5"
    );
    assert_eq!(
        message("teachers = ['small']", ""),
        "trial.toml:20: missing key `models.student.distill.teachers`"
    );
    assert_eq!(message("seed", "sead"), "trial.toml:1: unknown key `sead`; did you mean `seed`?");
    let missing = message("intermediate_size = 96\n", "");
    assert!(
        missing.starts_with("trial.toml:9: `models.student` needs the key `intermediate_size`"),
        "{missing}"
    );
    assert!(message("seed = 7", "seed = ").starts_with("trial.toml:1: not valid TOML: "));
    let twice = message("[models.student]", "[models.small]");
    assert!(twice.starts_with("trial.toml:9: not valid TOML: "), "{twice}");
}

#[test]
fn a_file_without_a_name_gives_its_own() {
    for (file, name) in
        [("my recipe.toml", "my-recipe"), ("é.toml", "recipe"), ("-x.1.toml", "x.1")]
    {
        assert_eq!(embedded(file, BASE).unwrap().name, name);
    }
}

#[test]
fn inputs_are_checked_with_the_key_and_its_place() {
    let file = write(BASE);
    let here = file.path.parent().unwrap();
    fs::create_dir(here.join("empty")).unwrap();
    let refused = |key: &str, path: &str| {
        let path = here.join(path).display().to_string();
        let is_list = key.starts_with("evaluate") || key.ends_with("teachers");
        let text = if is_list { format!("{key}=['{path}']") } else { format!("{key}={path}") };
        let error = load_with_inputs(&file.path, std::slice::from_ref(&text)).unwrap_err();
        let message = crate::ExperimentError::from(error).cause();
        let rest = message.strip_prefix(&format!("--set {text}: ")).unwrap_or(&message);
        rest.replace(&format!("{}/", here.display()), "")
    };
    assert_eq!(refused("corpus.source", "no"), "`corpus.source` names no: no does not exist");
    let empty = refused("corpus.validation", "empty");
    assert!(empty.starts_with("`corpus.validation` names empty: empty holds no text"), "{empty}");
    let tokenizer = refused("tokenizer.path", "no.json");
    assert_eq!(tokenizer, "`tokenizer.path` names no.json: no.json does not exist");
    let from = refused("models.extra.from", "empty");
    assert!(from.starts_with("`models.extra.from` names empty"), "{from}");
    let teacher = refused("student.distill.teachers", "empty");
    assert!(teacher.starts_with("`models.student.distill.teachers[0]` names empty"), "{teacher}");
    let pairs = refused("evaluate.blimp", "empty");
    assert!(pairs.starts_with("`evaluate.blimp[0]` names empty: empty has no .jsonl"), "{pairs}");
    assert!(load_with_inputs(&file.path, &[]).is_ok());
}

#[test]
fn an_absent_recipe_is_named() {
    let error = load(Path::new("no/such.toml"), &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read recipe no/such.toml: "), "{error}");
}

#[test]
fn the_top_level_keys_are_those_of_the_struct() {
    let named = Recipe { name: "x".into(), precision: Some(Precision::Bf16), ..Recipe::default() };
    let text = named.resolved().unwrap();
    let table: toml::Table = text.parse().unwrap();
    let mut written: Vec<&str> = table.keys().map(String::as_str).collect();
    let mut known = document::TOP_LEVEL_KEYS.to_vec();
    written.sort_unstable();
    known.sort_unstable();
    assert_eq!(written, known);
}
