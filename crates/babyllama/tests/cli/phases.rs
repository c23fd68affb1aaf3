//! Trainings of several phases, with sharpness-aware minimisation, ascent and an average.

use super::common::Workspace;

const RECIPE: &str = r#"
[corpus]
words = 3000
validation_fraction = 0.2
[tokenizer]
vocab_size = 300
[models.phased]
architecture = "llama"
hidden_size = 32
intermediate_size = 48
num_layers = 1
num_heads = 2
[models.phased.train]
batch_size = 4
sequence_length = 16
learning_rate = 3e-3
warmup_ratio = 0.1
checkpoint_steps = 3
average = { kind = "ema_steps", decay = 0.9 }
[[models.phased.train.phases]]
name = "easy"
epochs = 1
sources = ["aochildes", "cbt"]
[[models.phased.train.phases]]
epochs = 1
[[models.phased.train.phases]]
epochs = 0.5
sam = { rho = 0.05 }
[[models.phased.train.phases]]
name = "ascent"
max_steps = 6
objective = "ascent"
batch_size = 1
same_batch = true
dropout = false
optimizer = "adamw"
learning_rate = 5e-5
schedule = "constant"
"#;

const MODEL: &str = "models/phased";

#[test]
#[cfg(unix)]
fn bits_depend_neither_on_threads_nor_on_a_kill_in_any_phase() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE);
    let run = |output: &str, rest: &str| {
        workspace.babyllama(&format!("run small.toml --output {output} {rest}")).done()
    };
    let whole = run("runs/whole", "--threads 2").stderr;
    for line in ["phased  phase 2: steps ", "phased  phase ascent: steps ", ", averaged "] {
        assert!(whole.contains(line), "{line}: {whole}");
    }
    run("runs/one", "--threads 1");
    let steps: Vec<u64> = workspace
        .metrics(&format!("runs/whole/{MODEL}"))
        .iter()
        .filter_map(|record| record["step"].as_u64().filter(|_| record["event"] == "step"))
        .collect();
    let mut phases: Vec<(String, String)> = workspace
        .metrics(&format!("runs/whole/{MODEL}"))
        .iter()
        .map(|record| ["event", "phase"].map(|key| record[key].as_str().unwrap().to_owned()))
        .map(|[event, phase]| (phase, event))
        .collect();
    phases.dedup();
    let expected = ["easy", "2", "3", "ascent"]
        .map(|phase| ["step", "evaluation"].map(|event| (phase.to_owned(), event.to_owned())));
    assert_eq!(phases, expected.concat());
    let last = *steps.last().unwrap();
    assert_eq!(steps, (1..=last).collect::<Vec<_>>());
    let words = ["run", "small.toml", "--output", "runs/killed"];
    for step in [1, 7, last / 3, last / 2, last - 20] {
        let model = format!("runs/killed/{MODEL}");
        super::interruption::signalled(&workspace, &words, &model, step, "KILL");
    }
    let plan = workspace.babyllama("plan small.toml --output runs/killed").done();
    assert!(plan.stdout.contains("phased has done "), "{}", plan.stdout);
    workspace.babyllama(&words.join(" ")).done();
    let plan = workspace.babyllama("plan small.toml --output runs/killed").done();
    assert!(!plan.stdout.contains("phased has done "), "{}", plan.stdout);
    for other in ["runs/one", "runs/killed"] {
        let weights = |run: &str| workspace.weights(&format!("{run}/{MODEL}/final"));
        assert!(weights(other) == weights("runs/whole"), "{other}");
        let metrics = |run: &str| workspace.metrics(&format!("{run}/{MODEL}"));
        assert_eq!(metrics(other), metrics("runs/whole"), "{other}");
    }
}

#[test]
fn a_plan_counts_phases_and_a_file_that_is_not_there_is_named_before_anything_runs() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE);
    let plan = workspace.babyllama("plan small.toml").done();
    assert!(plan.stdout.contains("phased"), "{}", plan.stdout);
    workspace.write("wrong.toml", RECIPE.replace("\"cbt\"", "\"cbd\""));
    for command in ["run", "plan"] {
        let refusal = workspace.babyllama(&format!("{command} wrong.toml")).refused(2);
        refusal.names(&["wrong.toml:23", "models.phased.train.phases[0].sources[1]", "\"cbd\""]);
    }
    let beside = RECIPE.replace("checkpoint_steps = 3", "epochs = 4");
    workspace.write("wrong.toml", beside);
    let problem = "wrong.toml:18: `models.phased.train.epochs` is 4; phases state their own epochs";
    workspace.babyllama("run wrong.toml").refused(2).names(&[problem]);
    let refusal = workspace.babyllama("plan small.toml --set train.epochs=4").refused(2);
    refusal.names(&["--set train.epochs=4: `models.phased.train.epochs` is 4"]);
    workspace.write("wrong.toml", RECIPE.replace("max_steps = 6", "epoch = 6"));
    let refusal = workspace.babyllama("run wrong.toml").refused(2);
    refusal.names(&["models.phased.train.phases[3].epoch"]);
    workspace.write("wrong.toml", RECIPE.replace("epochs = 0.5", "epochs = 0.5\nmax_steps = 2"));
    let refusal = workspace.babyllama("run wrong.toml").refused(2);
    refusal.names(&["models.phased.train.phases[2].max_steps"]);
}

#[test]
fn what_does_not_fit_the_text_is_found_before_any_model_is_trained() {
    let workspace = Workspace::new();
    let two = format!(
        "{RECIPE}[models.other]\narchitecture = \"llama\"\nhidden_size = 32\n\
                       intermediate_size = 48\nnum_layers = 1\nnum_heads = 2\n\
                       [models.other.train]\n"
    );
    for (code, train, names) in [
        (2, "snapshots = [4]\n", ["models.other.train", "snapshots[0]"]),
        (
            1,
            "sequence_length = 500\n[[models.other.train.phases]]\nname = \"short\"\nepochs = 1\n\
             sources = [\"cbt\"]\n",
            ["models.other.train", "phase short"],
        ),
    ] {
        workspace.write("wrong.toml", format!("{two}{train}"));
        let refusal = workspace.babyllama("run wrong.toml --output runs/wrong").refused(code);
        refusal.names(&names);
        assert!(!workspace.path("runs/wrong/models").exists());
    }
}

#[test]
fn a_loss_beyond_all_measure_ends_as_any_other() {
    let workspace = Workspace::new();
    let hot = RECIPE.replace("learning_rate = 5e-5", "learning_rate = 1.0");
    let hot = hot.replace("optimizer = \"adamw\"", "optimizer = \"lion\"");
    workspace.write("hot.toml", hot.replace("max_steps = 6", "max_steps = 60"));
    let finished = workspace.babyllama("run hot.toml").done();
    assert!(finished.stdout.contains("phased"), "{}", finished.stdout);
    workspace.babyllama("run hot.toml").done();
}
