//! ELC-BERT against numbers of its authors' code, in all four variants; `train/tests/ltg_bert.rs`
//! has more, with random weights.

mod common;

use common::{
    Golden, answers, assert_golden, change_tensors, device, filled, folder, load_error, sizes,
};
use engine::Role;
use model::{Architecture, ElcVariant, Model, ModelConfig, hugging_face};
use serde_json::{Value, json};

fn config(variant: ElcVariant) -> ModelConfig {
    let config = sizes(ModelConfig::tiny(Architecture::ELC_BERT));
    ModelConfig { elc_variant: Some(variant), ..config }
}

#[test]
fn loss_logits_and_gradients_are_those_of_every_variant() {
    for (variant, first, last, loss, norm, distances) in [
        (
            ElcVariant::Base,
            [-0.02827, -0.19368, 0.06895],
            [-0.05674, -0.14952, 0.01056],
            2.424573,
            1.015643,
            [0.0021634, 0.0034111],
        ),
        (
            ElcVariant::Zero,
            [0.01809, -0.24832, 0.13008],
            [-0.04594, -0.16101, 0.02236],
            2.444711,
            1.182100,
            [-0.0006471, -0.0009975],
        ),
        (
            ElcVariant::Normalized,
            [0.02085, -0.24606, 0.12288],
            [-0.08085, -0.10961, -0.04383],
            2.443380,
            1.231423,
            [0.0016210, 0.0025530],
        ),
        (
            ElcVariant::WeightedOutput,
            [-0.34283, 0.23749, -0.46464],
            [-0.07196, -0.13564, -0.00153],
            2.326429,
            1.284006,
            [0.0004993, 0.0008208],
        ),
    ] {
        let golden = Golden { first, last, loss, norm, distances };
        assert_golden(&filled(&config(variant)), &golden);
    }
}

/// The weights of earlier states as a model with random weights has them.
fn initial_mixtures(variant: ElcVariant) -> Vec<Vec<f32>> {
    let model = Model::new(config(variant), &device(), 7).unwrap();
    let (layout, values) = (model.parameters().layout(), model.parameters().values().to_vec());
    let mixtures = layout.segments().iter().filter(|named| named.role == Role::Mixture);
    mixtures
        .map(|named| values[named.segment.offset..][..named.segment.length()].to_vec())
        .collect()
}

#[test]
fn mixtures_begin_as_the_variant_has_them() {
    assert_eq!(initial_mixtures(ElcVariant::Base), [vec![1.0], vec![0.0, 1.0]]);
    assert_eq!(initial_mixtures(ElcVariant::Normalized), [vec![0.0], vec![0.0; 2]]);
    let weighted = initial_mixtures(ElcVariant::WeightedOutput);
    assert_eq!(weighted, [vec![0.0], vec![0.0; 2], vec![0.0; 3]]);
}

/// A published `config.json`, which is that of an LTG-BERT.
fn published() -> Value {
    json!({
        "architectures": ["LtgBertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_dropout_prob": 0.1,
        "hidden_size": 8,
        "intermediate_size": 12,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 16,
        "model_type": "ltgbert",
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "output_all_encoded_layers": true,
        "position_bucket_size": 4,
        "vocab_size": 11,
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut config = published();
    config[key] = value;
    config
}

#[test]
fn a_published_folder_is_read_with_its_variant_and_written_again() {
    for (variant, name) in [
        (ElcVariant::Base, "base"),
        (ElcVariant::Zero, "zero"),
        (ElcVariant::Normalized, "normalized"),
        (ElcVariant::WeightedOutput, "weighted_output"),
    ] {
        let model = filled(&config(variant));
        let place = folder(&model, &with("elc_variant", json!(name)));
        assert_eq!(hugging_face::remarks(place.path()).unwrap(), [""; 0]);
        let read = hugging_face::load_any(place.path(), &device()).unwrap();
        assert_eq!(read.config().elc_variant, Some(variant));
        assert_eq!(answers(&read, false), answers(&model, false));
        let again = tempfile::tempdir().unwrap();
        hugging_face::save(&read, again.path()).unwrap();
        let text = std::fs::read_to_string(again.path().join("config.json")).unwrap();
        assert!(text.contains("\"elcbert\"") && text.contains(&format!("\"{name}\"")), "{text}");
        let again = hugging_face::load_any(again.path(), &device()).unwrap();
        assert_eq!(again.config(), read.config());
        assert_eq!(answers(&again, false), answers(&model, false));
    }
}

#[test]
fn the_variant_is_that_of_the_tensors_or_asked_for() {
    // Of the weighted output there is a tensor.
    let weighted = filled(&config(ElcVariant::WeightedOutput));
    let place = folder(&weighted, &published());
    let read = hugging_face::load_any(place.path(), &device()).unwrap();
    assert_eq!(answers(&read, false), answers(&weighted, false));
    let message = load_error(folder(&weighted, &with("elc_variant", json!("zero"))).path());
    assert!(message.contains("only the variant weighted_output has it"), "{message}");

    // The others have the same tensors.
    let message = load_error(folder(&filled(&config(ElcVariant::Zero)), &published()).path());
    assert!(message.contains("an ELC-BERT, whose variant its tensors do not show"), "{message}");
    let own = load_error(folder(&weighted, &with("model_type", json!("elcbert"))).path());
    assert!(own.contains("`elc_variant` is missing"), "{own}");
    let unknown = load_error(folder(&weighted, &with("elc_variant", json!("third"))).path());
    assert!(
        unknown.contains("`elc_variant`") && unknown.contains("`weighted_output`"),
        "{unknown}"
    );
}

#[test]
fn damaged_folders_are_named() {
    let model = filled(&config(ElcVariant::Base));
    let stated = with("elc_variant", json!("base"));
    let missing = |name: &str| {
        let place = folder(&model, &stated);
        let mut bytes = Vec::new();
        change_tensors(place.path(), &mut bytes, |tensors| {
            tensors.into_iter().filter(|(other, _)| other != name).collect()
        });
        load_error(place.path())
    };
    let message = missing("transformer.layers.1.prev_layer_weights");
    let part = "`transformer.layers.1.prev_layer_weights` of shape [2] is missing";
    assert!(message.contains(part), "{message}");
    let message = missing("embedding.relative_embedding");
    assert!(message.contains("`embedding.relative_embedding` of shape [7, 8] is missing"));
    let mut deeper = stated.clone();
    deeper["elc_variant"] = json!("weighted_output");
    let message = load_error(folder(&model, &deeper).path());
    assert!(message.contains("`transformer.prev_layer_weights` of shape [3] is missing"));

    let place = folder(&model, &stated);
    let mut bytes = Vec::new();
    change_tensors(place.path(), &mut bytes, |tensors| {
        let longer = tensors.iter().find(|(name, _)| name.ends_with("1.prev_layer_weights"));
        let longer = longer.unwrap().1.clone();
        let other = |(name, view)| match name == "transformer.layers.0.prev_layer_weights" {
            true => (name, longer.clone()),
            false => (name, view),
        };
        tensors.into_iter().map(other).collect()
    });
    let message = load_error(place.path());
    assert!(message.contains("has shape [2]") && message.contains("asks for [1]"), "{message}");
}

#[test]
fn other_families_have_no_variant() {
    let elc_variant = Some(ElcVariant::Base);
    let config = ModelConfig { elc_variant, ..ModelConfig::tiny(Architecture::LTG_BERT) };
    let message = config.validate().unwrap_err().to_string();
    assert!(message.contains("elc_variant is stated; LTG-BERT has no such key"), "{message}");
}
