//! Models with experts, of both bodies: from text to scores, as teachers and students, cut and
//! continued, and what is refused.

use std::sync::Arc;

use corpus::Tokenizer;
use engine::cpu::Cpu;
use model::{Batch, Model, hugging_face};

use super::common::{Workspace, sentences};

/// Experts of either body; a dense student of both, and a student with experts of that one.
const RECIPE: &str = r#"
seed = 7

[corpus]
source = "text"
validation_fraction = 0.1

[tokenizer]
vocab_size = 300

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
architecture = "switch"
num_experts = 3
capacity = { factor = 1.0 }

[models.second]
architecture = "switch"
body = "llama"
intermediate_size = 24
num_experts = 2
sparse_step = 2
capacity = { tokens = 9 }

[models.dense]
architecture = "llama"
intermediate_size = 24

[models.dense.distill]
teachers = ["first", "second"]

[models.taught]
architecture = "switch"
num_experts = 2
capacity = "none"

[models.taught.distill]
teachers = ["dense"]
signal = "hidden"

[evaluate]
blimp = ["pairs"]
ensembles = [["first", "dense"]]
"#;

const MODELS: [&str; 4] = ["first", "second", "dense", "taught"];

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("experts.toml", RECIPE);
    workspace
}

fn folder(run: &str, model: &str) -> String {
    format!("{run}/models/{model}")
}

/// What a model writes on after a prompt where every token is computed from the whole text.
fn greedy_without_cache(workspace: &Workspace, model: &str, prompt: &str, tokens: usize) -> String {
    let tokenizer = Tokenizer::from_folder(&workspace.path(model)).unwrap();
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    let model = hugging_face::load(&workspace.path(model), &device).unwrap();
    let mut ids = tokenizer.encode(prompt).unwrap();
    for _ in 0..tokens {
        let next = likeliest(&model, &ids);
        if model.config().eos_token_ids.contains(&next) {
            break;
        }
        ids.push(next);
    }
    tokenizer.decode(&ids)
}

fn likeliest(model: &Model, ids: &[u32]) -> u32 {
    let hidden = model.hidden_states(&Batch::from_sequences([ids]));
    let vocab_size = model.config().vocab_size;
    let mut logits = vec![0.0; ids.len() * vocab_size];
    model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
    let last = &logits[(ids.len() - 1) * vocab_size..];
    (0..vocab_size).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap() as u32
}

#[test]
fn a_recipe_with_experts_goes_from_text_to_scores() {
    let workspace = workspace();
    let plan = workspace.babyllama("plan experts.toml").done().stdout;
    assert!(MODELS.iter().all(|model| plan.contains(model)), "{plan}");
    workspace.babyllama("run experts.toml").done();
    let table = workspace.text("runs/experts/table.md");
    for row in MODELS.into_iter().chain(["first + dense"]) {
        assert!(table.contains(&format!("| {row} ")), "{row}: {table}");
    }
    let config = |model| workspace.json(&format!("{}/final/config.json", at(model)));
    assert_eq!(config("first")["model_type"], "babyllama_switch");
    assert_eq!(config("second")["architectures"][0], "Qwen2MoeForCausalLM");
    let again = workspace.babyllama("run experts.toml").done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    let page = workspace.text("runs/experts/report.html");
    assert!(MODELS.iter().all(|model| page.contains(model)));
    // The losses of the routers are in the objective and not in the cross-entropy.
    let metrics = workspace.metrics(&at("first"));
    let step = metrics.iter().find(|record| record["event"] == "step").unwrap();
    let [loss, plain] = ["loss", "cross_entropy"].map(|key| step[key].as_f64().unwrap());
    assert!(loss > plain && loss < plain + 0.1, "{step}");
}

/// The folder of a model of the run.
fn at(model: &str) -> String {
    folder("runs/experts", model)
}

#[test]
fn models_with_experts_are_scored_exported_and_fine_tuned_like_others() {
    let workspace = workspace();
    workspace.babyllama("run experts.toml").done();
    for (model, library) in [("first", "babyllama"), ("second", "transformers")] {
        let own = format!("{}/final", at(model));
        let export = format!("export runs/experts --model {model} --output out/{model}");
        workspace.babyllama(&export).done();
        assert!(workspace.weights(&format!("out/{model}")) == workspace.weights(&own));
        let card = workspace.text(&format!("out/{model}/README.md"));
        for part in [
            format!("library_name: {library}\n"),
            "| experts | ".into(),
            "| parameters that a token passes | ".into(),
        ] {
            assert!(card.contains(&part), "{part}: {card}");
        }
        let score = |folder: &str| {
            let line = format!("evaluate blimp {folder} --data pairs --json scores.json");
            workspace.babyllama(&line).done();
            workspace.json("scores.json")[0]["blimp"].clone()
        };
        assert_eq!(score(&format!("out/{model}")), score(&own));
        let loss = "--data runs/experts/tokens/validation.bin --sequence-length 16";
        workspace.babyllama(&format!("evaluate loss {own} {loss} --json loss.json")).done();
        assert!(workspace.json("loss.json")[0]["loss"].as_f64().unwrap() < 6.0);

        let words = ["generate", &own, "--prompt", "The dog", "--max-tokens", "20", "--greedy"];
        let written = workspace.finish(workspace.command(&words)).done().stdout;
        let expected = greedy_without_cache(&workspace, &own, "The dog", 20);
        assert_eq!(written.trim_end_matches('\n'), expected.trim_end_matches('\n'));
    }
    // What was trained goes on from the folder, with its experts.
    let from = RECIPE.split("[models.first]").next().unwrap().replace("[defaults]\n", "");
    let from = from.replace("hidden_size = 16\nnum_layers = 2\nnum_heads = 2\n", "");
    let on = format!("{from}[models.on]\nfrom = \"out/second\"\n");
    workspace.write("on.toml", on);
    workspace.babyllama("run on.toml").done();
    let config = workspace.json("runs/on/models/on/final/config.json");
    assert_eq!((&config["num_experts"], &config["expert_capacity"]), (&2.into(), &9.into()));
}

/// Writes the files of a task of two labels, with `count` items.
fn write_task(workspace: &Workspace, count: usize) {
    for (part, seed) in [("train", 1), ("valid", 2)] {
        let of_one = |(index, text): (usize, &str)| {
            let item = serde_json::json!({"sentence": text, "label": index % 2, "idx": index});
            format!("{item}\n")
        };
        let items: String = sentences(count, seed).lines().enumerate().map(of_one).collect();
        workspace.write(&format!("data/cola.{part}.jsonl"), items);
    }
}

#[test]
fn classifiers_with_experts_are_kept_and_read_again() {
    let workspace = workspace();
    for model in ["first", "second"] {
        workspace.babyllama(&format!("run experts.toml --only {model}")).done();
    }
    write_task(&workspace, 24);
    let models = ["first", "second"].map(|model| format!("{}/final", at(model))).join(" ");
    let settings = "--set default.epochs=2 --set default.batch_size=8";
    let tune = |output: &str, threads: usize| {
        let line = format!("finetune {models} --data data --keep --output {output} {settings}");
        workspace.babyllama(&format!("{line} --threads {threads}")).done();
    };
    tune("one", 1);
    tune("three", 3);
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    for (model, class) in [
        ("first", "BabyllamaSwitchForSequenceClassification"),
        ("second", "Qwen2MoeForSequenceClassification"),
    ] {
        let kept = |output: &str| format!("{output}/{model}/cola/seed-12/model");
        assert!(workspace.weights(&kept("one")) == workspace.weights(&kept("three")), "{model}");
        let config = workspace.json(&format!("{}/config.json", kept("one")));
        assert_eq!(config["architectures"][0], class);
        hugging_face::load_classifier(&workspace.path(&kept("one")), &device).unwrap();
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_experts() {
    workspace().assert_threads_change_no_bit("experts.toml");
}

/// The jitter's numbers follow from the step, so that a run goes on with them.
#[test]
#[cfg(unix)]
fn a_killed_run_with_experts_continues_to_the_same_bits() {
    let kills = [("first", 3), ("first", 80), ("second", 17), ("taught", 60)];
    workspace().assert_a_kill_changes_no_bit("experts.toml", &kills);
}

#[test]
fn impossible_experts_are_refused_before_anything_runs() {
    let workspace = workspace();
    let factor = "capacity = { factor = 1.0 }";
    for (from, to, names) in [
        ("num_experts = 3", "num_experts = 0", "first.num_experts` is 0; the smallest"),
        ("num_experts = 3", "num_experts = 257", "first.num_experts` is 257; with 2 sparse"),
        ("num_experts = 3", "num_experts = -1", "first.num_experts"),
        ("sparse_step = 2", "sparse_step = 0", "second.sparse_step` is 0; 1 makes"),
        ("sparse_step = 2", "sparse_step = 3", "second.sparse_step` is 3, by which none"),
        (factor, "capacity = { factor = 0 }", "first.capacity` has the factor 0"),
        (factor, "capacity = { factor = nan }", "first.capacity` has the factor NaN"),
        (factor, "capacity = { factor = -inf }", "first.capacity` has the factor -inf"),
        (factor, "capacity = { tokens = 0 }", "first.capacity` is 0 tokens"),
        (factor, "capacity = 2", "{tokens = 64} or \"none\""),
        (factor, "router_jitter = 1.0", "first.router_jitter` is 1; it must be"),
        (factor, "z_loss = nan", "first.z_loss` is NaN; it must be"),
        (factor, "balance_loss = -1.0", "first.balance_loss` is -1; it must be"),
        ("body = \"llama\"", "body = \"t5\"", "second.body"),
        ("\"switch\"\nbody", "\"llama\"\nbody", "LLaMA has no experts"),
    ] {
        assert!(RECIPE.contains(from), "{from}");
        workspace.write("wrong.toml", RECIPE.replacen(from, to, 1));
        for command in ["run", "plan"] {
            workspace.babyllama(&format!("{command} wrong.toml")).refused(2).names(&[names]);
        }
    }
    assert_eq!(workspace.names("runs"), [""; 0]);
}

#[test]
fn folders_that_lack_an_expert_or_route_to_several_are_refused() {
    let workspace = workspace();
    workspace.babyllama("run experts.toml --only second").done();
    write_task(&workspace, 4);
    let own = format!("{}/final", at("second"));
    for (from, to, names) in [
        ("\"num_experts\": 2", "\"num_experts\": 3", "layers.1.mlp.experts.2.gate_proj.weight"),
        ("\"num_experts\": 2", "\"num_experts\": 0", "num_experts is 0"),
        ("\"num_experts\": 2", "\"num_experts\": 4096", "4096"),
        ("\"num_experts_per_tok\": 1", "\"num_experts_per_tok\": 4", "`num_experts_per_tok` is 4"),
        ("\"decoder_sparse_step\": 2", "\"decoder_sparse_step\": 0", "sparse_step is 0"),
        ("\"decoder_sparse_step\": 2", "\"decoder_sparse_step\": 1", "layers.0.mlp.experts.0"),
        ("\"expert_capacity\": 9", "\"expert_capacity\": -9", "expert_capacity"),
    ] {
        workspace.copy(&own, "brought");
        workspace.replace("brought/config.json", from, to);
        for line in [
            "evaluate blimp brought --data pairs",
            "generate brought --prompt The",
            "finetune brought --data data --output tuned",
        ] {
            let refusal = workspace.babyllama(line).refused(1);
            assert!(refusal.cause.contains(names), "{line}, {to}: {}", refusal.cause);
        }
    }
}

/// By `LD_LIBRARY_PATH` on the emulator.
#[test]
#[ignore = "needs a GPU or the emulator"]
fn a_gpu_trains_and_scores_experts_as_the_cpu_does() {
    workspace().assert_a_gpu_trains_as_the_cpu("experts.toml");
}
