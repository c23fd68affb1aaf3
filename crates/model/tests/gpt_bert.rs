//! GPT-BERT against numbers of its authors' code, in both directions and causally;
//! `train/tests/gpt_bert.rs` has more, with random weights.

mod common;

use common::{
    Golden, IDS, answers, assert_golden, assert_near, change_tensors, device, filled, folder,
    load_error, sizes,
};
use model::generate::{Sampling, generate};
use model::hugging_face::GenerationConfig;
use model::{Architecture, Batch, Classifier, GptBertNames, Model, ModelConfig, hugging_face};
use serde_json::{Value, json};

fn config(gpt_bert_names: Option<GptBertNames>) -> ModelConfig {
    let config = sizes(ModelConfig::tiny(Architecture::GPT_BERT));
    ModelConfig { gpt_bert_names, ..config }
}

#[test]
fn loss_logits_and_gradients_are_those_of_the_authors_in_both_directions() {
    let golden = Golden {
        first: [0.03224, -0.25351, 0.12614],
        last: [-0.00638, -0.18003, 0.02023],
        loss: 2.438895,
        norm: 1.058808,
        distances: [-0.0000839, -0.0001769],
    };
    assert_golden(&filled(&config(None)), &golden);
}

#[test]
fn causally_a_token_sees_none_behind_it() {
    let model = filled(&config(None));
    let (_, logits, _) = answers(&model, false);
    assert_near(&logits[2 * 11..], &[0.04748, -0.28197, 0.16689], 2e-5);
    let states = |ids: &[u32], bidirectional| {
        let batch = Batch { bidirectional, ..Batch::from_sequences([ids]) };
        model.hidden_states(&batch).value().to_vec()
    };
    let (whole, begun) = (states(&IDS, false), states(&IDS[..4], false));
    let differences = whole.iter().zip(&begun).map(|(a, b)| (a - b).abs());
    assert!(differences.fold(0.0, f32::max) < 1e-5);
    assert_ne!(states(&IDS, true)[..8], states(&IDS[..4], true)[..8]);
}

/// The authors' `config.json`, without a `model_type`.
fn authors() -> Value {
    json!({
        "architectures": ["LtgbertFoCausalLM"],
        "auto_map": {"AutoModelForCausalLM": "modeling_ltgbert.LtgbertForCausalLM"},
        "attention_probs_dropout_prob": 0.1,
        "hidden_dropout_prob": 0.2,
        "hidden_size": 8,
        "intermediate_size": 12,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "position_bucket_size": 4,
        "torch_dtype": "float32",
        "vocab_size": 11,
        "temperature": 2.65,
    })
}

/// The `config.json` of the organisers' baselines.
fn organisers() -> Value {
    let mut config = authors();
    let object = config.as_object_mut().unwrap();
    object.remove("temperature");
    object.insert("architectures".into(), json!(["GPTBERTForCausalLM"]));
    object.insert("model_type".into(), json!("gpt_bert"));
    object.insert("num_layers".into(), json!(2));
    config
}

#[test]
fn folders_of_both_namings_are_read_and_written_again() {
    for (names, keys, tensor) in [
        (None, authors(), "transformer.dwa_modules.alphas.3"),
        (Some(GptBertNames::Babylm2025), organisers(), "model.dwa_modules.alphas.3"),
    ] {
        let model = filled(&config(names));
        let place = folder(&model, &keys);
        assert_eq!(hugging_face::remarks(place.path()).unwrap(), [""; 0]);
        let read = hugging_face::load(place.path(), &device()).unwrap();
        assert_eq!((read.config().gpt_bert_names, read.config().residual_dropout), (names, 0.2));
        assert_eq!(answers(&read, true), answers(&model, true));
        let again = tempfile::tempdir().unwrap();
        hugging_face::save(&read, again.path()).unwrap();
        let text = std::fs::read_to_string(again.path().join("config.json")).unwrap();
        assert_eq!(text.contains("\"num_layers\""), names.is_some());
        let bytes = std::fs::read(again.path().join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor(tensor).unwrap().shape(), [5]);
        let again = hugging_face::load(again.path(), &device()).unwrap();
        assert_eq!(again.config(), read.config());
        assert_eq!(answers(&again, true), answers(&model, true));
    }
}

#[test]
fn a_configuration_without_a_model_type_is_known_by_its_class() {
    for class in ["LtgbertFoCausalLM", "LtgbertForMaskedLM", "GPTBertForMaskedLM"] {
        let mut keys = authors();
        keys["architectures"] = json!([class]);
        let place = folder(&filled(&config(None)), &keys);
        let found = hugging_face::load_config(place.path()).unwrap();
        assert_eq!(found.architecture, Architecture::GPT_BERT, "{class}");
    }
}

/// A model in the organisers' naming has its tensors in another order, and the same answers.
#[test]
fn the_naming_changes_no_number() {
    let place = folder(&filled(&config(None)), &authors());
    let mut bytes = Vec::new();
    change_tensors(place.path(), &mut bytes, |tensors| {
        let renamed = |name: String| match name.split_once('.').unwrap() {
            ("transformer", rest) => format!("model.{rest}"),
            ("embedding", rest) => format!("model.embedding.{rest}"),
            (_, rest) => format!("lm_head.{rest}"),
        };
        let mut tensors: Vec<_> =
            tensors.into_iter().map(|(name, view)| (renamed(name), view)).collect();
        // The tied matrix, as files of PyTorch have it.
        let tied = tensors.iter().find(|(name, _)| name.ends_with("word_embedding.weight"));
        tensors.push(("lm_head.nonlinearity.5.weight".to_owned(), tied.unwrap().1.clone()));
        tensors
    });
    let read = hugging_face::load(place.path(), &device()).unwrap();
    assert_eq!(read.config().gpt_bert_names, Some(GptBertNames::Babylm2025));
    let expected = filled(&config(None));
    for bidirectional in [false, true] {
        let [found, expected] = [&read, &expected].map(|model| answers(model, bidirectional));
        assert_eq!((found.0, found.1), (expected.0, expected.1));
    }
    assert_eq!(hugging_face::remarks(place.path()).unwrap(), [""; 0]);
}

#[test]
fn damaged_folders_are_named() {
    let model = filled(&config(None));
    let without = |name: &str| {
        let place = folder(&model, &authors());
        let mut bytes = Vec::new();
        change_tensors(place.path(), &mut bytes, |tensors| {
            tensors.into_iter().filter(|(other, _)| other != name).collect()
        });
        load_error(place.path())
    };
    let message = without("embedding.relative_embedding");
    assert!(message.contains("`embedding.relative_embedding` of shape [7, 8] is missing"));
    let message = without("transformer.dwa_modules.alphas.2");
    assert!(message.contains("`transformer.dwa_modules.alphas.2` of shape [4] is missing"));

    // Weights of another number of states.
    let place = folder(&model, &authors());
    let mut bytes = Vec::new();
    change_tensors(place.path(), &mut bytes, |tensors| {
        let longer = tensors.iter().find(|(name, _)| name.ends_with("alphas.3")).unwrap();
        let longer = longer.1.clone();
        let other = |(name, view)| match name == "transformer.dwa_modules.alphas.0" {
            true => (name, longer.clone()),
            false => (name, view),
        };
        tensors.into_iter().map(other).collect()
    });
    let message = load_error(place.path());
    assert!(message.contains("has shape [5]") && message.contains("asks for [2]"), "{message}");

    let mut other = organisers();
    other["num_layers"] = json!(3);
    let message = load_error(folder(&model, &other).path());
    assert!(message.contains("`num_layers` is 3") && message.contains("2 by"), "{message}");
    let mut nameless = authors();
    nameless["architectures"] = json!(["SomethingElse"]);
    let message = load_error(folder(&model, &nameless).path());
    assert!(message.contains("`model_type` is missing"), "{message}");
}

/// Without a KV cache: every next token is that of the whole text.
#[test]
fn generation_takes_the_likeliest_token_of_the_whole_text() {
    let wide = ModelConfig { initializer_range: 0.5, ..config(None) };
    let model = Model::new(wide, &device(), 5).unwrap();
    let greedy =
        Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 };
    let endless = GenerationConfig { bos_token_id: Some(1), ..GenerationConfig::default() };
    let written = generate(&model, &[3, 4], &endless, 100, greedy, |_| true).unwrap();
    // One for each position, and the one behind the last.
    assert_eq!(written.len(), 15);
    let mut text = vec![3, 4];
    for &token in &written {
        let hidden = model.hidden_states(&Batch::from_sequences([&text]));
        let mut logits = vec![0.0; text.len() * 11];
        device().logits(&[model.projection(&hidden, 1.0)], &mut logits);
        let last = &logits[11 * (text.len() - 1)..];
        let likeliest = (0..11).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
        assert_eq!(token as usize, likeliest);
        text.push(token);
    }
}

#[test]
fn a_classifier_reads_in_both_directions() {
    let classifier = Classifier::from_model(&filled(&config(None)), 2, 3).unwrap();
    let logits = |ids: &[u32]| classifier.logits(&Batch::from_sequences([ids]));
    assert_ne!(logits(&[1, 5, 3]), logits(&[1, 5, 4]), "the first token sees the last");
}
