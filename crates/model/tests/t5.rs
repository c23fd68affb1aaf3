//! T5 against numbers of transformers for weights that a formula fills, so that no file is needed,
//! and its folders; `train/tests/t5.rs` has more, with random weights.

use std::sync::Arc;

use engine::cpu::Cpu;
use engine::ops::language_model_loss::NO_TARGET;
use engine::params::NamedSegment;
use engine::{Device, Parameters, Role, Tape};
use model::generate::{Sampling, generate};
use model::hugging_face::{self, GenerationConfig};
use model::{Architecture, Batch, EncoderDecoder, Model, ModelConfig, write_safetensors};
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::{Value, json};

fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 11,
        hidden_size: 8,
        intermediate_size: 12,
        num_layers: 2,
        num_heads: 2,
        num_kv_heads: 2,
        head_dim: 4,
        position_buckets: Some(8),
        encoder_decoder: Some(EncoderDecoder {
            max_distance: 16,
            ..EncoderDecoder::with_layers(2)
        }),
        ..ModelConfig::tiny(Architecture::T5)
    }
}

/// The value of a tensor's element, by the tensor's place among the sorted names.
fn value(tensor: usize, element: usize, named: &NamedSegment) -> f32 {
    let (base, size) = match named.role {
        Role::NormGain => (1.0, 0.1),
        _ => (0.0, 0.25),
    };
    (base + size * (1.0 + 0.37 * element as f64 + 1.91 * tensor as f64).sin()) as f32
}

fn filled(config: &ModelConfig) -> Model {
    let mut model = Model::zeros(config.clone(), &device()).unwrap();
    let layout = model.parameters().layout().clone();
    let mut segments: Vec<_> = layout.segments().iter().collect();
    segments.sort_by(|a, b| a.name.cmp(&b.name));
    for (tensor, named) in segments.into_iter().enumerate() {
        let count = named.segment.length();
        let values: Vec<f32> = (0..count).map(|element| value(tensor, element, named)).collect();
        device().write(model.parameters_mut().view_mut(named.segment), &values);
    }
    model
}

const LABELS: [u32; 4] = [2, 9, 4, 1];

/// What the decoder reads of the labels.
fn decoded() -> Batch {
    Batch::from_sequences([[0, 2, 9, 4]])
}

/// The mean loss of the labels, the logits, and the gradient.
fn answers(model: &Model, batch: &Batch) -> (f64, Vec<f32>, Vec<f32>) {
    let mut gradients = Parameters::zeros(model.device(), model.parameters().layout().clone());
    let mut tape = Tape::training(model.parameters(), &mut gradients, None);
    let hidden = model.decoder().hidden_states(&mut tape, batch, None);
    let sum = tape.language_model_loss(&hidden, model.decoder().output(), &LABELS, 0.25);
    let mut logits = vec![0.0; 4 * 11];
    model.device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
    tape.backward();
    (sum / 4.0, logits, gradients.values().to_vec())
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((*found as f64 - expected).abs() < tolerance, "{found} instead of {expected}");
    }
}

#[test]
fn loss_logits_and_gradients_are_those_of_transformers() {
    let model = filled(&config());
    let batch = decoded().with_source(Batch::from_sequences([[5, 3, 7, 1]]));
    let (loss, logits, gradient) = answers(&model, &batch);
    assert!((loss - 2.453727).abs() < 2e-6, "{loss}");
    assert!((-4.0 * loss + 9.814907).abs() < 1e-5, "{loss}");
    assert_near(&logits, &[0.15762, -0.15493, 0.14713], 2e-5);
    assert_near(&logits[3 * 11..], &[0.10734, -0.13458, 0.15739], 2e-5);
    let layout = model.parameters().layout();
    let name = "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    let bias = layout.segments().iter().find(|named| named.name == name).unwrap().segment;
    assert_eq!((bias.rows, bias.columns), (8, 2));
    let expected = [0.00050967, -0.00014499, 0.00109303, 0.00056191, -0.00102104, -0.00020237];
    assert_near(&gradient[bias.offset..], &expected, 1e-7);
}

/// Without a text for the encoder, it reads the token that ends a text, twice.
#[test]
fn the_empty_text_is_read_where_there_is_none() {
    let model = filled(&config());
    let (loss, logits, _) = answers(&model, &decoded());
    assert!((-4.0 * loss + 9.809093).abs() < 1e-5, "{loss}");
    let stated = decoded().with_source(Batch::from_sequences([[1, 1]]));
    assert_eq!(answers(&model, &stated).1, logits);
}

#[test]
fn a_sequence_is_predicted_from_its_own_text_alone() {
    let model = filled(&config());
    let sources: [&[u32]; 3] = [&[5, 3, 7, 1], &[1], &[9, 2, 2, 8, 10, 1]];
    let targets: [&[u32]; 3] = [&[0, 2, 9], &[0], &[0, 7, 7, 3]];
    let states = |chosen: &[usize]| {
        let batch = Batch::from_sequences(chosen.iter().map(|&index| targets[index]));
        let source = Batch::from_sequences(chosen.iter().map(|&index| sources[index]));
        model.hidden_states(&batch.with_source(source)).value().to_vec()
    };
    let alone = [0, 1, 2].map(|index| states(&[index])).concat();
    let together = states(&[0, 1, 2]);
    assert!(together.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-5));
    assert_ne!(states(&[0]), {
        let batch = Batch::from_sequences([targets[0]]);
        model
            .hidden_states(&batch.with_source(Batch::from_sequences([sources[2]])))
            .value()
            .to_vec()
    });
}

/// The gradient of every segment of the form without corners by finite differences, tied and
/// untied; `gradients.rs` has the other form.
#[test]
fn gradients_of_the_gated_form_are_finite_differences() {
    for tie_word_embeddings in [true, false] {
        let own = EncoderDecoder { is_gated: true, ..config().encoder_decoder.unwrap() };
        let config = ModelConfig { encoder_decoder: Some(own), tie_word_embeddings, ..config() };
        let batch = Batch::from_sequences([&[0, 2, 9, 4, 3][..], &[0, 6]]);
        let source = Batch::from_sequences([&[5, 3, 7, 1][..], &[10, 8, 1]]);
        let batch = batch.with_source(source);
        let targets = [2, 9, 4, NO_TARGET, 1, 6, 1];
        let mut model = filled(&config);
        let loss = |model: &Model| {
            let mut tape = Tape::inference(model.parameters());
            let hidden = model.decoder().hidden_states(&mut tape, &batch, None);
            tape.language_model_loss(&hidden, model.decoder().output(), &targets, 1.0)
        };
        let gradient = {
            let mut gradients =
                Parameters::zeros(model.device(), model.parameters().layout().clone());
            let mut tape = Tape::training(model.parameters(), &mut gradients, None);
            let hidden = model.decoder().hidden_states(&mut tape, &batch, None);
            tape.language_model_loss(&hidden, model.decoder().output(), &targets, 1.0);
            tape.backward();
            gradients.values().to_vec()
        };
        let values = model.parameters().values().to_vec();
        let layout = model.parameters().layout().clone();
        for named in layout.segments() {
            let (start, length) = (named.segment.offset, named.segment.length());
            for index in (start..start + length).step_by(length / 4 + 1) {
                let mut at = |by: f32| {
                    let mut values = values.clone();
                    values[index] += by;
                    device().write(model.parameters_mut().values_mut().view_mut(), &values);
                    loss(&model)
                };
                const STEP: f32 = 2e-3;
                let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP as f64);
                let error = (slope - gradient[index] as f64).abs();
                assert!(error < 2e-3, "{}: {} but {slope}", named.name, gradient[index]);
            }
            device().write(model.parameters_mut().values_mut().view_mut(), &values);
        }
    }
}

#[test]
fn parameter_counts_are_those_of_both_base_models() {
    let base = |is_gated, intermediate_size, tie_word_embeddings| ModelConfig {
        vocab_size: 32_128,
        hidden_size: 768,
        intermediate_size,
        num_layers: 12,
        num_heads: 12,
        num_kv_heads: 12,
        head_dim: 64,
        tie_word_embeddings,
        encoder_decoder: Some(EncoderDecoder { is_gated, ..EncoderDecoder::with_layers(12) }),
        ..Architecture::T5.defaults()
    };
    assert_eq!(base(false, 3072, true).parameter_count(), 222_903_552);
    assert_eq!(base(true, 2048, false).parameter_count(), 247_577_856);
}

/// A folder as it is published, with copies of the embedding under all of their names.
fn published(change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    hugging_face::save(&filled(&config()), folder.path()).unwrap();
    let path = folder.path().join("config.json");
    let mut keys: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut keys);
    std::fs::write(&path, keys.to_string()).unwrap();
    folder
}

/// Writes the weights anew, each tensor under the names that `names` gives it.
fn rename(folder: &tempfile::TempDir, names: impl Fn(&str) -> Vec<String>) {
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter().flat_map(|(name, tensor)| {
        let view = |name| {
            (name, TensorView::new(tensor.dtype(), tensor.shape().to_vec(), tensor.data()).unwrap())
        };
        names(&name).into_iter().map(view).collect::<Vec<_>>()
    });
    write_safetensors(&path, tensors.collect::<Vec<_>>(), None).unwrap();
}

#[test]
fn copies_of_the_embedding_may_be_there_or_stand_for_it() {
    let expected = filled(&config()).parameters().values().to_vec();
    let copies = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"];
    let folder = published(|_| ());
    rename(&folder, |name| match name {
        "shared.weight" => copies.iter().chain(&["shared.weight"]).map(|&of| of.into()).collect(),
        name => vec![name.to_owned()],
    });
    let model = hugging_face::load_any(folder.path(), &device()).unwrap();
    assert!(model.config().tie_word_embeddings);
    assert_eq!(model.parameters().values().to_vec(), expected);
    rename(&folder, |name| match name {
        "shared.weight" | "lm_head.weight" | "decoder.embed_tokens.weight" => Vec::new(),
        name => vec![name.to_owned()],
    });
    let model = hugging_face::load_any(folder.path(), &device()).unwrap();
    assert_eq!(model.parameters().values().to_vec(), expected);
}

#[test]
fn a_copy_of_the_embedding_that_differs_is_named_and_not_used() {
    let folder = published(|_| ());
    assert!(hugging_face::remarks(folder.path()).unwrap().is_empty());
    rename(&folder, |name| match name {
        "encoder.final_layer_norm.weight" => {
            vec![name.to_owned(), "encoder.embed_tokens.weight".to_owned()]
        }
        name => vec![name.to_owned()],
    });
    let model = hugging_face::load_any(folder.path(), &device()).unwrap();
    let expected = filled(&config()).parameters().values().to_vec();
    assert_eq!(model.parameters().values().to_vec(), expected);
    let remarks = hugging_face::remarks(folder.path()).unwrap();
    let note = "`encoder.embed_tokens.weight` differs from `shared.weight` and is not used";
    assert!(remarks.len() == 1 && remarks[0].ends_with(note), "{remarks:?}");
}

#[test]
fn folders_that_are_no_whole_t5_are_refused() {
    let refused = |folder: &tempfile::TempDir| {
        hugging_face::load_any(folder.path(), &device()).err().unwrap().to_string()
    };
    let encoder = published(|keys| keys["architectures"] = json!(["T5EncoderModel"]));
    let found = refused(&encoder);
    assert!(found.contains("T5EncoderModel, the encoder of an encoder-decoder alone"), "{found}");
    let unnamed = published(|keys| keys["architectures"] = Value::Null);
    rename(&unnamed, |name| match name.starts_with("decoder.") {
        true => Vec::new(),
        false => vec![name.to_owned()],
    });
    let found = refused(&unnamed);
    assert!(found.contains("`decoder.block.0.") && found.contains("is missing"), "{found}");
    let tableless = published(|_| ());
    rename(&tableless, |name| match name.ends_with("relative_attention_bias.weight") {
        true => Vec::new(),
        false => vec![name.to_owned()],
    });
    let found = refused(&tableless);
    assert!(found.contains("relative_attention_bias.weight` of shape [8, 2]"), "{found}");
    for (key, value, part) in [
        ("relative_attention_num_buckets", json!(6), "position_buckets is 6"),
        ("relative_attention_num_buckets", json!(16), "of shape [16, 2]"),
        ("relative_attention_max_distance", json!(4), "max_distance is 4"),
        ("feed_forward_proj", json!("gated-silu"), "babyllama knows \"relu\" and \"gated-gelu\""),
        ("feed_forward_proj", json!("gated-gelu"), "wi_1.weight"),
        ("is_gated_act", json!(true), "babyllama knows false"),
        ("dense_act_fn", json!("silu"), "babyllama knows \"relu\""),
        ("is_encoder_decoder", json!(false), "babyllama knows true"),
        ("decoder_start_token_id", json!(11), "decoder_start_token_id is 11"),
        ("d_model", json!(16), "[11, 16]"),
    ] {
        let found = refused(&published(|keys| keys[key] = value.clone()));
        let found = found.replace("has shape [8, 2]", "of shape [16, 2]");
        assert!(found.contains(part), "{key}: {found}");
    }
}

#[test]
fn a_t5_neither_generates_nor_teaches() {
    let folder = published(|_| ());
    let message = hugging_face::load(folder.path(), &device()).err().unwrap().to_string();
    assert!(
        message.contains("an encoder-decoder, which does not predict the next token"),
        "{message}"
    );
    let sampling =
        Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 1 };
    let settings = GenerationConfig { bos_token_id: None, ..GenerationConfig::default() };
    let refused = generate(&filled(&config()), &[3], &settings, 1, sampling, |_| true);
    assert!(refused.unwrap_err().to_string().contains("an encoder-decoder"));
}
