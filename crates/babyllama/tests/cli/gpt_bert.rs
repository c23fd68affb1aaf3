//! GPT-BERT and ELC-BERT from recipes: from text to scores by both back ends, text that they write,
//! teachers and students, cut and continued, and what is refused.

use std::sync::Arc;

use engine::cpu::Cpu;
use model::hugging_face;
use serde_json::json;

use super::common::{Workspace, sentences};

const RECIPE: &str = r#"
seed = 7

[corpus]
source = "text"
validation_fraction = 0.1

[tokenizer]
vocab_size = 300
mask_token = true

[defaults]
hidden_size = 16
intermediate_size = 24
num_layers = 2
num_heads = 2

[defaults.train]
epochs = 2
batch_size = 8
sequence_length = 16
learning_rate = 3e-3
checkpoint_steps = 5

[models.elc]
architecture = "elc-bert"
elc_variant = "weighted_output"
position_buckets = 4

[models.both]
architecture = "gpt-bert"
position_buckets = 4
train.hybrid = { steps = 0.6, mask = 0.3, mask_end = 0.15, longest_span = 3, replace = 0.1 }

[models.taught]
architecture = "gpt2"
distill.teachers = ["both"]

[models.student]
architecture = "gpt-bert"
distill.teachers = ["taught"]

[evaluate]
blimp = ["pairs"]
ensembles = [["both", "taught"]]
"#;

const MODELS: [&str; 4] = ["elc", "both", "taught", "student"];

const BOTH: &str = "runs/hybrid/models/both/final";
const ELC: &str = "runs/hybrid/models/elc/final";

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("hybrid.toml", RECIPE);
    workspace
}

fn trained() -> Workspace {
    let workspace = workspace();
    workspace.babyllama("run hybrid.toml").done();
    workspace
}

#[test]
fn a_recipe_goes_from_text_to_scores() {
    let workspace = workspace();
    let plan = workspace.babyllama("plan hybrid.toml").done().stdout;
    assert!(MODELS.iter().all(|model| plan.contains(model)), "{plan}");
    workspace.babyllama("run hybrid.toml").done();
    let table = workspace.text("runs/hybrid/table.md");
    for row in MODELS.into_iter().chain(["both + taught"]) {
        assert!(table.contains(&format!("| {row} ")), "{row}: {table}");
    }
    let config = workspace.json(&format!("{BOTH}/config.json"));
    assert_eq!(
        (&config["model_type"], &config["pad_token_id"]),
        (&"gpt_bert".into(), &json!(null))
    );
    let config = workspace.json(&format!("{ELC}/config.json"));
    assert_eq!(config["elc_variant"], "weighted_output");
    let again = workspace.babyllama("run hybrid.toml").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    let metrics = workspace.metrics("runs/hybrid/models/both");
    let masked = |is: bool| {
        let steps = metrics.iter().filter(|record| record["event"] == "step");
        steps.filter(|record| (record["masked"] == true) == is).count()
    };
    assert!(masked(true) > 0 && masked(false) > 0, "{} masked", masked(true));
}

#[test]
fn it_is_scored_by_both_back_ends_and_writes_text() {
    let workspace = trained();
    let score = |backend: &str, threads: usize| {
        let line = format!("evaluate blimp {BOTH} --data pairs --backend {backend}");
        workspace.babyllama(&format!("{line} --json scores.json --threads {threads}")).done();
        workspace.json("scores.json")[0]["blimp"].clone()
    };
    let (causal, mntp) = (score("causal", 1), score("mntp", 1));
    assert_eq!((&causal, &mntp), (&score("causal", 3), &score("mntp", 2)));
    assert_eq!((&causal["backend"], &mntp["backend"]), (&json!(null), &"mntp".into()));
    assert_eq!(mntp["tasks"][0]["items"], 16);
    workspace.babyllama("export runs/hybrid --model both --output out").done();
    assert!(workspace.weights("out") == workspace.weights(BOTH));
    workspace.babyllama("generate out --prompt The --max-tokens 5").done();
    workspace.babyllama("evaluate loss out --data text --sequence-length 16").done();

    let refusal = workspace.babyllama(&format!("evaluate blimp {ELC} --data pairs --backend mntp"));
    refusal.refused(1).names(&["but no masked model"]).advises("--backend mntp");
    workspace.babyllama(&format!("generate {ELC} --prompt The")).refused(1).names(&["masked"]);
}

#[test]
fn both_are_fine_tuned_between_the_ends_of_texts() {
    let workspace = trained();
    let items = |count: usize, seed: u64| -> String {
        let of_one = |(index, text): (usize, &str)| {
            let item = json!({"sentence": text, "label": index % 2, "idx": index});
            format!("{item}\n")
        };
        sentences(count, seed).lines().enumerate().map(of_one).collect()
    };
    workspace.write("data/cola.train.jsonl", items(24, 1));
    workspace.write("data/cola.valid.jsonl", items(10, 2));
    let settings = "--set default.epochs=2 --set default.batch_size=8";
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    for (folder, class) in
        [(BOTH, "GPTBERTForSequenceClassification"), (ELC, "ElcBertForSequenceClassification")]
    {
        workspace.copy(folder, "model");
        for threads in [1, 3] {
            let line = format!("finetune model --data data --keep --output {class}-{threads}");
            workspace.babyllama(&format!("{line} {settings} --threads {threads}")).done();
        }
        let place = |threads: usize| format!("{class}-{threads}/model/cola/seed-12/model");
        assert!(workspace.weights(&place(1)) == workspace.weights(&place(3)));
        let config = workspace.json(&format!("{}/config.json", place(1)));
        assert_eq!(config["architectures"][0], class);
        hugging_face::load_classifier(&workspace.path(&place(1)), &device).unwrap();
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    workspace().assert_threads_change_no_bit("hybrid.toml");
}

/// Which steps hide tokens, and which, follows from the step, so that a run goes on with them.
#[test]
#[cfg(unix)]
fn a_killed_run_continues_to_the_same_bits() {
    let kills = [("elc", 17), ("both", 3), ("both", 60)];
    workspace().assert_a_kill_changes_no_bit("hybrid.toml", &kills);
}

#[test]
fn what_they_cannot_do_is_refused_before_anything_runs() {
    let workspace = workspace();
    for (from, to, names) in [
        ("\"weighted_output\"", "\"third\"", "models.elc.elc_variant` cannot be \"third\""),
        ("gpt2\"", "gpt2\"\nelc_variant = \"base\"", "taught.elc_variant` is stated; GPT-2 has no"),
        ("mask_end = 0.15", "mask_end = 0", "both.train.hybrid.mask_end` is 0"),
        ("longest_span = 3", "longest_span = 0", "both.train.hybrid.longest_span` is 0"),
        ("replace = 0.1", "replace = 0.6, keep = 0.5", "replace and keep together"),
        ("train.hybrid", "train.masked = {}\ntrain.hybrid", "both.train.masked` is set; GPT-BERT"),
        ("[\"both\"]", "[\"elc\"]", "\"elc\"; ELC-BERT predicts no next token and cannot teach"),
        ("mask_token = true", "", "`tokenizer.mask_token` is false; models.elc hides tokens"),
    ] {
        assert!(RECIPE.contains(from), "{from}");
        workspace.write("wrong.toml", RECIPE.replacen(from, to, 1));
        for command in ["run", "plan"] {
            workspace.babyllama(&format!("{command} wrong.toml")).refused(2).names(&[names]);
        }
    }
    assert_eq!(workspace.names("runs"), [""; 0]);
}
