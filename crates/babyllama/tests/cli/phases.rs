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

/// The phases of `RECIPE`, trained by Muon; the last one has AdamW.
fn recipe_with_muon() -> String {
    let muon = "optimizer = \"muon\"\noptimizer_options = { momentum_warmup_steps = 40 }\n";
    RECIPE.replace("warmup_ratio = 0.1\n", &format!("warmup_ratio = 0.1\n{muon}"))
}

/// Kills a run at `kills` places, drawn with a seed, and compares it with one that was not killed.
#[cfg(unix)]
fn kill_at_random_places(kills: u64, seed: u64) {
    let workspace = Workspace::new();
    workspace.write("small.toml", recipe_with_muon());
    let run = |output: &str, rest: &str| {
        workspace.babyllama(&format!("run small.toml --output {output} {rest}")).done()
    };
    let whole = run("runs/whole", "--threads 1").stderr;
    assert!(whole.contains("; the optimizer begins anew"), "{whole}");
    run("runs/three", "--threads 3");
    let metrics = |run: &str| workspace.metrics(&format!("{run}/{MODEL}"));
    let last = metrics("runs/whole").last().unwrap()["step"].as_u64().unwrap();
    let rng = base::rng::Rng::new(seed, "kills");
    let mut steps: Vec<u64> = (0..kills).map(|kill| 1 + rng.below(kill, last - 20)).collect();
    steps.sort_unstable();
    let words = ["run", "small.toml", "--output", "runs/killed"];
    for (kill, step) in (0..).zip(steps) {
        let model = format!("runs/killed/{MODEL}");
        let wait = std::time::Duration::from_micros(rng.below(1000 + kill, 3000));
        super::interruption::signalled_when(&workspace, &words, "KILL", || {
            let there = super::interruption::last_step(&workspace, &model) >= step;
            if there {
                std::thread::sleep(wait);
            }
            there
        });
    }
    workspace.babyllama(&words.join(" ")).done();
    for other in ["runs/three", "runs/killed"] {
        let weights = |run: &str| workspace.weights(&format!("{run}/{MODEL}/final"));
        assert!(weights(other) == weights("runs/whole"), "{other}");
        assert_eq!(metrics(other), metrics("runs/whole"), "{other}");
    }
}

#[test]
#[cfg(unix)]
fn muon_and_an_average_go_on_to_the_same_bits_in_any_phase() {
    kill_at_random_places(4, 1);
}

#[test]
#[cfg(unix)]
#[ignore = "thirty kills take minutes"]
fn thirty_kills_change_no_bit() {
    kill_at_random_places(30, 2);
}

/// What a phase falls back to is another optimizer than before, and begins anew.
#[test]
fn a_phase_after_one_with_another_optimizer_begins_with_fresh_state() {
    let workspace = Workspace::new();
    let phases = "[[models.phased.train.phases]]\nmax_steps = 4\n\
                  [[models.phased.train.phases]]\nmax_steps = 4\noptimizer = \"lion\"\n\
                  learning_rate = 3e-4\n[[models.phased.train.phases]]\nmax_steps = 4\n";
    let head = RECIPE.split("[[models").next().unwrap();
    workspace.write("small.toml", format!("{head}{phases}"));
    let finished = workspace.babyllama("run small.toml --output runs/lion").done().stderr;
    for phase in ["phase 2: steps 5 to 8 of 12", "phase 3: steps 9 to 12 of 12"] {
        let line = format!("{phase}; the optimizer begins anew");
        assert!(finished.contains(&line), "{line}: {finished}");
    }
    let anew: Vec<bool> = workspace
        .metrics("runs/lion/models/phased")
        .iter()
        .filter(|record| record["event"] == "step")
        .map(|record| record["optimizer_begins_anew"].as_u64().is_some())
        .collect();
    let expected: Vec<bool> = (1..=12).map(|step| step == 5 || step == 9).collect();
    assert_eq!(anew, expected);
    workspace.write(
        "small.toml",
        format!("{head}optimizer = \"muon\"\n{phases}").replace("lion", "adamw"),
    );
    let finished = workspace.babyllama("run small.toml --output runs/muon").done().stderr;
    let line = finished.lines().find(|line| line.contains("phase 3: steps 9")).unwrap();
    assert!(line.contains("; the optimizer of ") && line.ends_with(" parameters begins anew"));
}

#[test]
fn a_plan_has_the_memory_of_every_phase_and_what_the_text_is_too_short_for() {
    let workspace = Workspace::new();
    let decay = RECIPE.replace("warmup_ratio", "weight_decay = 0.2\nwarmup_ratio");
    let decay = decay.replace("epochs = 0.5", "epochs = 0.5\nweight_decay_epochs = 0.4");
    workspace.write("small.toml", &decay);
    let plan = workspace.babyllama("plan small.toml").done().stdout;
    for part in ["0.40 to ", "phased: tau is ", " in phase easy (of 1.00 epochs), "] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    workspace.write("small.toml", decay.replace("weight_decay = 0.2", "weight_decay = 1e-6"));
    let plan = workspace
        .babyllama("plan small.toml --set phased.train.phases[2].weight_decay_epochs=99")
        .done();
    let line = "Weight decay does nothing to phased: all phases together are shorter than";
    assert!(plan.stdout.contains(line), "{}", plan.stdout);
    let warning = "models.phased: gradient ascent raises the held-out loss";
    assert!(plan.stdout.contains(warning), "{}", plan.stdout);
    let refused = workspace
        .babyllama("plan small.toml --set phased.train.phases[2].weight_decay_epochs=0.001")
        .done();
    let line = "`run` would refuse phased, as far as an estimate of its text shows: \
                `phases[2].weight_decay_epochs` is 0.001";
    assert!(refused.stdout.contains(line), "{}", refused.stdout);
}

#[test]
fn buckets_are_phases_of_files_by_their_readability() {
    let workspace = Workspace::new();
    let head = RECIPE.split("[[models").next().unwrap();
    let buckets = "buckets = { measure = \"gunning_fog\", count = 3, epochs = 1 }\n";
    workspace.write("small.toml", format!("{head}{buckets}"));
    let plan = workspace.babyllama("plan small.toml").done().stdout;
    assert!(plan.contains("phased"), "{plan}");
    let run = workspace.babyllama("run small.toml --output runs/buckets").done().stderr;
    let files = |bucket: usize| -> Vec<String> {
        let start = format!("phased  bucket {bucket}: ");
        let line = run.lines().find_map(|line| line.split_once(&start)).expect(&run).1;
        line.split(", ").map(str::to_owned).collect()
    };
    let all = files(3);
    assert!(all.len() > 3 && all.starts_with(&files(2)) && all.starts_with(&files(1)));
    // The same order as that of the command.
    let texts: Vec<String> = workspace
        .names("runs/buckets/corpus/train")
        .iter()
        .map(|name| format!("runs/buckets/corpus/train/{name}"))
        .collect();
    let command = format!("corpus readability {} --json found.json", texts.join(" "));
    workspace.babyllama(&command).done();
    let found = workspace.json("found.json");
    let fog = |name: &String| {
        let is_it = |file: &&serde_json::Value| {
            let file = file["file"].as_str().unwrap();
            file.rsplit('/').next().unwrap().split('.').next() == Some(name)
        };
        let file = found.as_array().unwrap().iter().find(is_it).unwrap();
        file["gunning_fog"].as_f64().unwrap()
    };
    let order: Vec<f64> = all.iter().map(fog).collect();
    assert!(order.is_sorted(), "{all:?} {order:?}");
    let again = workspace.babyllama("run small.toml --output runs/buckets").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    workspace.babyllama("run --output runs/buckets").done();
    let many = "small.toml --set phased.train.buckets.count=99";
    for command in ["run", "plan"] {
        let refusal = workspace.babyllama(&format!("{command} {many}")).refused(1);
        refusal.names(&["models.phased", "`buckets.count` is 99; the text has "]);
    }
    let refusal = workspace.babyllama("run small.toml --set phased.train.epochs=2").refused(2);
    refusal.names(&["phased.train.epochs", "buckets state their own epochs"]);
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
        // Shorter than the training text, and longer than the held-out text.
        (1, "sequence_length = 4000\n", ["models.other.train", "the validation text has"]),
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
