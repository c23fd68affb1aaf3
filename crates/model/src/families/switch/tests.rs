use std::sync::Arc;

use engine::cpu::Cpu;
use engine::{Device, Parameters, Tape};

use super::*;
use crate::families::Capacity;
use crate::families::config::tests::{gpt2, llama};
use crate::hugging_face::{bytes, config_to_json, load, save};
use crate::{Batch, Model};

fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}

fn with_experts(architecture: Architecture, body: ModelConfig, experts: Experts) -> ModelConfig {
    ModelConfig { architecture, experts: Some(experts), ..body }
}

fn both(experts: &Experts) -> [ModelConfig; 2] {
    let (gpt2, llama) = (gpt2(16, 24, 4, 4, 32), llama(16, 24, 4, 4, 4));
    let small = |body| ModelConfig { vocab_size: 50, initializer_range: 0.3, ..body };
    [
        with_experts(Architecture::SWITCH_GPT2, small(gpt2), experts.clone()),
        with_experts(Architecture::SWITCH_LLAMA, small(llama), experts.clone()),
    ]
}

/// The published GPT-2 of 10 M parameters with eight experts in each of eight layers.
#[test]
fn parameter_counts_are_those_of_the_formula() {
    let count = |num_experts, sparse_step| {
        let experts = Experts { num_experts, sparse_step, ..Experts::default() };
        let config = gpt2(256, 1024, 8, 16, 128);
        let config = with_experts(Architecture::SWITCH_GPT2, config, experts);
        config.validate().unwrap();
        // What one token passes is the dense model with its routers.
        let active = 10_447_360 + config.sparse_layers() * 256 * num_experts;
        assert_eq!(config.active_parameter_count(), active);
        (config.sparse_layers(), config.parameter_count())
    };
    assert_eq!(count(8, 1), (8, 39_895_552));
    for (num_experts, sparse_step, sparse) in [(1, 1, 8), (4, 2, 4), (2, 3, 3), (8, 4, 2)] {
        let more = sparse * ((num_experts - 1) * 525_568 + 256 * num_experts);
        assert_eq!(count(num_experts, sparse_step), (sparse, 10_447_360 + more));
    }
}

#[test]
fn each_body_has_its_own_sparse_layers() {
    let sparse = |family: &dyn Family, step| {
        (0..6).filter(|&layer| family.is_sparse(layer, step)).collect::<Vec<_>>()
    };
    for family in [&SwitchGpt2 as &dyn Family, &SwitchLlama] {
        assert_eq!(sparse(family, 1), [0, 1, 2, 3, 4, 5]);
        assert_eq!(sparse(family, 2), [1, 3, 5]);
        assert_eq!(sparse(family, 0), [0; 0]);
    }
    assert_eq!(sparse(&SwitchGpt2, 3), [1, 4]);
    assert_eq!(sparse(&SwitchLlama, 3), [2, 5]);
}

/// One expert that takes all tokens: the same bits as the dense model of the same weights, also
/// with the capacity of training.
#[test]
fn one_expert_of_factor_one_is_the_dense_model_to_the_bit() {
    let experts = Experts {
        num_experts: 1,
        capacity: Capacity::Factor(1.0),
        router_jitter: 0.0,
        ..Experts::default()
    };
    for (config, body) in both(&experts).into_iter().zip([Architecture::GPT2, Architecture::LLAMA])
    {
        let sparse = Model::new(config.clone(), &device(), 3).unwrap();
        let dense = ModelConfig { architecture: body, experts: None, ..config };
        let mut dense = Model::zeros(dense, &device()).unwrap();
        copy_weights(&sparse, &mut dense);
        let batch = Batch::from_sequences([&[3, 4, 5, 6, 7][..], &[8, 4, 10]]);
        let states = |model: &Model| {
            let mut gradients =
                Parameters::zeros(model.device(), model.parameters().layout().clone());
            let mut tape = Tape::training(model.parameters(), &mut gradients, None);
            model.decoder().hidden_states(&mut tape, &batch, None).value().to_vec()
        };
        assert_eq!(states(&sparse), states(&dense));
        assert_eq!(sparse.hidden_states(&batch).value().to_vec(), states(&dense));
    }
}

/// The weights that a dense model has, from the only expert of a sparse one.
fn copy_weights(from: &Model, to: &mut Model) {
    let layout = to.parameters().layout().clone();
    for named in layout.segments() {
        let own = |name: &str| {
            name == named.name
                || name.replace("experts.expert_0.", "") == named.name
                || name.replace("experts.0.", "") == named.name
        };
        let segments = from.parameters().layout().segments();
        let source = segments.iter().find(|source| own(&source.name)).unwrap().segment;
        let mut values = vec![0.0; source.length()];
        from.device().read(from.parameters().view(source), &mut values);
        let target = to.parameters_mut().view_mut(named.segment);
        from.device().write(target, &values);
    }
}

#[test]
fn a_factor_is_a_share_of_the_tokens_rounded_up() {
    let places = |factor, tokens, experts| Capacity::Factor(factor).of(tokens, experts);
    assert_eq!(places(1.25, 100, 8), 16);
    assert_eq!(places(1.0, 96, 8), 12);
    // 1.1 * 100 is a little more than 110 in f64.
    assert_eq!(places(1.1, 100, 10), 11);
    assert_eq!(places(1e300, 100, 10), usize::MAX);
}

/// A capacity is a rule of training: what an expert has no room for is dropped there, and nowhere
/// else.
#[test]
fn a_capacity_limits_training_alone() {
    let limited = Experts {
        num_experts: 2,
        capacity: Capacity::Tokens(1),
        router_jitter: 0.0,
        ..Experts::default()
    };
    let unlimited = Experts { capacity: Capacity::None, ..limited.clone() };
    let batch = Batch::from_sequences([[3, 4, 5, 6, 7, 8], [9, 8, 7, 6, 5, 4]]);
    for (limited, unlimited) in both(&limited).into_iter().zip(both(&unlimited)) {
        let [limited, unlimited] =
            [limited, unlimited].map(|config| Model::new(config, &device(), 3).unwrap());
        let trained = |model: &Model| {
            let mut gradients =
                Parameters::zeros(model.device(), model.parameters().layout().clone());
            let mut tape = Tape::training(model.parameters(), &mut gradients, None);
            model.decoder().hidden_states(&mut tape, &batch, None).value().to_vec()
        };
        let evaluated = |model: &Model| model.hidden_states(&batch).value().to_vec();
        assert_eq!(evaluated(&limited), evaluated(&unlimited));
        assert_eq!(trained(&unlimited), evaluated(&unlimited));
        assert_ne!(trained(&limited), evaluated(&limited));
    }
}

#[test]
fn folders_survive_with_every_capacity_and_step() {
    for capacity in [Capacity::Factor(1.25), Capacity::Tokens(7), Capacity::None] {
        for sparse_step in [1, 2, 3] {
            let experts = Experts { num_experts: 2, sparse_step, capacity, ..Experts::default() };
            for config in both(&experts) {
                let folder = tempfile::tempdir().unwrap();
                let saved = Model::new(config.clone(), &device(), 3).unwrap();
                save(&saved, folder.path()).unwrap();
                let again = load(folder.path(), &device()).unwrap();
                assert_eq!(again.config(), &config);
                assert_eq!(
                    again.parameters().values().to_vec(),
                    saved.parameters().values().to_vec()
                );
            }
        }
    }
}

fn read(object: &Value) -> Result<ModelConfig, ModelError> {
    bytes::config(object.to_string().as_bytes())
}

#[test]
fn the_configuration_is_that_of_the_class() {
    let experts = Experts { num_experts: 2, sparse_step: 2, ..Experts::default() };
    let [gpt2, llama] = both(&experts).map(|config| config_to_json(&config));
    assert_eq!(gpt2["model_type"], "babyllama_switch");
    assert_eq!(llama["model_type"], "qwen2_moe");
    assert_eq!(llama["architectures"], json!(["Qwen2MoeForCausalLM"]));
    for (key, value) in [
        ("num_experts", json!(2)),
        ("num_experts_per_tok", json!(1)),
        ("norm_topk_prob", json!(false)),
        ("qkv_bias", json!(false)),
        ("shared_expert_intermediate_size", json!(0)),
        ("moe_intermediate_size", json!(24)),
        ("decoder_sparse_step", json!(2)),
        ("mlp_only_layers", json!([])),
        ("router_aux_loss_coef", json!(0.001)),
    ] {
        assert_eq!(llama[key], value, "{key}");
    }
    assert!(llama.get("mlp_bias").is_none() && llama.get("attention_bias").is_none());
}

/// What transformers' Qwen2-MoE models otherwise are, also where a key is left to its default.
#[test]
fn other_models_of_the_class_are_refused() {
    let config = config_to_json(&SwitchLlama.tiny());
    let message = |key: &str, value: Option<Value>| {
        let mut object = config.clone();
        match value {
            Some(value) => object[key] = value,
            None => drop(object.as_object_mut().unwrap().remove(key)),
        }
        read(&object).unwrap_err().to_string()
    };
    assert!(message("num_experts_per_tok", Some(json!(4))).contains("is 4; babyllama knows 1"));
    assert!(message("qkv_bias", Some(json!(true))).contains("`qkv_bias` is true"));
    let shared = message("shared_expert_intermediate_size", Some(json!(8)));
    assert!(shared.contains("is 8; babyllama knows 0"), "{shared}");
    assert!(message("mlp_only_layers", Some(json!([1]))).contains("`mlp_only_layers`"));
    let sliding = message("layer_types", Some(json!(["full_attention", "sliding_attention"])));
    assert!(sliding.contains("knows \"full_attention\""), "{sliding}");
    for key in ["num_experts_per_tok", "qkv_bias", "shared_expert_intermediate_size"] {
        assert!(message(key, None).contains(&format!("`{key}` is missing")));
    }
    assert!(message("num_experts", None).contains("`num_experts` is missing"));
    assert!(message("num_experts", Some(json!(0))).contains("num_experts is 0"));
    assert!(message("decoder_sparse_step", Some(json!(0))).contains("sparse_step is 0"));
    let step = message("decoder_sparse_step", Some(json!(9)));
    assert!(step.contains("is 9, by which none of 2 layers is sparse"), "{step}");
    assert!(message("expert_capacity", Some(json!(0))).contains("capacity is 0 tokens"));
    let mut both = config.clone();
    both["expert_capacity"] = json!(3);
    both["expert_capacity_factor"] = json!(1.5);
    assert!(read(&both).unwrap_err().to_string().contains("`expert_capacity` is 3"));
    // Dense layers of another width than the experts.
    let mut step = config.clone();
    step["decoder_sparse_step"] = json!(2);
    assert!(read(&step).is_ok());
    step["intermediate_size"] = json!(32);
    let widths = read(&step).unwrap_err().to_string();
    assert!(widths.contains("is 32 and moe_intermediate_size 24; they must agree"), "{widths}");
}

#[test]
fn a_folder_without_an_expert_is_refused_by_the_tensors_name() {
    for (config, part) in both(&Experts { num_experts: 2, ..Experts::default() })
        .into_iter()
        .zip(["mlp.experts.expert_2.c_fc.weight", "mlp.experts.2.gate_proj.weight"])
    {
        let folder = tempfile::tempdir().unwrap();
        save(&Model::new(config, &device(), 3).unwrap(), folder.path()).unwrap();
        let path = folder.path().join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"num_experts\": 2", "\"num_experts\": 3")).unwrap();
        let message = load(folder.path(), &device()).err().unwrap().to_string();
        assert!(message.contains(part) && message.contains("is missing"), "{message}");
    }
}

#[test]
fn experts_belong_to_their_families_alone() {
    let plain = ModelConfig { experts: None, ..SwitchGpt2.tiny() };
    assert!(plain.validate().unwrap_err().to_string().contains("num_experts is missing"));
    let dense = ModelConfig { experts: Some(Experts::default()), ..Gpt2.tiny() };
    let message = dense.validate().unwrap_err().to_string();
    assert!(message.contains("num_experts is 8; GPT-2 has no experts"), "{message}");
    assert!(SwitchLlama.empty_tensors(&SwitchLlama.tiny()).iter().any(|(name, shape)| {
        (name.as_str(), *shape) == ("model.layers.1.mlp.shared_expert.down_proj.weight", [16, 0])
    }));
}
