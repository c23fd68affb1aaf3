//! Several seeds, chains, snapshots as teachers, fitted weights and what is read, in one run.

use std::path::Path;

use super::common::Workspace;

const RECIPE: &str = r#"
[corpus]
words = 3000
validation_fraction = 0.2
[tokenizer]
vocab_size = 300
[defaults]
architecture = "llama"
hidden_size = 16
intermediate_size = 24
num_layers = 1
num_heads = 2
[defaults.train]
epochs = 2
batch_size = 8
sequence_length = 16
learning_rate = 3e-3
[models.teacher]
seeds = [1, 2]
[models.teacher.train]
order = "documents"
hybrid = { steps = 0.5, mask = 0.2 }
[models.cyclic.train]
schedule = "cyclic"
snapshots = [1, 2]
offset_per_sequence = true
[models.student.distill]
teachers = ["teacher", "cyclic@1", "cyclic@2"]
generations = 2
ensemble = "mean_probs"
fit_weights = true
signal = "hidden"
alpha_end = 0.9
temperature_end = 1.0
[models.noisy.train]
corruption = { replace = 0.1, mask = 0.1, varies = true }
"#;

#[test]
fn seeds_chains_and_snapshots_become_models_rows_and_exposure() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE);
    let finished = workspace.babyllama("run small.toml").done();
    let shown = finished.stderr.clone() + &finished.stdout;
    let weights = "student-g1  the teachers' weights that fit the held-out text best: 0.";
    for part in [weights, "teacher-1 + teacher-2", "Over seeds.", " ± "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let models = ["teacher-1", "teacher-2", "cyclic", "student-g1", "student", "noisy"];
    for model in models {
        assert!(!workspace.weights(&format!("runs/small/models/{model}/final")).is_empty());
    }
    let snapshot = |epoch| {
        let place = format!("runs/small/models/cyclic/snapshots/epoch-{epoch}");
        workspace.weights(&place)
    };
    assert!(snapshot(1) != snapshot(2));
    // A snapshot is a whole folder, which every command takes.
    let of_snapshot = "runs/small/models/cyclic/snapshots/epoch-1";
    let tokenizer = |place: &str| workspace.bytes(&format!("{place}/tokenizer.json"));
    assert_eq!(tokenizer(of_snapshot), tokenizer("runs/small/models/cyclic/final"));
    let scored = workspace
        .babyllama(&format!("evaluate blimp {of_snapshot} --data runs/small/corpus/pairs"))
        .done();
    assert!(scored.stdout.contains("adjunct_island"), "{}", scored.stdout);
    let exposure: serde_json::Value =
        serde_json::from_str(&workspace.text("runs/small/exposure.json")).unwrap();
    let words = |model: &str, key: &str| exposure[model][key].as_u64().unwrap();
    let all: u64 = models[..5].iter().map(|model| words(model, "words")).sum();
    assert_eq!(words("student", "words_with_teachers"), all);
    assert_eq!(words("teacher-1", "words_with_teachers"), words("teacher-1", "words"));
    assert!(workspace.text("runs/small/table.md").contains("Text that the models have seen"));

    let again = workspace.babyllama("run small.toml").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    // The run's own recipe has every model written out, and means the same.
    let own = workspace.babyllama("run --output runs/small").done();
    assert!(own.stdout.contains("Nothing to do"), "{}", own.stdout);
}

#[test]
fn what_cannot_be_is_refused_before_anything_runs() {
    let workspace = Workspace::new();
    for (from, to, names) in [
        ("seeds = [1, 2]", "seeds = [1, 1]", ["models.teacher.seeds", "has 1 twice"]),
        ("cyclic@2", "cyclic@3", ["models.student", "cyclic@3"]),
        ("generations = 2", "generations = 0", ["distill.generations", "is 0"]),
        ("\"mean_probs\"", "\"mean_logits\"", ["fit_weights", "mean_probs"]),
        ("\"hidden\"", "\"sampled\"", ["models.student", "signal"]),
        ("replace = 0.1", "replace = 0.95", ["models.noisy.train.corruption", "1.05"]),
        ("mask = 0.2", "mask = 0", ["hybrid.mask", "between 0.01 and 0.99"]),
    ] {
        assert!(RECIPE.contains(from), "{from}");
        workspace.write("wrong.toml", RECIPE.replace(from, to));
        for command in ["run", "plan"] {
            let refusal = workspace.babyllama(&format!("{command} wrong.toml")).refused(2);
            refusal.names(&names);
        }
    }
    let online = RECIPE.replace(
        "[models.student.distill]",
        "[models.student.train]\norder = \"documents\"\n[models.student.distill]",
    );
    workspace.write("wrong.toml", online);
    let refusal = workspace.babyllama("run wrong.toml").refused(2);
    refusal.names(&["signal", "order = \"documents\" cuts other sequences"]);
}

/// Every recipe that shows levers can be planned.
#[test]
fn the_recipes_of_levers_can_be_planned() {
    let workspace = Workspace::new();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    for name in ["optimizers", "schedules", "reading", "chain"] {
        let text = std::fs::read_to_string(recipes.join(format!("levers/{name}.toml"))).unwrap();
        workspace.write(&format!("{name}.toml"), text);
        let planned = workspace.babyllama(&format!("plan {name}.toml")).done().stdout;
        for line in ["would refuse", "models."] {
            assert!(!planned.contains(line), "{name}: {planned}");
        }
        let dry = workspace.babyllama(&format!("run {name}.toml --dry-run")).done().stdout;
        assert!(dry.contains("model-"), "{name}: {dry}");
    }
}

#[test]
fn settings_without_effect_are_named_by_plan_and_run() {
    let workspace = Workspace::new();
    let masked = "[models.student.train]\nhybrid = { steps = 1.0, mask = 0.2 }\n";
    let recipe =
        RECIPE.replace("[models.student.distill]", &format!("{masked}[models.student.distill]"));
    workspace.write("small.toml", recipe);
    let line = "models.student: its teachers are read in no step";
    let plan = workspace.babyllama("plan small.toml").done();
    assert!(plan.stdout.contains(line), "{}", plan.stdout);
    let run = workspace.babyllama("run small.toml --only student").done();
    assert!(run.stderr.contains(line), "{}", run.stderr);
    let of_another = workspace.babyllama("plan small.toml --only noisy").done();
    assert!(!of_another.stdout.contains(line), "{}", of_another.stdout);
}

#[test]
fn messages_name_what_was_written_and_the_nearest() {
    let workspace = Workspace::new();
    for (from, to, names) in [
        ("[defaults.train]", "[defaults.trian]", ["`defaults.trian`", "did you mean `train`?"]),
        (
            "words = 3000",
            "words = 3000\ndocuments = { cbd = \"line\" }",
            ["`corpus.documents.cbd`", "did you mean \"cbt\"?"],
        ),
        (
            "teachers = [\"teacher\",",
            "teachers = [\"student\",",
            ["`models.student.distill.teachers[0]`", "is the student itself"],
        ),
    ] {
        assert!(RECIPE.contains(from), "{from}");
        workspace.write("wrong.toml", RECIPE.replace(from, to));
        for command in ["run", "plan"] {
            workspace.babyllama(&format!("{command} wrong.toml")).refused(2).names(&names);
        }
    }
}

#[test]
fn one_model_alone_has_a_ledger_and_needs_a_tokenizer_to_mask() {
    let workspace = Workspace::new();
    // The ledger of a run is that of all its models.
    let (head, _) = RECIPE.split_once("[models.teacher]").unwrap();
    let (_, noisy) = RECIPE.split_once("[models.noisy.train]").unwrap();
    workspace.write("small.toml", format!("{head}[models.noisy.train]{noisy}"));
    workspace.babyllama("run small.toml --output runs/n").done();
    let alone = "pretrain --config small.toml --model noisy --tokens runs/n/tokens/train.bin \
                 --output alone";
    let refusal = workspace.babyllama(alone).refused(1);
    refusal.names(&["mask tokens"]).advises("--tokenizer");
    let tokenizer = "--tokenizer runs/n/tokenizer/tokenizer.json";
    workspace.babyllama(&format!("{alone} {tokenizer}")).done();
    let [found, of_run] =
        ["alone/exposure.json", "runs/n/exposure.json"].map(|path| workspace.json(path));
    let of_run = &of_run["noisy"];
    assert_eq!(found["tokens"], of_run["tokens"]);
    let words = |of: &serde_json::Value| of["words"].as_f64().unwrap();
    assert!((words(&found) / words(of_run) - 1.0).abs() < 0.01, "{found} {of_run}");
}

#[test]
fn readability_is_printed_by_file_and_by_document() {
    let workspace = Workspace::new();
    workspace.write(
        "a.txt",
        "Look at the red ball. Can you throw it to me? Good job! Now we go home.\n",
    );
    workspace.write("b.txt", "one two three four five.\n\nsix seven eight nine ten.\n");
    let whole = workspace.babyllama("corpus readability a.txt b.txt --json found.json").done();
    assert!(whole.stdout.contains("116.45"), "{}", whole.stdout);
    let found: serde_json::Value = serde_json::from_str(&workspace.text("found.json")).unwrap();
    assert_eq!(found[0]["flesch_reading_ease"], 116.45);
    let documents = workspace.babyllama("corpus readability b.txt --documents").done();
    assert_eq!(documents.stdout.lines().count(), 4, "{}", documents.stdout);
    workspace.babyllama("corpus readability a.txt --json a.txt").refused(1).names(&["a.txt"]);
}

#[test]
fn a_teacher_that_cannot_teach_is_found_before_anything_runs() {
    let workspace = Workspace::new();
    workspace.babyllama("run small.toml --only teacher --output runs/t").done();
    let folder = "runs/t/models/teacher/final";
    let recipe = format!(
        "[corpus]\nwords = 3000\n[tokenizer]\npath = '{folder}/tokenizer.json'\n[models.m]\n\
         architecture = 'llama'\nhidden_size = 16\nintermediate_size = 24\nnum_layers = 1\n\
         num_heads = 2\n[models.m.train]\nepochs = 1\nsequence_length = LENGTH\n\
         [models.m.distill]\nteachers = ['{folder}']\n"
    );
    let weights = format!("{folder}/model.safetensors");
    let whole = workspace.bytes(&weights);
    workspace.write("good.toml", recipe.replace("LENGTH", "16"));
    workspace.babyllama("plan good.toml").done();
    workspace.write("long.toml", recipe.replace("LENGTH", "4096"));
    workspace.write(&weights, &whole[..whole.len() - 8]);
    for (file, part) in [("good.toml", "model.safetensors"), ("long.toml", "positions")] {
        if part == "positions" {
            workspace.write(&weights, &whole);
        }
        for command in ["run", "plan"] {
            let refusal = workspace.babyllama(&format!("{command} {file}")).refused(2);
            refusal.names(&["models.m.distill.teachers[0]", part]);
        }
    }
}
