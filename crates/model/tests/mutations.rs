//! Mutated files of model folders: no panic, no hang, no memory that the input does not justify.
//!
//! The quick tests try some thousands; 500,000 of each file are tried by
//! `cargo test --release -p model --test mutations -- --ignored`.

use std::alloc::System;
use std::sync::Arc;
use std::time::Instant;

use base::mutation::{LONGEST, mutated, try_all};
use cap::Cap;
use engine::Device;
use engine::cpu::Cpu;
use model::hugging_face::{self, bytes};
use model::{Architecture, Model, ModelConfig};

/// More than all tests of this file together may ever hold, seeds included: what asks for more ends
/// the process.
const MOST_MEMORY: usize = 256 << 20;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, MOST_MEMORY);

fn configs() -> Vec<Vec<u8>> {
    let json = |architecture| {
        let mut object = hugging_face::config_to_json(&ModelConfig::tiny(architecture));
        object["rope_parameters"] = serde_json::json!({"rope_type": "default", "rope_theta": 5.0});
        object["eos_token_id"] = serde_json::json!([2, 3]);
        object.to_string().into_bytes()
    };
    Architecture::all().map(json).collect()
}

fn config(input: &[u8]) -> bool {
    // An accepted one also states a layout whose sizes can be counted.
    bytes::config(input).is_ok_and(|config| config.parameter_count() > 0)
}

fn generations() -> Vec<Vec<u8>> {
    vec![
        br#"{"eos_token_id": [2, 16], "bos_token_id": 1, "temperature": 0.7, "top_k": 50}"#
            .to_vec(),
        br#"{"do_sample": true, "repetition_penalty": 1.1, "suppress_tokens": []}"#.to_vec(),
    ]
}

fn generation(input: &[u8]) -> bool {
    bytes::generation(input, &ModelConfig::tiny(Architecture::LLAMA)).is_ok()
}

/// The weights of the smallest models, cut behind the header where no tensor's bytes matter.
fn headers() -> Vec<Vec<u8>> {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let weights = |architecture| {
        let config = ModelConfig { num_layers: 1, ..ModelConfig::tiny(architecture) };
        let folder = tempfile::tempdir().unwrap();
        hugging_face::save(&Model::new(config, &device, 1).unwrap(), folder.path()).unwrap();
        let whole = std::fs::read(folder.path().join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        whole[..8 + header].to_vec()
    };
    let one = b"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}}";
    let whole = [&(one.len() as u64).to_le_bytes()[..], one, &[0; 8]].concat();
    Architecture::all().map(weights).chain([whole]).collect()
}

fn header(input: &[u8]) -> bool {
    bytes::header(input).is_ok()
}

fn indexes() -> Vec<Vec<u8>> {
    let index = br#"{"metadata": {"total_size": 8}, "weight_map": {"a": "model-1.safetensors"}}"#;
    vec![index.to_vec()]
}

fn index(input: &[u8]) -> bool {
    let plain = |name: &String| !name.contains('/') && !name.is_empty() && name != "..";
    bytes::index(input).is_ok_and(|names| {
        assert!(names.iter().all(plain), "{names:?}");
        true
    })
}

fn try_each(count: u64) {
    for (name, seeds, parse) in [
        ("config.json", configs(), config as fn(&[u8]) -> bool),
        ("generation_config.json", generations(), generation),
        ("header", headers(), header),
        ("index", indexes(), index),
    ] {
        let accepted = try_all(&seeds, count, LONGEST, parse);
        // Both ways are taken: the mutations are neither harmless nor hopeless.
        assert!(accepted > 0 && accepted < count, "{name}: {accepted} of {count} accepted");
    }
}

#[test]
fn some_thousand_mutations_of_each_file() {
    try_each(5_000);
}

#[test]
#[ignore = "takes minutes; run by hand after changes of a parser"]
fn many_mutations_of_each_file() {
    try_each(500_000);
}

#[test]
fn folders_with_a_mutated_file_load_or_are_refused() {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    for architecture in Architecture::all() {
        let folder = tempfile::tempdir().unwrap();
        let config = ModelConfig { num_layers: 1, ..ModelConfig::tiny(architecture) };
        hugging_face::save(&Model::new(config, &device, 1).unwrap(), folder.path()).unwrap();
        for name in ["config.json", "model.safetensors"] {
            let path = folder.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            // Of the weights mostly the header, which is in front.
            let front = whole.len().min(2_000);
            for number in 0..100 {
                let mut input = mutated(&whole[..front], number);
                input.extend_from_slice(&whole[front..]);
                std::fs::write(&path, &input).unwrap();
                let began = Instant::now();
                let loaded = hugging_face::load_any(folder.path(), &device);
                assert!(began.elapsed() < LONGEST, "{name} {number}");
                if let Ok(model) = loaded {
                    let values = model.parameters().values().to_vec();
                    assert!(values.iter().all(|value| value.is_finite()), "{name} {number}");
                }
            }
            std::fs::write(&path, &whole).unwrap();
        }
    }
}
