//! What may not change a result: the number of threads, and how a batch is split.

use super::common::{RECIPE, Workspace};

/// Steps large enough to be shared among threads: 1,024 tokens, and a GPT-2 with dropout, a grouped
/// LLaMA and a student of both.
fn wide_recipe() -> String {
    let wider = RECIPE
        .replace("hidden_size = 16", "hidden_size = 64")
        .replace("intermediate_size = 24", "intermediate_size = 96");
    let train = "[models.gpt2.train]\nmax_steps = 8\nbatch_size = 32\nsequence_length = \
     32\nlearning_rate = 3e-3\n\n";
    let gpt2 = "[models.gpt2]\narchitecture = \"gpt2\"\nhidden_size = 64\nnum_layers = \
     2\nnum_heads = 4\n\n";
    wider
        .replace(
            "batch_size = 8\nsequence_length = 16",
            "max_steps = 8\nbatch_size = 32\nsequence_length = 32",
        )
        .replace("[models.student]", &format!("{gpt2}{train}[models.student]"))
        .replace("[\"teacher\"]", "[\"teacher\", \"gpt2\"]")
}

const MODELS: [&str; 3] = ["teacher", "gpt2", "student"];

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("small.toml", wide_recipe());
    workspace
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let workspace = workspace();
    let optimizers = "--set gpt2.train.optimizer=muon --set student.train.optimizer=normuon --set \
         student.train.optimizer_options.polar_express=1";
    for threads in 1..=3 {
        let line = format!("--threads {threads} run small.toml --output runs/{threads}");
        workspace.babyllama(&format!("{line} {optimizers}")).done();
    }
    for model in MODELS {
        let [one, two, three] = [1, 2, 3].map(|threads| format!("runs/{threads}/models/{model}"));
        assert!(
            workspace.weights(&format!("{one}/final"))
                == workspace.weights(&format!("{two}/final")),
            "{model}"
        );
        assert!(
            workspace.weights(&format!("{one}/final"))
                == workspace.weights(&format!("{three}/final")),
            "{model}"
        );
        assert_eq!(workspace.metrics(&one), workspace.metrics(&two));
        assert_eq!(workspace.metrics(&one), workspace.metrics(&three));
    }
    for file in workspace.names("runs/1/evaluation") {
        assert_eq!(
            workspace.text(&format!("runs/1/evaluation/{file}")),
            workspace.text(&format!("runs/3/evaluation/{file}"))
        );
    }
}

#[test]
fn a_batch_may_be_split() {
    let workspace = workspace();
    let split = |size: usize| {
        MODELS.map(|model| format!("--set {model}.train.micro_batch_size={size}")).join(" ")
    };
    for size in [0, 1, 5] {
        workspace.babyllama(&format!("run small.toml --output runs/{size} {}", split(size))).done();
    }
    for model in MODELS {
        let whole = workspace.losses(&format!("runs/0/models/{model}"));
        assert_eq!(whole.len(), 8);
        for size in [1, 5] {
            let found = workspace.losses(&format!("runs/{size}/models/{model}"));
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-5 * a.abs();
            assert!(whole.iter().zip(&found).all(near), "{model}: {whole:?} {found:?}");
        }
    }
}

#[test]
fn another_seed_is_another_model() {
    let workspace = Workspace::trained();
    workspace.babyllama("run small.toml --output runs/other --set seed=8").done();
    for model in ["teacher", "student"] {
        let weights = |run: &str| workspace.weights(&format!("runs/{run}/models/{model}/final"));
        assert!(weights("small") != weights("other"), "{model}");
    }
}
