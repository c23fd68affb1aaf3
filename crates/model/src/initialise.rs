//! Hugging Face's random initialisation.

use base::rng::Rng;
use engine::{Parameters, Role};
use rayon::prelude::*;

use crate::families::ModelConfig;

/// Weights from a normal distribution, gains 1, biases 0; the family knows the deviation of each
/// segment and the rows that are 0. Each segment has its own stream, named after it.
pub(crate) fn initialise(config: &ModelConfig, parameters: &mut Parameters, seed: u64) {
    let device = parameters.device().clone();
    let layout = parameters.layout().clone();
    for named in layout.segments() {
        let segment = named.segment;
        match named.role {
            Role::Bias => device.fill(parameters.view_mut(segment), 0.0),
            Role::NormGain => device.fill(parameters.view_mut(segment), 1.0),
            Role::Mixture => {
                let mut values = vec![0.0; segment.length()];
                let last = config.architecture.initial_weight_of_last_state(config);
                values[segment.length() - 1] = last;
                device.write(parameters.view_mut(segment), &values);
            }
            Role::Matrix | Role::Output | Role::Embedding | Role::Positions | Role::TokenTypes => {
                let deviation = config.architecture.initial_deviation(config, named);
                let (name, count) = (&named.name, segment.length());
                let mut values = match config.architecture.cuts_initial_weights() {
                    false => normal(name, count, deviation, seed),
                    true => cut_normal(name, count, deviation, seed),
                };
                if let Some(row) = config.architecture.padding_row(config, named.role) {
                    values[row * segment.columns..][..segment.columns].fill(0.0);
                }
                device.write(parameters.view_mut(segment), &values);
            }
        }
    }
}

/// `count` values of N(0, `deviation`), from the seed's stream of that name. Each depends on its
/// index alone, not on the threads.
pub(crate) fn normal(name: &str, count: usize, deviation: f32, seed: u64) -> Vec<f32> {
    let rng = Rng::new(seed, name);
    (0..count).into_par_iter().map(|index| deviation * rng.normal(index as u64)).collect()
}

/// `count` values between `-bound` and `bound`, from the seed's stream of that name.
pub(crate) fn uniform(name: &str, count: usize, bound: f32, seed: u64) -> Vec<f32> {
    let rng = Rng::new(seed, name);
    let value = |index: usize| bound * (2.0 * rng.uniform(index as u64) - 1.0);
    (0..count).into_par_iter().map(value).collect()
}

/// `count` values as those of [`normal`], but with values beyond two deviations drawn anew
/// (`trunc_normal_`).
fn cut_normal(name: &str, count: usize, deviation: f32, seed: u64) -> Vec<f32> {
    let rng = Rng::new(seed, name);
    let value = |index: usize| {
        let mut draws = (0..).map(|round: usize| rng.normal((index + round * count) as u64));
        draws.find(|draw| draw.abs() <= 2.0).unwrap_or_default()
    };
    (0..count).into_par_iter().map(|index| deviation * value(index)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::cpu::Cpu;

    use crate::families::config::tests::{gpt2, llama, ltg_bert, opt, roberta};
    use crate::{Architecture, Model, ModelConfig};

    fn deviation_of(model: &Model, name: &str) -> f64 {
        let layout = model.parameters().layout();
        let segment = layout.segments().iter().find(|named| named.name == name).unwrap().segment;
        let values = &model.parameters().values().to_vec()
            [segment.offset..segment.offset + segment.length()];
        (values.iter().map(|&x| x as f64 * x as f64).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn spreads_follow_the_families_rules() {
        let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
        let small = |config| ModelConfig { vocab_size: 500, ..config };
        let model = Model::new(small(gpt2(64, 256, 8, 4, 32)), &device, 1).unwrap();
        assert!((deviation_of(&model, "transformer.h.0.mlp.c_fc.weight") - 0.02).abs() < 5e-4);
        assert!((deviation_of(&model, "transformer.h.0.mlp.c_proj.weight") - 0.005).abs() < 2e-4);
        assert_eq!(deviation_of(&model, "transformer.h.3.ln_1.weight"), 1.0);
        assert_eq!(deviation_of(&model, "transformer.h.3.ln_1.bias"), 0.0);

        // 0.88 is the deviation of N(0, 1) between -2 and 2.
        let config = ModelConfig { initializer_range: 0.05, ..small(ltg_bert(64, 96, 3, 4, 32)) };
        let model = Model::new(config, &device, 1).unwrap();
        for (name, expected) in [
            ("embedding.word_embedding.weight", 0.05),
            ("transformer.layers.2.attention.in_proj_qk.weight", 0.05),
            ("transformer.layers.0.mlp.mlp.1.weight", 0.05 / 2f64.sqrt()),
            ("transformer.layers.2.mlp.mlp.4.weight", 0.05 / 6f64.sqrt()),
        ] {
            let found = deviation_of(&model, name);
            assert!((found / (0.8796 * expected) - 1.0).abs() < 0.03, "{name}: {found}");
        }
        let largest = model.parameters().values().to_vec().into_iter().fold(0.0, f32::max);
        assert_eq!(largest, 1.0, "the gains of norms, beyond which no weight is");
        let range = Architecture::LTG_BERT.initializer_range(384);
        assert!((range - 0.032_275).abs() < 1e-6, "{range}");

        let model = Model::new(small(llama(64, 128, 2, 4, 4)), &device, 1).unwrap();
        assert!((deviation_of(&model, "model.layers.1.mlp.down_proj.weight") - 0.02).abs() < 5e-4);
        assert_eq!(model.parameters().values().to_vec()[..64], [0.0; 64]);
        for (config, tables) in [
            (opt(64, 96, 1, 4, 16), &["model.decoder.embed_tokens.weight"][..]),
            (
                roberta(64, 96, 1, 4, 16),
                &[
                    "roberta.embeddings.word_embeddings.weight",
                    "roberta.embeddings.position_embeddings.weight",
                ],
            ),
        ] {
            let model = Model::new(small(config), &device, 1).unwrap();
            for table in tables {
                let named = model
                    .parameters()
                    .layout()
                    .segments()
                    .iter()
                    .find(|named| named.name == *table)
                    .unwrap();
                let rows = model.parameters().values().to_vec()[named.segment.offset..].to_vec();
                assert!(
                    rows[..64] != [0.0; 64]
                        && rows[64..128] == [0.0; 64]
                        && rows[128..192] != [0.0; 64]
                );
            }
        }
        let again = Model::new(small(llama(64, 128, 2, 4, 4)), &device, 1).unwrap();
        assert_eq!(model.parameters().values().to_vec(), again.parameters().values().to_vec());
    }
}
