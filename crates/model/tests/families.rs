//! What holds for every family: each test goes through [`FAMILIES`], so that a new one is covered
//! when it is listed.

use std::collections::HashSet;
use std::sync::Arc;

use engine::cpu::Cpu;
use engine::{Device, Role, Segment, Tape};
use model::hugging_face::{
    fingerprint, load_any, load_any_config, load_classifier, load_output, save, save_classifier,
    save_output,
};
use model::{
    Architecture, Batch, Classifier, FAMILIES, KvCache, Model, ModelConfig, ModelError, OutputLayer,
};

fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

/// A small configuration of every family, and an untied one where the family allows it.
fn configs() -> Vec<ModelConfig> {
    let tiny: Vec<_> = Architecture::all().map(ModelConfig::tiny).collect();
    let untied = tiny.iter().filter(|config| config.architecture.can_untie());
    let untied: Vec<_> =
        untied.map(|tiny| ModelConfig { tie_word_embeddings: false, ..tiny.clone() }).collect();
    // Weights large enough that every part matters.
    tiny.into_iter()
        .chain(untied)
        .map(|config| ModelConfig { initializer_range: 0.3, ..config })
        .collect()
}

fn model(config: &ModelConfig) -> Model {
    Model::new(config.clone(), &device(), 3).unwrap()
}

fn values(model: &Model) -> Vec<f32> {
    model.parameters().values().to_vec()
}

fn logits(model: &Model, batch: &Batch) -> Vec<f32> {
    let hidden = model.hidden_states(batch);
    let mut logits = vec![0.0; batch.tokens() * model.config().vocab_size];
    model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
    logits
}

#[test]
fn names_and_classes_are_unique_and_found() {
    let mut names = HashSet::new();
    for family in FAMILIES {
        let stated = [
            family.name(),
            family.title(),
            family.language_model_class(),
            family.classifier_class(),
        ];
        for name in stated {
            assert!(names.insert(name), "{name} occurs twice");
        }
        assert!(family.classifier_class().ends_with("ForSequenceClassification"));
        let architecture = Architecture::named(family.name()).unwrap();
        assert_eq!(architecture.title(), family.title());
        let written = serde_json::to_string(&architecture).unwrap();
        assert_eq!(written, format!("\"{}\"", family.name()));
        assert_eq!(serde_json::from_str::<Architecture>(&written).unwrap(), architecture);
    }
    let unknown = serde_json::from_str::<Architecture>("\"mamba\"").unwrap_err().to_string();
    assert!(FAMILIES.iter().all(|family| unknown.contains(family.name())), "{unknown}");
}

#[test]
fn configurations_survive_writing_and_reading() {
    for config in configs() {
        let config = ModelConfig { norm_epsilon: 1e-5, ..config.with_dropout(0.25) };
        config.validate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        model::hugging_face::save_config(&config, folder.path()).unwrap();
        assert_eq!(load_any_config(folder.path()).unwrap(), config);
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ModelConfig>(&written).unwrap(), config);
    }
}

#[test]
fn defaults_state_everything_but_sizes() {
    for architecture in Architecture::all() {
        let defaults = architecture.defaults();
        assert_eq!(defaults.architecture, architecture);
        assert!(matches!(defaults.validate(), Err(ModelError::Config { key: "vocab_size", .. })));
        ModelConfig::tiny(architecture).validate().unwrap();
        let hidden = ModelConfig { hidden_size: 0, ..ModelConfig::tiny(architecture) };
        assert!(matches!(hidden.validate(), Err(ModelError::Config { key: "hidden_size", .. })));
    }
}

#[test]
fn language_models_load_to_the_same_bits() {
    for config in configs() {
        let folder = tempfile::tempdir().unwrap();
        let saved = model(&config);
        save(&saved, folder.path()).unwrap();
        let again = load_any(folder.path(), &device()).unwrap();
        assert_eq!(again.config(), &config);
        assert!(values(&again) == values(&saved), "{config:?}");
        let before = fingerprint(folder.path()).unwrap();
        save(&Model::new(config, &device(), 4).unwrap(), folder.path()).unwrap();
        assert_ne!(fingerprint(folder.path()).unwrap(), before);
    }
}

#[test]
fn classifiers_load_to_the_same_bits() {
    for config in configs() {
        let folder = tempfile::tempdir().unwrap();
        let saved = Classifier::from_model(&model(&config), 3, 5).unwrap();
        let layout = saved.parameters().layout();
        let output = saved.config().architecture.language_model_class();
        assert!(
            !layout.segments().iter().any(|named| named.name.starts_with("lm_head")),
            "the classifier of {output} has an output layer for words"
        );
        save_classifier(&saved, None, folder.path()).unwrap();
        let again = load_classifier(folder.path(), &device()).unwrap();
        let batch = Batch::from_sequences([&[4, 5, 6][..], &[7]]);
        assert_eq!(again.logits(&batch), saved.logits(&batch));
        assert_eq!(saved.logits(&batch).len(), 6);
    }
}

#[test]
fn output_layers_load_alone() {
    for config in configs().into_iter().filter(|config| config.architecture.is_causal()) {
        let folder = tempfile::tempdir().unwrap();
        save(&model(&config), folder.path()).unwrap();
        let output = load_output(folder.path(), &device()).unwrap();
        let saved = model(&config);
        let segment = saved.decoder().output().weight;
        assert_eq!((output.weight.rows(), output.weight.columns()), (50, 16));
        assert!(output.weight.to_vec() == values(&saved)[segment.offset..][..segment.length()]);
        let alone = tempfile::tempdir().unwrap();
        save_output(&config, &OutputLayer::filled(&config, &device(), 0.5), alone.path()).unwrap();
        let again = load_output(alone.path(), &device()).unwrap();
        assert_eq!(again.weight.to_vec(), vec![0.5; 50 * 16]);
        assert_eq!(again.bias.is_some(), saved.decoder().output().bias.is_some());
    }
}

/// Two operations a weight of every product, and attention's two products, from the layout's roles
/// and from the family's products.
#[test]
fn products_and_layout_agree_on_the_number_of_operations() {
    for config in configs() {
        let products = config.architecture.products(&config).into_iter();
        let weights: usize =
            products.map(|product| product.inputs * product.outputs * product.count).sum();
        let output = config.vocab_size * config.hidden_size;
        let seen = if config.architecture.is_causal() { 9 } else { 16 };
        let attentions = config.num_layers + 2 * config.decoder_layers();
        let attention = attentions * config.num_heads * config.head_dim * seen;
        let expected = 2.0 * (weights + output + attention) as f64;
        assert_eq!(config.forward_flops_per_token(8), expected, "{config:?}");
    }
}

#[test]
fn embeddings_and_biases_have_their_roles() {
    for config in configs() {
        let layout = config.layout();
        let of_role = |role| layout.segments().iter().filter(move |named| named.role == role);
        let embedding = of_role(Role::Embedding).collect::<Vec<_>>();
        assert_eq!(embedding.len(), 1, "{config:?}");
        assert_eq!((embedding[0].segment.rows, embedding[0].segment.columns), (50, 16));
        let vectors = layout.segments().iter().filter(|named| named.segment.rows == 1);
        assert!(vectors.into_iter().all(|named| named.role.is_vector() || named.role.is_table()));
        assert!(of_role(Role::Bias).all(|named| named.name.ends_with("bias")), "{config:?}");
        let names: HashSet<_> = layout.segments().iter().map(|named| &named.name).collect();
        assert_eq!(names.len(), layout.segments().len());
    }
}

/// An output layer of its own, and queries, keys and values that are stored as one tensor.
#[test]
fn matrices_are_told_apart() {
    for config in configs() {
        let layout = config.layout();
        let output = layout.segments().iter().filter(|named| named.role == Role::Output);
        let names: Vec<_> = output.map(|named| named.name.as_str()).collect();
        let expected: &[&str] = if config.tie_word_embeddings { &[] } else { &["lm_head.weight"] };
        assert_eq!(names, expected, "{config:?}");
        for named in layout.segments() {
            let expected = [("attn.c_attn", 3), ("in_proj_qk", 2), ("in_proj_vg", 2), ("mlp.1", 2)]
                .into_iter()
                .find(|(part, _)| named.name.ends_with(&format!("{part}.weight")));
            let parts: Vec<_> = named.matrices().collect();
            assert_eq!(parts.len(), expected.map_or(1, |(_, count)| count), "{}", named.name);
            assert_eq!(Segment::stack(&parts), named.segment);
        }
    }
    let labels = ["a", "b"].map(str::to_owned);
    let layout = Classifier::layout(&ModelConfig::tiny(Architecture::LLAMA), &labels).unwrap();
    let score = layout.segments().iter().find(|named| named.role == Role::Output);
    assert_eq!(score.map(|named| named.name.as_str()), Some("score.weight"));
}

/// The padding token's row is 0 where the family has one.
#[test]
fn initial_weights_are_a_function_of_the_seed() {
    for config in configs() {
        let config = ModelConfig { pad_token_id: Some(1), ..config };
        let first = model(&config);
        assert!(values(&first) == values(&model(&config)));
        assert!(values(&first) != values(&Model::new(config.clone(), &device(), 4).unwrap()));
        let layout = first.parameters().layout();
        let embedding = layout.segments().iter().find(|named| named.role == Role::Embedding);
        let start = embedding.unwrap().segment.offset;
        let row = |row: usize| values(&first)[start + 16 * row..][..16].to_vec();
        let expected = config.architecture.has_padding_row();
        assert_eq!(row(1) == [0.0; 16], expected, "{config:?}");
        assert!(row(0) != [0.0; 16]);
    }
}

#[test]
fn a_sequence_does_not_depend_on_its_neighbours() {
    let sequences: [&[u32]; 3] = [&[3, 4, 5, 6], &[7], &[9, 2, 3, 3, 11]];
    for config in configs() {
        let model = model(&config);
        let together = logits(&model, &Batch::from_sequences(sequences));
        let alone: Vec<f32> = sequences
            .iter()
            .flat_map(|sequence| logits(&model, &Batch::from_sequences([sequence])))
            .collect();
        let close = together.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close && together.iter().any(|value| value.abs() > 0.1), "{config:?}");
    }
}

#[test]
fn tokens_see_what_their_family_allows() {
    for config in configs() {
        let model = model(&config);
        let states = |ids: [u32; 4]| model.hidden_states(&Batch::from_sequences([ids]));
        let (one, other) = (states([3, 4, 5, 6]), states([3, 4, 5, 7]));
        let first = |var: &engine::Var| var.value().to_vec()[..16].to_vec();
        // The last token changes how many rows the products of experts have, and with it rounding.
        let tolerance = if config.architecture.has_experts() { 1e-5 } else { 0.0 };
        let same = first(&one).iter().zip(first(&other)).all(|(a, b)| (a - b).abs() <= tolerance);
        let family = config.architecture;
        assert_eq!(same, family.is_causal() || family.is_encoder_decoder(), "{config:?}");
    }
}

#[test]
fn the_kv_cache_changes_nothing() {
    for config in configs().into_iter().filter(|config| config.architecture.has_kv_cache()) {
        let model = model(&config);
        let ids = [3, 4, 5, 6, 7, 8];
        let whole = model.hidden_states(&Batch::from_sequences([ids])).value().to_vec();
        let mut cache: KvCache = model.kv_cache(ids.len());
        let mut states = Vec::new();
        for part in [&ids[..3], &ids[3..4], &ids[4..]] {
            let mut tape = Tape::inference(model.parameters());
            let batch = Batch::continuation(part, cache.length());
            let found = model.decoder().hidden_states(&mut tape, &batch, Some(&mut cache));
            states.extend(found.value().to_vec());
        }
        assert_eq!(cache.length(), 6);
        let close = states.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close, "{config:?}");
    }
}
