//! T5, an encoder-decoder: brought in with its own kind of tokenizer, scored, fine-tuned, refused;
//! and made by recipes, from text to scores, cut and continued.

use std::path::Path;
use std::sync::Arc;

use engine::cpu::Cpu;
use model::{Architecture, Model, ModelConfig, hugging_face};
use serde_json::json;

use super::common::{STUDENT, Workspace, sentences};

/// Writes an untrained T5 with the tokenizer of its family.
fn bring(workspace: &Workspace, folder: &str) {
    let config = ModelConfig {
        vocab_size: 48,
        max_positions: 64,
        initializer_range: 1.0,
        ..ModelConfig::tiny(Architecture::T5)
    };
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    hugging_face::save(&Model::new(config, &device, 7).unwrap(), &workspace.path(folder)).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/tests/fixtures/t5");
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
        let content = std::fs::read(Path::new(fixture).join(name)).unwrap();
        workspace.write(&format!("{folder}/{name}"), content);
    }
}

#[test]
fn a_brought_t5_is_scored_by_the_rules_of_both_years() {
    let workspace = Workspace::new();
    bring(&workspace, "t5");
    let score = |rules: &str, threads: usize| {
        let line = format!("evaluate blimp t5 --data pairs --rules {rules}");
        workspace.babyllama(&format!("{line} --json scores.json --threads {threads}")).done();
        workspace.json("scores.json")[0]["blimp"].clone()
    };
    for rules in ["2023", "2024"] {
        let found = score(rules, 1);
        assert_eq!(found, score(rules, 2), "{rules}");
        assert_eq!(found["tasks"][0]["items"], 16);
    }
}

#[test]
fn it_is_fine_tuned_on_its_encoder() {
    let workspace = Workspace::new();
    bring(&workspace, "t5");
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
    for threads in [1, 3] {
        let line = format!("finetune t5 --data data --keep --output tuned-{threads} {settings}");
        workspace.babyllama(&format!("{line} --threads {threads}")).done();
    }
    let place = |threads: usize| format!("tuned-{threads}/t5/cola/seed-12/model");
    assert!(workspace.weights(&place(1)) == workspace.weights(&place(3)));
    let config = workspace.json(&format!("{}/config.json", place(1)));
    assert_eq!(config["architectures"][0], "T5EncoderForSequenceClassification");
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    let classifier = hugging_face::load_classifier(&workspace.path(&place(1)), &device).unwrap();
    let layout = classifier.parameters().layout().clone();
    assert!(layout.segments().iter().all(|named| !named.name.starts_with("decoder")));
}

#[test]
fn what_a_t5_cannot_do_is_refused_by_name() {
    let workspace = Workspace::trained();
    bring(&workspace, "t5");
    for line in ["generate t5 --prompt The", "evaluate loss t5 --data text"] {
        workspace.babyllama(line).refused(1).names(&["t5/config.json", "an encoder-decoder"]);
    }
    let taught = "run small.toml --output runs/taught --set student.distill.teachers=['t5']";
    workspace.babyllama(taught).refused(2).names(&["teachers[0]", "an encoder-decoder"]);
    let beside = format!("evaluate blimp t5 {STUDENT} --ensemble --data pairs");
    workspace.babyllama(&beside).refused(1);

    let change = |name: &str, from: &str, to: &str| {
        let path = format!("t5/{name}");
        workspace.write(&path, workspace.text(&path).replace(from, to));
    };
    let evaluate = "evaluate blimp t5 --data pairs";
    change("config.json", "T5ForConditionalGeneration", "T5EncoderModel");
    let refusal = workspace.babyllama(evaluate).refused(1);
    refusal.names(&["T5EncoderModel", "encoder-decoder alone"]).advises("with its decoder");
    workspace.babyllama("generate t5 --prompt The").refused(1).names(&["T5EncoderModel"]);
    change("config.json", "T5EncoderModel", "T5ForConditionalGeneration");

    std::fs::rename(workspace.path("t5/tokenizer.json"), workspace.path("t5/spiece.model"))
        .unwrap();
    let refusal = workspace.babyllama(evaluate).refused(1);
    refusal.names(&["t5/spiece.model", "SentencePiece"]).advises("T5TokenizerFast");
}

const RECIPE: &str = r#"
seed = 7

[corpus]
source = "text"
validation_fraction = 0.1

[tokenizer]
vocab_size = 300
sentinels = 10

[defaults]
architecture = "t5"
hidden_size = 16
intermediate_size = 24
num_layers = 1
num_heads = 2

[defaults.train]
epochs = 2
batch_size = 8
sequence_length = 16
learning_rate = 3e-3
checkpoint_steps = 5

[models.first]
position_buckets = 8
max_distance = 12

[models.second]
decoder_layers = 2
feed_forward = "gated_gelu"
tie_word_embeddings = false
train.spans = { share = 0.3, span = 2 }

[evaluate]
blimp = ["pairs"]
ensembles = [["first", "second"]]
"#;

const FIRST: &str = "runs/spans/models/first/final";

fn with_recipe() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("spans.toml", RECIPE);
    workspace
}

#[test]
fn a_recipe_of_encoder_decoders_goes_from_text_to_scores() {
    let workspace = with_recipe();
    let plan = workspace.babyllama("plan spans.toml").done().stdout;
    assert!(plan.contains("first") && plan.contains("second"), "{plan}");
    workspace.babyllama("run spans.toml").done();
    let table = workspace.text("runs/spans/table.md");
    for row in ["first", "second", "first + second"] {
        assert!(table.contains(&format!("| {row} ")), "{row}: {table}");
    }
    assert!(table.contains("of encoder-decoders are of hidden spans"), "{table}");
    let losses = workspace.losses("runs/spans/models/first");
    assert!(losses.last() < losses.first(), "{losses:?}");
    let config = workspace.json(&format!("{FIRST}/config.json"));
    assert_eq!(config["model_type"], "t5");
    assert_eq!(
        (&config["decoder_start_token_id"], &config["eos_token_id"]),
        (&1.into(), &2.into())
    );
    let tokenizer = workspace.json(&format!("{FIRST}/tokenizer.json"));
    assert_eq!(tokenizer["model"]["vocab"]["<extra_id_9>"], 12);
    let again = workspace.babyllama("run spans.toml").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    workspace.babyllama("export runs/spans --model first --output out").done();
    assert!(workspace.weights("out") == workspace.weights(FIRST));
    assert!(workspace.text("out/README.md").contains("text2text-generation"));
    for rules in ["2023", "2024"] {
        let line = format!("evaluate blimp out --data pairs --rules {rules}");
        workspace.babyllama(&line).done();
    }
    // Training goes on from its folder.
    let from = RECIPE.split("[models.first]").next().unwrap();
    let (head, train) = from.split_once("[defaults]").unwrap();
    let train = &train[train.find("[defaults.train]").unwrap()..];
    workspace.write("on.toml", format!("{head}{train}[models.on]\nfrom = \"{FIRST}\"\n"));
    workspace.babyllama("run on.toml").done();
    let on = workspace.losses("runs/on/models/on");
    assert!(on[0] < losses[0], "{} after {}", on[0], losses[0]);
}

#[test]
fn the_number_of_threads_changes_no_bit_of_an_encoder_decoder() {
    with_recipe().assert_threads_change_no_bit("spans.toml");
}

#[test]
fn a_batch_of_an_encoder_decoder_may_be_split() {
    with_recipe().assert_a_batch_may_be_split("spans.toml");
}

/// Hidden spans follow from the step, so that a run goes on with them.
#[test]
#[cfg(unix)]
fn a_killed_run_of_an_encoder_decoder_continues_to_the_same_bits() {
    let kills = [("first", 3), ("first", 80), ("second", 17)];
    with_recipe().assert_a_kill_changes_no_bit("spans.toml", &kills);
}

#[test]
fn what_an_encoder_decoder_cannot_do_is_refused_before_anything_runs() {
    let workspace = with_recipe();
    let causal = "[models.causal]\narchitecture = \"gpt2\"\n[evaluate]";
    for (from, to, names) in [
        ("sentinels = 10", "", "`tokenizer.sentinels` is 0; models.first hides 1 spans"),
        ("position_buckets = 8", "position_buckets = 6", "first.position_buckets` is 6"),
        ("max_distance = 12", "max_distance = 4", "first.max_distance` is 4"),
        ("max_distance = 12", "rotary_dim = 4", "first.rotary_dim` is 4; T5"),
        ("decoder_layers = 2", "decoder_layers = 0", "second.decoder_layers` is 0"),
        ("gated_gelu", "silu", "silu"),
        ("share = 0.3", "share = 0", "second.train.spans.share` is 0"),
        ("span = 2", "span = 0.5", "second.train.spans.span` is 0.5"),
        ("span = 2", "keep = 0.1", "keep"),
        ("spans = { share = 0.3, span = 2 }", "hybrid = {}", "second.train.hybrid` is set"),
        ("spans = { share = 0.3, span = 2 }", "masked = {}", "second.train.masked` is set; T5"),
        ("max_distance = 12", "max_positions = 16", "first.train.sequence_length` is 16"),
        ("max_distance = 12", "distill.teachers = [\"second\"]", "first.distill"),
        ("[\"first\", \"second\"]]", "[\"first\", \"causal\"]]", "encoder-decoders beside"),
    ] {
        assert!(RECIPE.contains(from), "{from}");
        let recipe = RECIPE.replacen(from, to, 1);
        let recipe =
            if to.contains("causal") { recipe.replace("[evaluate]", causal) } else { recipe };
        workspace.write("wrong.toml", recipe);
        for command in ["run", "plan"] {
            workspace.babyllama(&format!("{command} wrong.toml")).refused(2).names(&[names]);
        }
    }
    assert_eq!(workspace.names("runs"), [""; 0]);
}
