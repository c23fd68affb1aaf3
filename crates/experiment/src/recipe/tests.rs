//! Whole recipes, from text to the resolved form.

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
fn an_override_is_named_where_it_makes_another_value_wrong() {
    for text in [
        "student.num_kv_heads=3",
        "student.num_heads=3",
        "student.train.sequence_length=100000",
        "student.num_layers=4000000000",
        "small.max_positions=32",
    ] {
        let message = load_with(BASE, &["seed=3", text, "student.train.epochs=1"]).unwrap_err();
        assert!(message.starts_with(&format!("--set {text}: ")), "{message}");
    }
    // What is wrong without any is the file's.
    let wrong = BASE.replace("num_heads = 4", "num_heads = 5");
    let message = load_with(&wrong, &["seed=3"]).unwrap_err();
    assert!(message.starts_with("trial.toml:"), "{message}");
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
fn overrides_reach_every_table() {
    let overrides = [
        "student.train.learning_rate=1e-3",
        "models.student.distill.kl=batchmean",
        "corpus.source=data/train",
        "evaluate.rules=2023",
        "evaluate.blimp=['a', 'builtin']",
        "name=other",
    ];
    let recipe = load_with(BASE, &overrides).unwrap();
    let student = &recipe.models["student"];
    assert_eq!(student.train.learning_rate, 1e-3);
    assert_eq!(student.distill.as_ref().unwrap().kl, KlNormalisation::Batchmean);
    assert_eq!(recipe.corpus.source, Source::Folder("data/train".into()));
    assert_eq!(recipe.evaluate.rules, Rules::Year2023);
    assert_eq!(recipe.evaluate.blimp.unwrap(), [Source::Folder("a".into()), Source::Builtin]);
    assert_eq!(recipe.name, "other");
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
        "trial.toml:10: `models.student.architecture` cannot be \"lama\"; choices: gpt2, llama"
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
fn values_for_all_models_stand_once() {
    let text = BASE.replace(
        "seed = 7",
        "[defaults]\nnum_kv_heads = 2\n[defaults.train]\n\
        epochs = 5\nlearning_rate = 1e-3\n[defaults.distill]\nalpha = 0.25",
    );
    let text = text.replace(
        "num_heads = 4\n\n[models.student]",
        "num_heads = 4\nnum_kv_heads = \
        4\n\n[models.student]",
    );
    let recipe = load_with(&text, &[]).unwrap();
    let [small, student] = ["small", "student"].map(|name| &recipe.models[name]);
    assert_eq!((small.train.epochs, student.train.epochs), (5.0, 2.0));
    assert_eq!((small.train.learning_rate, student.train.learning_rate), (1e-3, 1e-3));
    assert_eq!((&small.distill, student.distill.as_ref().unwrap().alpha), (&None, 0.25));
    let Start::Random(shape) = &student.start else { panic!("{student:?}") };
    assert_eq!(shape.num_kv_heads, 2);
    let resolved = recipe.resolved().unwrap();
    assert!(!resolved.contains("defaults"), "{resolved}");

    // What a default breaks is found where the default stands.
    let message = load_with(&text.replace("epochs = 5", "epoch = 5"), &[]).unwrap_err();
    let expected = "trial.toml:4: unknown key `models.small.train.epoch`; did you mean `epochs`?";
    assert_eq!(message, expected);
    let folder = load_with(&format!("{text}\n[models.more]\nfrom = 'models/x'\n"), &[]).unwrap();
    assert_eq!(folder.models["more"].train.epochs, 5.0);
    let message = load_with(BASE, &["defaults=3"]).unwrap_err();
    assert_eq!(message, "--set defaults=3: `defaults` is a value, not a table");
}

#[test]
fn an_override_may_reach_all_models() {
    let overrides = ["train.epochs=9", "distill.alpha=0.1", "small.train.epochs=4"];
    let recipe = load_with(BASE, &overrides).unwrap();
    let [small, student] = ["small", "student"].map(|name| &recipe.models[name]);
    assert_eq!((small.train.epochs, student.train.epochs), (4.0, 9.0));
    assert_eq!((&small.distill, student.distill.as_ref().unwrap().alpha), (&None, 0.1));
    let message = load_with("[models.a]\nfrom = 'x'", &["distill.alpha=0.1"]).unwrap_err();
    assert!(message.ends_with("no model of the recipe has a table `distill`"), "{message}");
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
fn shapes_must_fit() {
    let cases = [
        (
            "small.hidden_size=66",
            "`models.small.hidden_size` is 66, which num_heads = 4 does not divide",
        ),
        (
            "student.num_kv_heads=3",
            "`models.student.num_heads` is 4, which num_kv_heads = 3 does not divide",
        ),
        (
            "small.num_kv_heads=2",
            "`models.small.num_kv_heads` is 2; GPT-2 shares no heads, so it must equal num_heads \
             = 4",
        ),
        ("student.num_heads=64", "`models.student.num_heads` = 64 leaves 1 channels a head"),
        ("student.num_layers=0", "`models.student.num_layers` is 0; the smallest that works is 1"),
        (
            "small.attention_dropout=1.0",
            "`models.small.attention_dropout` is 1; it must be at least 0 and below 1",
        ),
        (
            "student.residual_dropout=0.1",
            "`models.student.residual_dropout` is 0.1; LLaMA has none but attention_dropout",
        ),
        ("student.embedding_dropout=nan", "`models.student.embedding_dropout` is NaN"),
        ("small.norm_epsilon=0", "`models.small.norm_epsilon` is 0; it must be larger than 0"),
        ("small.rope_theta=nan", "`models.small.rope_theta` is NaN"),
        (
            "small.max_positions=127",
            "`models.small.max_positions` is 127, fewer than train.sequence_length = 128",
        ),
    ];
    for (text, start) in cases {
        let message = refusal(text);
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn training_settings_must_make_sense() {
    let cases = [
        ("epochs=0", "is 0; it must be larger than 0 and at most a million"),
        ("epochs=inf", "is inf; it must be larger than 0 and at most a million"),
        ("batch_size=0", "is 0; it must be between 1 and 16777216"),
        ("micro_batch_size=33", "is 33; it must be at most batch_size"),
        ("sequence_length=1", "is 1; it must be between 2 and 16777216"),
        ("learning_rate=-1e-3", "is -0.001; it must be 0, or between 1e-30 and 1e30"),
        ("warmup_ratio=1.5", "is 1.5; it must be between 0 and 1"),
        ("weight_decay=-1", "is -1; it must be 0, or between 1e-30 and 1e30"),
        ("weight_decay_epochs=0", "is 0; it must be between 1e-30 and 1e30"),
        ("cooldown_share=1.5", "is 1.5; it must be between 0 and 1"),
        ("cycle_epochs=0", "is 0; it must be between 1e-30 and 1e30"),
        ("adam_beta1=1.0", "is 1; it must be at least 0 and below 1"),
        ("adam_beta2=nan", "is NaN; it must be at least 0 and below 1"),
        ("adam_epsilon=0", "is 0; it must be between 1e-30 and 1e30"),
        ("max_grad_norm=-1", "is -1; it must be 0, or between 1e-30 and 1e30"),
    ];
    for (text, problem) in cases {
        let key = text.split('=').next().unwrap();
        assert_eq!(
            refusal(&format!("student.train.{text}")),
            format!("`models.student.train.{key}` {problem}")
        );
    }
}

#[test]
fn optimizers_and_parameter_groups_are_part_of_a_recipe() {
    let groups = "student.train.groups=[{pattern='model.embed*', learning_rate_factor=0.1}, \
                  {role='matrix', optimizer='adamw_hf', weight_decay=0.2}]";
    let recipe = load_with(BASE, &["student.train.optimizer=adamw_hf", groups]).unwrap();
    let train = &recipe.models["student"].train;
    assert_eq!(train.optimizer.name(), "adamw_hf");
    let [first, second] = &train.groups[..] else { panic!("{:?}", train.groups) };
    assert_eq!((first.learning_rate_factor, first.optimizer, first.role), (0.1, None, None));
    assert_eq!((&second.pattern[..], second.weight_decay), ("*", Some(0.2)));
    let written = recipe.resolved().unwrap();
    assert!(written.contains("[[models.student.train.groups]]"), "{written}");
    assert_eq!(load_with(&written, &[]).unwrap(), recipe, "{written}");
    // Without groups and options nothing of them is written.
    let plain = load_with(BASE, &[]).unwrap().resolved().unwrap();
    assert!(!plain.contains("groups") && !plain.contains("optimizer_options"), "{plain}");
    let choices = train::optimizers::OptimizerKind::names().join(", ");
    assert_eq!(
        refusal("student.train.optimizer=sgd"),
        format!("`models.student.train.optimizer` cannot be \"sgd\"; choices: {choices}")
    );
    for (text, problem) in [
        (
            "optimizer_options.momentum=0.9",
            "`models.student.train.optimizer_options` is momentum = 0.9; adamw has no options",
        ),
        (
            "groups=[{learning_rate_factor=-1}]",
            "`models.student.train.groups[0].learning_rate_factor` is -1; it must be 0, or \
             between 1e-30 and 1e30",
        ),
        (
            "groups=[{}, {pattern='nothing.*', role='bias'}]",
            "`models.student.train.groups[1]` is \"nothing.*\" of role bias; no parameter of the \
             model is in this group",
        ),
        (
            "groups=[{role='weight'}]",
            "`models.student.train.groups[0].role` cannot be \"weight\"; choices: embedding, \
             positions, token_types, matrix, output, bias, norm_gain",
        ),
    ] {
        assert_eq!(refusal(&format!("student.train.{text}")), problem);
    }
}

/// Those of the repository; their data need not be here.
#[test]
fn teachers_must_stand_above() {
    let cases = [
        (
            "temperature=0",
            "`models.student.distill.temperature` is 0; it must be between 0.001 and 1000",
        ),
        (
            "temperature=1e-320",
            "`models.student.distill.temperature` is 1e-320; it must be between 0.001 and 1000",
        ),
        (
            "weights=[1e308]",
            "`models.student.distill.weights` is [1e308]; each must be between 1e-30 and 1e30",
        ),
        ("alpha=1.5", "`models.student.distill.alpha` is 1.5; it must be between 0 and 1"),
        ("teachers=[]", "`models.student.distill.teachers` is empty; name at least one"),
        ("teachers=['student']", "`models.student.distill.teachers[0]` is the student itself"),
        (
            "teachers=['small', 'small']",
            "`models.student.distill.teachers[1]` names \"small\" a second time",
        ),
        (
            "teachers=['smal']",
            "`models.student.distill.teachers[0]` is \"smal\", neither a model above nor a \
             folder; did you mean `small`?",
        ),
    ];
    for (text, problem) in cases {
        let message = refusal(&format!("student.distill.{text}"));
        assert!(message.starts_with(problem), "{message}");
    }
    let circle = refusal("small.distill.teachers=['student']");
    assert!(circle.contains("stands below its student; move [models.student] above"), "{circle}");
    let folder = tempfile::tempdir().unwrap();
    let text = format!("student.distill.teachers=['{}']", folder.path().display());
    assert!(load_with(BASE, &[&text]).is_ok());
}

#[test]
fn a_teacher_reads_as_far_as_its_student() {
    let overrides = ["small.train.sequence_length=16", "small.max_positions=32"];
    let message = load_with(BASE, &overrides).unwrap_err();
    let expected = "--set small.train.sequence_length=16: \
                    `models.student.distill.teachers[0]` is \"small\" with max_positions = 32, \
                    fewer than the student's sequence_length = 64";
    assert_eq!(message, expected);
}

#[test]
fn the_other_tables_must_make_sense() {
    let cases = [
        ("name=a/b", "`name` is no name"),
        ("corpus.words=0", "`corpus.words` is 0; it must be the number of words to write"),
        (
            "corpus.validation_fraction=1",
            "`corpus.validation_fraction` is 1; it must be between 0 and 1",
        ),
        (
            "corpus.pairs_per_paradigm=0",
            "`corpus.pairs_per_paradigm` is 0; the smallest that works is 1",
        ),
        ("corpus.source=''", "`corpus.source` is empty"),
        (
            "tokenizer.vocab_size=100",
            "`tokenizer.vocab_size` is 100; the smallest that works is 259",
        ),
        (
            "tokenizer.vocab_size=99999999",
            "`tokenizer.vocab_size` is 99999999; the largest that works is 16777216",
        ),
        ("corpus.words=9000000000000000000", "`corpus.words` is 9000000000000000000; of the"),
        ("corpus.pairs_per_paradigm=9000000", "`corpus.pairs_per_paradigm` is 9000000; the"),
        ("evaluate.ensembles=[['small']]", "`evaluate.ensembles[0]` has fewer than two models"),
        (
            "evaluate.ensembles=[['small', 'studnt']]",
            "`evaluate.ensembles[0][1]` is \"studnt\", no model of this recipe; did you mean \
             `student`?",
        ),
        (
            "evaluate.ensembles=[['small', 'small']]",
            "`evaluate.ensembles[0][1]` names \"small\" a second time",
        ),
        ("evaluate.rules=2025", "`evaluate.rules` cannot be \"2025\"; choices: 2023, 2024"),
    ];
    for (text, start) in cases {
        let message = refusal(text);
        assert!(message.starts_with(start), "{message}");
    }
    let long = refusal(&format!("name={}", "a".repeat(101)));
    assert_eq!(long, "`name` is a name of 101 letters; it may have 100");
    let message =
        load_with(BASE, &["corpus.source=data", "corpus.validation=builtin"]).unwrap_err();
    assert!(
        message.starts_with(
            "--set corpus.validation=builtin: `corpus.validation` is \"builtin\" while"
        ),
        "{message}"
    );
    let message = load_with(&BASE.replace("models.small", "models.corpus"), &[]).unwrap_err();
    assert!(
        message.starts_with("trial.toml:3: `models.corpus` is a name that recipes keep"),
        "{message}"
    );
    let message = load_with(&BASE.replace("models.small", "models.\"a b\""), &[]).unwrap_err();
    assert!(message.starts_with("trial.toml:3: `models.a b` is no name"), "{message}");
}

#[test]
fn a_model_starts_from_a_folder_or_a_shape() {
    let recipe = load_with("[models.a]\nfrom = 'models/x'\n", &[]).unwrap();
    assert_eq!(recipe.models["a"].start, Start::Folder("models/x".into()));
    assert!(recipe.resolved().unwrap().contains("from = \"models/x\""));
    let message = load_with(BASE, &["small.from=models/x"]).unwrap_err();
    assert!(message.contains("`models.small` has both `from` and `architecture`"), "{message}");
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

#[test]
fn a_command_takes_one_model_out_of_a_recipe() {
    let file = write(BASE);
    let request =
        ModelRequest { model: "student", recipe: Some(&file.path), overrides: &[], distill: None };
    let (student, seed) = load_model(&request).unwrap();
    assert_eq!((student.train.epochs, &student.distill), (2.0, &None));
    let recipe = load(&file.path, &[]).unwrap();
    assert_eq!((student.train.seed, seed), (recipe.models["student"].train.seed, recipe.seed));

    let teachers = [file.path.parent().unwrap().display().to_string()];
    let distill = DistillRequest {
        teachers: &teachers,
        kl: Some("batchmean"),
        alpha: Some(0.25),
        ..DistillRequest::default()
    };
    let overrides = ["epochs=5".to_string()];
    let request = ModelRequest { overrides: &overrides, distill: Some(distill), ..request };
    let (student, _) = load_model(&request).unwrap();
    assert_eq!(student.train.epochs, 5.0);
    let distill = student.distill.unwrap();
    assert_eq!(
        (distill.kl, distill.temperature, distill.alpha),
        (KlNormalisation::Batchmean, 2.0, 0.25)
    );
    assert_eq!(distill.teachers, teachers);
}

#[test]
fn the_recipes_weights_go_with_its_teachers() {
    let file = write(
        &BASE.replace("[models.student.distill]", "[models.student.distill]\nweights = [3.0]"),
    );
    let weights = |count: usize, weights: &[f64]| {
        let here = file.path.parent().unwrap();
        let folders = ["a", "b"].map(|name| here.join(name));
        folders.iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        let teachers =
            folders[..count].iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
        let distill = DistillRequest { teachers: &teachers, weights, ..DistillRequest::default() };
        let request = ModelRequest {
            model: "student",
            recipe: Some(&file.path),
            overrides: &[],
            distill: Some(distill),
        };
        load_model(&request).unwrap().0.distill.unwrap().weights
    };
    assert_eq!(weights(1, &[]), None);
    assert_eq!(weights(2, &[]), None);
    assert_eq!(weights(2, &[1.0, 2.0]), Some(vec![1.0, 2.0]));
}

#[test]
fn a_command_may_start_from_a_folder() {
    let overrides = ["learning_rate=1e-4".to_string()];
    let request =
        ModelRequest { model: "models/x", recipe: None, overrides: &overrides, distill: None };
    let (model, seed) = load_model(&request).unwrap();
    assert_eq!((model.start, model.train.learning_rate), (Start::Folder("models/x".into()), 1e-4));
    assert_eq!(seed, Recipe::default().seed);
    let overrides = ["learning_rat=1e-4".to_string()];
    let error =
        load_model(&ModelRequest { overrides: &overrides, ..request }).unwrap_err().to_string();
    assert_eq!(
        error,
        "--set learning_rat=1e-4: unknown key `models.model.train.learning_rat`; did you mean \
         `learning_rate`?"
    );
}

#[test]
fn a_command_names_the_models_it_could_take() {
    let file = write(BASE);
    let request =
        ModelRequest { model: "studnet", recipe: Some(&file.path), overrides: &[], distill: None };
    let error = load_model(&request).unwrap_err().to_string();
    let expected = format!("{} has no such model; did you mean `student`?", file.path.display());
    assert_eq!(error, format!("--model studnet: {expected}"));
}

/// A recipe of the repository, with its models' parameter counts at its own vocabulary size.
fn shipped(file: &str) -> (Recipe, Vec<(String, usize)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes").join(file);
    let recipe = load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    let again = load_with(&recipe.resolved().unwrap(), &[]).unwrap();
    assert_eq!(again, recipe, "{file}");
    let counts = recipe.models.iter().filter_map(|(name, model)| {
        let Start::Random(shape) = &model.start else { return None };
        let config = shape.config(recipe.tokenizer.vocab_size);
        config.validate().unwrap();
        Some((name.clone(), config.parameter_count()))
    });
    let counts = counts.collect();
    (recipe, counts)
}

#[test]
fn every_shipped_recipe_loads() {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Those of fine-tuning are of another kind, with tests of their own.
            match path.is_dir() {
                true if path.ends_with("finetune") => {}
                true => files(&path, found),
                false => found.push(path),
            }
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut found = Vec::new();
    files(&folder, &mut found);
    let mut names: Vec<String> = Vec::new();
    for path in &found {
        let (recipe, _) = shipped(path.strip_prefix(&folder).unwrap().to_str().unwrap());
        assert!(!names.contains(&recipe.name), "two recipes are named {}", recipe.name);
        names.push(recipe.name);
    }
    assert!(names.len() >= 6, "{names:?}");
}

#[test]
fn the_papers_models_have_the_papers_sizes() {
    let counts = |file| shipped(file).1.into_iter().map(|(_, count)| count).collect::<Vec<_>>();
    assert_eq!(counts("babyllama-1/strict-small.toml"), [704_732_160, 359_973_888, 58_343_936]);
    assert_eq!(
        counts("babyllama-1/small-models.toml"),
        [16_584_960, 10_480_128, 97_241_856, 97_540_608]
    );
    assert_eq!(counts("babyllama-2/strict-small.toml"), [345_355_200; 3]);
    assert_eq!(counts("babyllama-2/three-teachers.toml"), [345_355_200; 4]);
}

#[test]
fn twins_differ_from_the_student_only_in_their_teachers() {
    let settings = |model: &ModelSection| {
        (model.start.clone(), TrainSettings { seed: None, ..model.train.clone() })
    };
    for (file, student, twins) in [
        ("quickstart.toml", "student", &["undistilled"][..]),
        ("babylm-1m.toml", "student-token", &["student-batchmean", "undistilled"]),
    ] {
        let (recipe, _) = shipped(file);
        for twin in twins {
            assert_eq!(
                settings(&recipe.models[*twin]),
                settings(&recipe.models[student]),
                "{file}: {twin}"
            );
        }
    }
}
