//! Folders that other programs wrote.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use engine::Device;
use engine::cpu::Cpu;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::*;
use crate::Architecture;
use crate::families::config::tests::{gpt2, llama, opt, roberta};

fn small(config: ModelConfig) -> ModelConfig {
    ModelConfig { vocab_size: 50, ..config }
}

fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

/// All families that share their output layer with the embedding, as they are written.
fn tied_families() -> [ModelConfig; 4] {
    let tied = ModelConfig { tie_word_embeddings: true, ..llama(16, 24, 1, 2, 2) };
    let families = [gpt2(16, 24, 1, 4, 8), tied, opt(16, 24, 1, 4, 8), roberta(16, 24, 1, 4, 8)];
    families.map(small)
}

/// Writes a folder's tensors anew under other names, changed, or not at all.
fn rewrite(folder: &Path, change: impl Fn(&str, &[u8]) -> Vec<(String, Vec<u8>)>) {
    let path = folder.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = Vec::new();
    for (name, tensor) in file.tensors() {
        for (new, data) in change(&name, tensor.data()) {
            tensors.push((new, tensor.dtype(), tensor.shape().to_vec(), data));
        }
    }
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    safetensors::serialize_to_file(views, None, &path).unwrap();
}

/// A saved model and the names of its embedding and of its output matrix.
fn saved(config: &ModelConfig, folder: &Path) -> (Model, String, &'static str) {
    let model = Model::new(config.clone(), &device(), 3).unwrap();
    save(&model, folder).unwrap();
    let output = model.decoder().output().weight;
    let layout = model.parameters().layout();
    let named = layout.segments().iter().find(|named| named.segment == output).unwrap();
    let embedding = named.name.clone();
    (model, embedding, config.architecture.output_name(config))
}

#[test]
fn one_matrix_serves_for_both_under_either_name() {
    for config in tied_families() {
        let folder = tempfile::tempdir().unwrap();
        let (model, embedding, head) = saved(&config, folder.path());
        let expected = model.parameters().values().to_vec();
        for names in [vec![head], vec![head, &embedding]] {
            rewrite(folder.path(), |name, data| match name == embedding || name == head {
                true => names.iter().map(|new| (new.to_string(), data.to_vec())).collect(),
                false => vec![(name.to_owned(), data.to_vec())],
            });
            let again = load_any(folder.path(), &device()).unwrap();
            assert_eq!(again.config(), model.config());
            assert_eq!(again.parameters().values().to_vec(), expected);
            save(&model, folder.path()).unwrap();
        }
    }
}

#[test]
fn another_output_matrix_than_the_configuration_states_is_used() {
    for config in tied_families() {
        let folder = tempfile::tempdir().unwrap();
        let (model, embedding, head) = saved(&config, folder.path());
        let halves = vec![0x38; 50 * 16 * 4];
        rewrite(folder.path(), |name, data| {
            let own = (name.to_owned(), data.to_vec());
            match name == embedding {
                true => vec![own, (head.to_owned(), halves.clone())],
                false => vec![own],
            }
        });
        if config.architecture == Architecture::ROBERTA {
            let message = load_any(folder.path(), &device()).err().unwrap().to_string();
            assert!(message.contains("`lm_head.decoder.weight` differs"), "{message}");
            continue;
        }
        let again = load(folder.path(), &device()).unwrap();
        assert!(!again.config().tie_word_embeddings);
        let matrix = |model: &Model, segment: engine::Segment| {
            model.parameters().values().to_vec()[segment.offset..][..segment.length()].to_vec()
        };
        let value = f32::from_le_bytes([0x38; 4]);
        let output = again.decoder().output().weight;
        assert_eq!(matrix(&again, output), vec![value; 50 * 16]);
        assert_eq!(
            load_output(folder.path(), &device()).unwrap().weight.to_vec(),
            vec![value; 50 * 16]
        );
        let layout = again.parameters().layout();
        let first = layout.segments().iter().find(|named| named.name == embedding).unwrap();
        let before = model.decoder().output().weight;
        assert_eq!(matrix(&again, first.segment), matrix(&model, before));
        let lines = remarks(folder.path()).unwrap();
        assert!(lines.len() == 1 && lines[0].contains("`lm_head.weight` differs"), "{lines:?}");
    }
}

#[test]
fn names_without_a_prefix_and_older_ones_are_known() {
    for config in tied_families() {
        let folder = tempfile::tempdir().unwrap();
        let (model, ..) = saved(&config, folder.path());
        rewrite(folder.path(), |name, data| {
            let bare = match name.split_once('.') {
                Some((_, rest)) if !name.starts_with("lm_head") => rest,
                _ => name,
            };
            vec![(bare.to_owned(), data.to_vec())]
        });
        let again = load_any(folder.path(), &device()).unwrap();
        assert_eq!(again.parameters().values().to_vec(), model.parameters().values().to_vec());
    }
    let folder = tempfile::tempdir().unwrap();
    let (model, ..) = saved(&small(roberta(16, 24, 1, 4, 8)), folder.path());
    rewrite(folder.path(), |name, data| {
        let old = name.replace("LayerNorm.weight", "LayerNorm.gamma");
        let old = old.replace("LayerNorm.bias", "LayerNorm.beta");
        vec![(old.replace("lm_head.bias", "lm_head.decoder.bias"), data.to_vec())]
    });
    let again = load_any(folder.path(), &device()).unwrap();
    assert_eq!(again.parameters().values().to_vec(), model.parameters().values().to_vec());
}

#[test]
fn what_is_not_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    saved(&small(llama(16, 24, 1, 2, 2)), folder.path());
    assert_eq!(remarks(folder.path()).unwrap(), [""; 0]);
    rewrite(folder.path(), |name, data| {
        let own = (name.to_owned(), data.to_vec());
        match name.ends_with("layers.0.self_attn.q_proj.weight") {
            true => vec![
                own,
                ("model.layers.0.self_attn.q_proj.bias".into(), data.to_vec()),
                ("model.layers.0.self_attn.rotary_emb.inv_freq".into(), data.to_vec()),
            ],
            false => vec![own],
        }
    });
    let lines = remarks(folder.path()).unwrap();
    assert!(lines.len() == 1, "{lines:?}");
    assert!(lines[0].ends_with("not used: `model.layers.0.self_attn.q_proj.bias`"), "{lines:?}");
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for config in tied_families() {
            let folder = tempfile::tempdir().unwrap();
            let (_, embedding, _) = saved(&config, folder.path());
            rewrite(folder.path(), |name, data| {
                let mut data = data.to_vec();
                if name == embedding {
                    data[40..44].copy_from_slice(&value.to_le_bytes());
                }
                vec![(name.to_owned(), data)]
            });
            let message = load_any(folder.path(), &device()).err().unwrap().to_string();
            let expected = format!("`{embedding}` holds {value}: the model's weights are");
            assert!(message.contains(&expected), "{message}");
            if config.architecture.is_causal() {
                let message = load_output(folder.path(), &device()).err().unwrap().to_string();
                assert!(message.contains(&expected), "{message}");
            }
        }
    }
}

#[test]
fn half_precision_is_widened() {
    for (dtype, bytes) in [
        (Dtype::F16, half::f16::from_f32(0.375).to_le_bytes()),
        (Dtype::BF16, half::bf16::from_f32(0.375).to_le_bytes()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (model, ..) = saved(&small(gpt2(16, 24, 1, 4, 8)), folder.path());
        let path = folder.path().join("model.safetensors");
        let whole = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&whole).unwrap();
        let data = bytes.repeat(model.parameters().layout().length());
        let tensors = file.tensors().into_iter().map(|(name, tensor)| {
            let data = &data[..tensor.data().len() / 2];
            (name, TensorView::new(dtype, tensor.shape().to_vec(), data).unwrap())
        });
        safetensors::serialize_to_file(tensors, None, &path).unwrap();
        let again = load(folder.path(), &device()).unwrap();
        assert!(again.parameters().values().to_vec().iter().all(|value| *value == 0.375));
    }
}

#[test]
fn sizes_are_compared_before_there_is_memory_for_them() {
    let folder = tempfile::tempdir().unwrap();
    saved(&small(llama(16, 24, 1, 2, 2)), folder.path());
    let path = folder.path().join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    // Terabytes, which no machine of a test has.
    let huge = text.replace("\"vocab_size\": 50", "\"vocab_size\": 16000000");
    let huge = huge.replace("\"hidden_size\": 16", "\"hidden_size\": 16000000");
    assert_ne!(huge, text);
    std::fs::write(&path, huge).unwrap();
    let message = load(folder.path(), &device()).err().unwrap().to_string();
    let expected = "`model.embed_tokens.weight` has shape [50, 16] where the configuration asks";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn an_index_names_files_beside_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    saved(&small(gpt2(16, 24, 1, 4, 8)), folder.path());
    let single = folder.path().join("model.safetensors");
    let write_index = |names: &[&str]| {
        let map: HashMap<String, &str> =
            names.iter().enumerate().map(|(place, name)| (place.to_string(), *name)).collect();
        let text = serde_json::json!({ "weight_map": map }).to_string();
        std::fs::write(folder.path().join("model.safetensors.index.json"), text).unwrap();
    };
    std::fs::rename(&single, folder.path().join("part.safetensors")).unwrap();
    write_index(&["part.safetensors"]);
    assert!(load(folder.path(), &device()).is_ok());
    let message = || load(folder.path(), &device()).err().unwrap().to_string();
    for name in ["../part.safetensors", "/dev/zero", "..", ".", "", "a/b", "./part.safetensors"] {
        write_index(&[name, "part.safetensors"]);
        let message = message();
        assert!(message.contains("index.json: ") && message.contains("no plain name"), "{message}");
    }
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    write_index(&["inner"]);
    assert!(message().ends_with("inner is no regular file"), "{}", message());
    write_index(&["absent.safetensors"]);
    assert!(message().contains("absent.safetensors"), "{}", message());
}

#[test]
fn pointers_of_git_lfs_are_known() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n";
    for name in ["config.json", "model.safetensors"] {
        let folder = tempfile::tempdir().unwrap();
        saved(&small(gpt2(16, 24, 1, 4, 8)), folder.path());
        std::fs::write(folder.path().join(name), pointer).unwrap();
        let message = load(folder.path(), &device()).err().unwrap().to_string();
        assert!(message.contains(&format!("{name} is a pointer of Git LFS")), "{message}");
    }
}
