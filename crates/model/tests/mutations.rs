//! Mutated files of model folders: no panic, no hang, no memory that the input does not justify.
//!
//! The quick tests try some thousands; `cargo test --release -p model --test mutations -- --ignored`
//! tries 500,000 of each file.

use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::rng::Rng;
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

/// Longer than any parser may take.
const LONGEST: Duration = Duration::from_secs(2);

/// What mutations put in: values at the limits of types, and JSON's own signs.
const PIECES: [&str; 32] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "1e-320",
    "1e999",
    "NaN",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "[[[[[[[[",
    "{\"a\":",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"default\"",
    ",",
    ":",
    "}",
    "]",
    "..",
    "/dev/zero",
];

/// One of infinitely many mutations of a seed.
fn mutated(seed: &[u8], number: u64) -> Vec<u8> {
    let rng = Rng::new(number, "mutations");
    let mut bytes = seed.to_vec();
    for round in 0..1 + rng.below(0, 4) {
        let rng = rng.at(round);
        let place = |index: u64, length: usize| rng.below(index, length as u64 + 1) as usize;
        let (start, length) = (place(1, bytes.len()), place(2, 16));
        let end = (start + length).min(bytes.len());
        let piece = PIECES[rng.below(3, PIECES.len() as u64) as usize].as_bytes();
        match rng.below(4, 7) {
            0 if start < bytes.len() => bytes[start] ^= 1 << rng.below(5, 8),
            1 if start < bytes.len() => bytes[start] = rng.bits(6) as u8,
            2 => drop(bytes.drain(start..end)),
            3 => drop(bytes.splice(start..start, piece.iter().copied())),
            4 => {
                let copy = bytes[start..end].to_vec();
                let target = place(7, bytes.len());
                drop(bytes.splice(target..target, copy));
            }
            5 if rng.below(8, 8) == 0 => bytes.truncate(start),
            // A whole number becomes another one.
            _ => {
                let is_digit = |byte: &u8| byte.is_ascii_digit();
                let first = bytes[start..].iter().position(is_digit).map(|step| start + step);
                if let Some(first) = first {
                    let rest = &bytes[first..];
                    let last = first + rest.iter().position(|b| !is_digit(b)).unwrap_or(rest.len());
                    drop(bytes.splice(first..last, piece.iter().copied()));
                }
            }
        }
    }
    bytes
}

/// Gives `count` mutations of the seeds to a parser, and returns how many it accepted.
fn try_all(seeds: &[Vec<u8>], count: u64, parse: impl Fn(&[u8]) -> bool) -> u64 {
    let mut accepted = 0;
    for number in 0..count {
        let input = mutated(&seeds[number as usize % seeds.len()], number);
        let began = Instant::now();
        accepted += u64::from(parse(&input));
        let shown = || String::from_utf8_lossy(&input).into_owned();
        assert!(began.elapsed() < LONGEST, "{:?} for {}", began.elapsed(), shown());
    }
    accepted
}

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
        let accepted = try_all(&seeds, count, parse);
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
fn half_a_million_mutations_of_each_file() {
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
