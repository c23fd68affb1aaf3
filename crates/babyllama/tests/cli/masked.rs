//! LTG-BERT, a masked model that recipes make: from text to scores, cut and continued, brought in
//! the layout of its authors, and what is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::cpu::Cpu;
use model::{Architecture, Model, ModelConfig, PositionHeads, hugging_face};
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
num_layers = 2
num_heads = 2

[defaults.train]
epochs = 2
batch_size = 8
sequence_length = 16
learning_rate = 3e-3
checkpoint_steps = 5

[models.first]
architecture = "ltg-bert"
intermediate_size = 24
position_buckets = 4

[models.second]
architecture = "ltg-bert"
intermediate_size = 24
position_buckets = 8
train.masked = { share = 0.3, span = 1 }

[models.causal]
architecture = "gpt2"

[evaluate]
blimp = ["pairs"]
ensembles = [["first", "second"]]
"#;

const MODELS: [&str; 3] = ["first", "second", "causal"];

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("masked.toml", RECIPE);
    workspace
}

fn trained() -> Workspace {
    let workspace = workspace();
    workspace.babyllama("run masked.toml").done();
    workspace
}

const FIRST: &str = "runs/masked/models/first/final";

#[test]
fn a_recipe_goes_from_text_to_scores() {
    let workspace = workspace();
    let plan = workspace.babyllama("plan masked.toml").done().stdout;
    assert!(MODELS.iter().all(|model| plan.contains(model)), "{plan}");
    workspace.babyllama("run masked.toml").done();
    let table = workspace.text("runs/masked/table.md");
    for row in MODELS.into_iter().chain(["first + second"]) {
        assert!(table.contains(&format!("| {row} ")), "{row}: {table}");
    }
    assert!(table.contains("of masked models are of hidden tokens"), "{table}");
    let loss = |model: &str| {
        let row = table.lines().find(|line| line.starts_with(&format!("| {model} "))).unwrap();
        row.split('|').nth(4).unwrap().trim().to_owned()
    };
    let letter = |model: &str| loss(model).split(' ').nth(1).map(str::to_owned);
    let letters: BTreeSet<Option<String>> = MODELS.into_iter().map(letter).collect();
    assert!(letters.len() == 3 && !letters.contains(&None), "hidden in other ways: {table}");
    let page = workspace.text("runs/masked/report.html");
    assert!(page.contains("does not predict the next token writes no text"), "samples");
    assert!(page.contains("it is measured of models that predict the next token"), "sources");
    assert!(MODELS.into_iter().all(|model| !loss(model).contains('*')), "none is best: {table}");
    let config = workspace.json(&format!("{FIRST}/config.json"));
    assert_eq!(
        (&config["model_type"], &config["position_heads"]),
        (&"ltgbert".into(), &"halves".into())
    );
    let again = workspace.babyllama("run masked.toml").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    let page = workspace.text("runs/masked/report.html");
    assert!(MODELS.iter().all(|model| page.contains(model)));
    let metrics = workspace.metrics("runs/masked/models/first");
    let step = metrics.iter().find(|record| record["event"] == "step").unwrap();
    assert_eq!(step["masked"], true, "{step}");
    // The tokenizer has a mask token.
    let roles = workspace.json(&format!("{FIRST}/tokenizer.json"));
    assert_eq!(roles["model"]["vocab"]["<mask>"], 3);
}

#[test]
fn it_is_scored_exported_and_fine_tuned_but_predicts_no_next_token() {
    let workspace = trained();
    workspace.babyllama("export runs/masked --model first --output out").done();
    assert!(workspace.weights("out") == workspace.weights(FIRST));
    let card = workspace.text("out/README.md");
    let hidden = "a share of 0.15, in spans of 3 on average; in place of 10 % of them it reads \
                  random tokens, and 10 % as they are";
    for part in ["fill-mask", "nats per hidden token", hidden, "The loss is of hidden"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    let score = |folder: &str, rules: &str, threads: usize| {
        let line = format!("evaluate blimp {folder} --data pairs --rules {rules}");
        workspace.babyllama(&format!("{line} --json scores.json --threads {threads}")).done();
        workspace.json("scores.json")[0]["blimp"].clone()
    };
    for rules in ["2023", "2024"] {
        let found = score("out", rules, 1);
        assert_eq!(found, score(FIRST, rules, 2), "{rules}");
        assert_eq!(found["tasks"][0]["items"], 16);
    }

    workspace.babyllama("generate out --prompt The").refused(1).names(&["masked"]);
    workspace.babyllama("evaluate loss out --data text").refused(1).names(&["masked"]);

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
    let kept = "cola/seed-12/model";
    for threads in [1, 3] {
        let line = format!("finetune out --data data --keep --output tuned-{threads} {settings}");
        workspace.babyllama(&format!("{line} --threads {threads}")).done();
    }
    let place = |threads: usize| format!("tuned-{threads}/out/{kept}");
    assert!(workspace.weights(&place(1)) == workspace.weights(&place(3)));
    let config = workspace.json(&format!("{}/config.json", place(1)));
    assert_eq!(config["architectures"][0], "LtgBertForSequenceClassification");
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    hugging_face::load_classifier(&workspace.path(&place(1)), &device).unwrap();
}

#[test]
fn training_goes_on_from_a_folder() {
    let workspace = trained();
    let from = RECIPE.split("[models.first]").next().unwrap().replace("[defaults]\n", "");
    let from = from.replace("hidden_size = 16\nnum_layers = 2\nnum_heads = 2\n", "");
    workspace.write("on.toml", format!("{from}[models.on]\nfrom = \"{FIRST}\"\n"));
    workspace.babyllama("run on.toml").done();
    let losses = |place: &str| workspace.losses(place);
    let (first, on) = (losses("runs/masked/models/first"), losses("runs/on/models/on"));
    assert!(on[0] < first[0], "{} after {}", on[0], first[0]);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    workspace().assert_threads_change_no_bit("masked.toml");
}

#[test]
fn a_batch_may_be_split() {
    workspace().assert_a_batch_may_be_split("masked.toml");
}

/// Hidden tokens follow from the step, so that a run goes on with them.
#[test]
#[cfg(unix)]
fn a_killed_run_continues_to_the_same_bits() {
    let kills = [("first", 3), ("first", 80), ("second", 17)];
    workspace().assert_a_kill_changes_no_bit("masked.toml", &kills);
}

#[test]
fn what_a_masked_model_cannot_do_is_refused_before_anything_runs() {
    let workspace = workspace();
    let distilled = "[models.causal]\narchitecture = \"gpt2\"\n[models.causal.distill]\n\
                     teachers = [\"first\"]\n";
    let taught = "position_buckets = 4\n[models.first.distill]\nteachers = [\"causal\"]\n";
    for (from, to, names) in [
        ("mask_token = true", "", "`tokenizer.mask_token` is false; models.first hides tokens"),
        ("position_buckets = 4", "position_buckets = 1", "first.position_buckets` is 1"),
        ("position_buckets = 4", "rotary_dim = 4", "first.rotary_dim` is 4; LTG-BERT"),
        ("share = 0.3", "share = 0", "second.train.masked.share` is 0"),
        ("span = 1", "span = 0.5", "second.train.masked.span` is 0.5"),
        ("span = 1", "keep = 0.7, replace = 0.4", "replace and keep together"),
        ("span = 1", "spam = 1", "spam"),
        ("masked = { share = 0.3, span = 1 }", "hybrid = {}", "second.train.hybrid` is set"),
        ("[models.causal]", "[models.causal]\ntrain.masked = {}", "causal.train.masked` is set"),
        ("position_buckets = 4", "tie_word_embeddings = false", "output layer always has"),
        ("position_buckets = 4", "embedding_dropout = 0.9", "LTG-BERT has one dropout"),
        ("position_buckets = 4", "residual_dropout = 0.3\nembedding_dropout = 0.2", "one dropout"),
        ("position_buckets = 4", "rope_theta = 100", "LTG-BERT has no such key"),
        ("position_buckets = 8", "max_positions = 17", "second.train.sequence_length` is 16"),
        ("[models.causal]\narchitecture = \"gpt2\"\n", distilled, "first\"; LTG-BERT predicts no"),
        ("position_buckets = 4\n", taught, "first.distill` is set; LTG-BERT predicts no next"),
        ("\"first\", \"second\"", "\"first\", \"causal\"", "masked models beside"),
    ] {
        assert!(RECIPE.contains(from), "{from}");
        workspace.write("wrong.toml", RECIPE.replacen(from, to, 1));
        for command in ["run", "plan"] {
            workspace.babyllama(&format!("{command} wrong.toml")).refused(2).names(&[names]);
        }
    }
    workspace.babyllama("tokenizer train text --vocab-size 90 --output plain").done();
    let own = "vocab_size = 300\nmask_token = true";
    let plain = RECIPE.replacen(own, "path = \"plain/tokenizer.json\"", 1);
    assert!(plain != RECIPE);
    workspace.write("wrong.toml", plain);
    for command in ["run", "plan"] {
        let refused = workspace.babyllama(&format!("{command} wrong.toml")).refused(2);
        refused.names(&["tokenizer.path", "models.first hides tokens"]);
    }
    assert_eq!(workspace.names("runs"), [""; 0]);
}

/// What a model's files hold does not show which of two lines of code they are for: a paragraph
/// does.
#[test]
fn a_folder_that_states_no_line_of_code_is_told_by_a_paragraph() {
    let workspace = trained();
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    let config = workspace.json(&format!("{FIRST}/config.json"));
    let words = config["vocab_size"].as_u64().unwrap() as usize;
    let tiny = ModelConfig::tiny(Architecture::LTG_BERT);
    let random = ModelConfig { vocab_size: words, max_positions: 256, ..tiny };
    let random = ModelConfig { initializer_range: 0.4, ..random };
    workspace.copy(FIRST, "brought");
    hugging_face::save(&Model::new(random, &device, 3).unwrap(), &workspace.path("brought"))
        .unwrap();
    let score = |folder: &str| {
        let line = format!("evaluate blimp {folder} --data pairs --json scores.json");
        let finished = workspace.babyllama(&line).done();
        (workspace.json("scores.json")[0]["blimp"].clone(), finished.stderr)
    };
    let (found, notes) = score("brought");
    let halves = notes.contains("heads of distances are halves");
    assert!(halves || notes.contains("heads of distances are interleaved"), "{notes}");
    let stated = |heads| {
        let model = hugging_face::load_any(&workspace.path("brought"), &device).unwrap();
        let model = model.with_position_heads(heads).unwrap();
        workspace.copy("brought", "stated");
        hugging_face::save(&model, &workspace.path("stated")).unwrap();
        score("stated")
    };
    let both = [PositionHeads::Halves, PositionHeads::Interleaved].map(stated);
    assert!(both.iter().all(|(_, notes)| !notes.contains("heads of distances")));
    assert_eq!(found, both[usize::from(!halves)].0);

    std::fs::remove_file(workspace.path("brought/tokenizer.json")).unwrap();
    let refusal = workspace.babyllama("evaluate blimp brought --data pairs").refused(1);
    refusal.names(&["how brought cuts distances into heads"]).advises("position_heads");
}

/// By `LD_LIBRARY_PATH` on the emulator.
#[test]
#[ignore = "needs a GPU or the emulator"]
fn a_gpu_trains_and_scores_masked_models_as_the_cpu_does() {
    workspace().assert_a_gpu_trains_as_the_cpu("masked.toml");
}
