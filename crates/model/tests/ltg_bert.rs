//! LTG-BERT against numbers of its authors' code for weights that a formula fills, so that no file
//! is needed; `train/tests/pytorch.rs` has more, with random weights.

mod common;

use common::{Golden, answers, assert_golden, device, filled, sizes};
use model::{Architecture, ModelConfig, PositionHeads, hugging_face, write_safetensors};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};

fn config(position_heads: Option<PositionHeads>) -> ModelConfig {
    let config = sizes(ModelConfig::tiny(Architecture::LTG_BERT));
    ModelConfig { position_heads, ..config }
}

#[test]
fn loss_logits_and_gradients_are_those_of_both_lines_of_code() {
    let halves = Golden {
        first: [-0.16423, 0.02394, -0.22315],
        last: [-0.27966, 0.07256, -0.20337],
        loss: 2.330715,
        norm: 3.196304,
        distances: [0.0023841, 0.0035556],
    };
    let interleaved = Golden {
        first: [-0.16854, 0.02933, -0.22945],
        last: [-0.28468, 0.07490, -0.20295],
        loss: 2.318852,
        norm: 3.035678,
        distances: [0.0006462, 0.0008842],
    };
    assert_golden(&filled(&config(Some(PositionHeads::Halves))), &halves);
    assert_golden(&filled(&config(Some(PositionHeads::Interleaved))), &interleaved);
}

#[test]
fn a_folder_that_states_no_line_is_computed_as_the_baselines() {
    let logits = |heads| answers(&filled(&config(heads)), false).1;
    assert_eq!(logits(None), logits(Some(PositionHeads::Halves)));
    let model = filled(&config(None));
    let other = model.with_position_heads(PositionHeads::Interleaved).unwrap();
    assert_eq!(answers(&other, false).1, logits(Some(PositionHeads::Interleaved)));
    assert_eq!(other.config().position_heads, Some(PositionHeads::Interleaved));
}

/// A published folder: its `config.json`, and its tensors with the tied matrix twice and a buffer.
fn published(model: &model::Model, change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    hugging_face::save(model, folder.path()).unwrap();
    let mut config = json!({
        "architectures": ["LtgBertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "auto_map": {"AutoModelForMaskedLM": "modeling_ltgbert.LtgBertForMaskedLM"},
        "classifier_dropout": null,
        "hidden_dropout_prob": 0.2,
        "hidden_size": 8,
        "intermediate_size": 12,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 16,
        "model_type": "bert",
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "output_all_encoded_layers": true,
        "pad_token_id": 3,
        "position_bucket_size": 4,
        "torch_dtype": "float32",
        "vocab_size": 11,
    });
    change(&mut config);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let embedding = file.tensor("embedding.word_embedding.weight").unwrap();
    let buffer = [0; 16 * 16 * 8];
    let buffer = TensorView::new(Dtype::I64, vec![16, 16], &buffer).unwrap();
    let more = [
        ("classifier.nonlinearity.5.weight".to_owned(), embedding),
        ("transformer.layers.0.attention.position_indices".to_owned(), buffer.clone()),
        ("transformer.layers.1.attention.position_indices".to_owned(), buffer),
    ];
    write_safetensors(&path, file.tensors().into_iter().chain(more), None).unwrap();
    folder
}

#[test]
fn a_published_folder_is_read_and_written_again() {
    let model = filled(&config(Some(PositionHeads::Halves)));
    for model_type in ["bert", "norbert", "ltgbert"] {
        let folder = published(&model, |config| config["model_type"] = json!(model_type));
        assert_eq!(hugging_face::remarks(folder.path()).unwrap(), [""; 0]);
        let read = hugging_face::load_any(folder.path(), &device()).unwrap();
        let config = read.config();
        assert_eq!((config.position_heads, config.pad_token_id), (None, Some(3)));
        assert_eq!((config.residual_dropout, config.attention_dropout), (0.2, 0.1));
        assert_eq!(read.parameters().values().to_vec(), model.parameters().values().to_vec());
        let again = tempfile::tempdir().unwrap();
        hugging_face::save(&read, again.path()).unwrap();
        let text = std::fs::read_to_string(again.path().join("config.json")).unwrap();
        assert!(text.contains("\"LtgBertForMaskedLM\"") && text.contains("\"ltgbert\""), "{text}");
        let again = hugging_face::load_any(again.path(), &device()).unwrap();
        assert_eq!(again.config(), read.config());
        assert_eq!(again.parameters().values().to_vec(), model.parameters().values().to_vec());
    }
}

#[test]
fn the_line_of_code_can_be_stated() {
    let model = filled(&config(None));
    let state = |value: &str| {
        let folder = published(&model, |config| config["position_heads"] = json!(value));
        hugging_face::load_any_config(folder.path())
    };
    let found = state("interleaved").unwrap().position_heads;
    assert_eq!(found, Some(PositionHeads::Interleaved));
    let message = state("thirds").unwrap_err().to_string();
    assert!(message.contains("`position_heads`") && message.contains("`halves`"), "{message}");
}

#[test]
fn damaged_and_foreign_folders_are_named() {
    let model = filled(&config(None));
    let message = |change: &dyn Fn(&mut Value)| {
        let folder = published(&model, change);
        hugging_face::load_any(folder.path(), &device()).err().unwrap().to_string()
    };
    let without = |key: &str| {
        let key = key.to_owned();
        message(&move |config| drop(config.as_object_mut().unwrap().remove(&key)))
    };
    // A plain BERT has no buckets.
    let plain = without("position_bucket_size");
    assert!(plain.contains("`model_type` is \"bert\"; babyllama knows"), "{plain}");
    assert!(without("intermediate_size").contains("`intermediate_size` is missing"));
    let tables = message(&|config| config["position_bucket_size"] = json!(5));
    let part = "`embedding.relative_embedding` has shape [7, 8]";
    assert!(tables.contains(part) && tables.contains("[9, 8]"), "{tables}");
    let none = message(&|config| config["position_bucket_size"] = json!(1));
    assert!(none.contains("position_buckets is 1; it must be from 2"), "{none}");
    let untied = message(&|config| config["tie_word_embeddings"] = json!(false));
    assert!(untied.contains("`tie_word_embeddings` is false"), "{untied}");

    let folder = published(&model, |_| ());
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let kept = |(name, _): &(String, TensorView)| name != "embedding.relative_embedding";
    write_safetensors(&path, file.tensors().into_iter().filter(kept), None).unwrap();
    let missing = hugging_face::load_any(folder.path(), &device()).err().unwrap().to_string();
    let part = "`embedding.relative_embedding` of shape [7, 8] is missing";
    assert!(missing.contains(part), "{missing}");
}

#[test]
fn only_what_asks_for_it_gets_a_masked_model() {
    let folder = published(&filled(&config(None)), |_| ());
    let message = hugging_face::load(folder.path(), &device()).err().unwrap().to_string();
    assert!(message.contains("a masked language model"), "{message}");
}
