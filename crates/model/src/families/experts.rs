//! Layers of experts, in which every token passes through one of several feed-forward parts
//! (Switch Transformer: Fedus et al., arXiv 2101.03961). What is here is the same for every body:
//! the keys, the parameters' places and the forward pass of a feed-forward part.

use std::sync::Arc;

use base::rounding;
use engine::ops::experts::{Expert, ExpertActivation};
use engine::{Segment, Tape, Var};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ModelConfig;
use crate::batch::Batch;
use crate::config_keys::{ConfigKey, followed, no_effect};
use crate::error::ModelError;
use crate::keys::Keys;

/// The experts of a model and how its routers are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experts {
    /// Experts of every sparse layer.
    pub num_experts: usize,
    /// One of this many layers is sparse; which one depends on the body.
    pub sparse_step: usize,
    /// How many tokens of a sequence an expert takes in training.
    pub capacity: Capacity,
    /// In training every value that a sparse layer reads is multiplied by a random number of
    /// `[1 - router_jitter, 1 + router_jitter)`.
    pub router_jitter: f64,
    /// Weight of the routers' z-loss in the objective of pretraining.
    pub z_loss: f64,
    /// Weight of the balance loss in the objective of pretraining.
    pub balance_loss: f64,
}

impl Default for Experts {
    /// The experts of recipes that set no key: eight.
    fn default() -> Self {
        Self {
            num_experts: 8,
            sparse_step: 1,
            capacity: Capacity::default(),
            router_jitter: 0.01,
            z_loss: 0.001,
            balance_loss: 0.001,
        }
    }
}

/// How many tokens of a sequence an expert takes; those that come first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// This factor times the tokens of a sequence over the number of experts, rounded up.
    Factor(f64),
    /// This number of tokens.
    Tokens(usize),
    /// All tokens.
    None,
}

impl Default for Capacity {
    fn default() -> Self {
        Self::Factor(1.25)
    }
}

impl Capacity {
    /// The capacity of an expert in tokens, for a sequence of `tokens` tokens.
    pub fn of(self, tokens: usize, num_experts: usize) -> usize {
        match self {
            // Saturates where the factor is larger than any sequence.
            Self::Factor(factor) => {
                rounding::ceiling(factor * tokens as f64 / num_experts as f64) as usize
            }
            Self::Tokens(count) => count,
            Self::None => usize::MAX,
        }
    }
}

/// The most experts of a layer: more than any model of this program's kind has.
const MOST_EXPERTS: usize = 256;
/// The most experts of all layers together.
const MOST_IN_ALL: usize = 1 << 14;

/// The keys of `config.json`, by transformers' names in `SwitchTransformersConfig` and
/// `Qwen2MoeConfig` where they have one.
pub(super) static CONFIG_KEYS: &[ConfigKey] = &[
    followed("num_experts"),
    followed("decoder_sparse_step"),
    followed("expert_capacity"),
    followed("expert_capacity_factor"),
    followed("router_jitter_noise"),
    followed("router_z_loss_coef"),
    followed("router_balance_loss_coef"),
    // Keys for what transformers adds to the loss that it returns together with the routers'
    // logits.
    no_effect("router_aux_loss_coef"),
    no_effect("output_router_logits"),
];

impl Experts {
    /// What a `config.json` states. Without a capacity of its own no expert has a limit.
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, ModelError> {
        let tokens = keys.optional("expert_capacity")?;
        let factor = keys.optional("expert_capacity_factor")?;
        let capacity = match (tokens, factor) {
            (None, None) => Capacity::None,
            (Some(tokens), None) => Capacity::Tokens(tokens),
            (None, Some(factor)) => Capacity::Factor(factor),
            (Some(tokens), Some(_)) => {
                let known = "null where `expert_capacity_factor` is a number".to_owned();
                return Err(keys.unsupported("expert_capacity", tokens.to_string(), known));
            }
        };
        Ok(Self {
            num_experts: keys.required("num_experts")?,
            sparse_step: keys.or("decoder_sparse_step", 1)?,
            capacity,
            router_jitter: keys.or("router_jitter_noise", 0.0)?,
            z_loss: keys.or("router_z_loss_coef", 0.0)?,
            balance_loss: keys.or("router_balance_loss_coef", 0.0)?,
        })
    }

    /// Adds their keys to a `config.json`.
    pub(super) fn write(&self, object: &mut Map<String, Value>) {
        let (tokens, factor) = match self.capacity {
            Capacity::Factor(factor) => (None, Some(factor)),
            Capacity::Tokens(count) => (Some(count), None),
            Capacity::None => (None, None),
        };
        let own = [
            ("num_experts", json!(self.num_experts)),
            ("decoder_sparse_step", json!(self.sparse_step)),
            ("expert_capacity", json!(tokens)),
            ("expert_capacity_factor", json!(factor)),
            ("router_jitter_noise", json!(self.router_jitter)),
            ("router_z_loss_coef", json!(self.z_loss)),
            ("router_aux_loss_coef", json!(self.balance_loss)),
            ("router_balance_loss_coef", json!(self.balance_loss)),
            ("output_router_logits", json!(false)),
        ];
        object.extend(own.map(|(key, value)| (key.to_owned(), value)));
    }

    /// Checks all of it; `sparse_layers` of the model's layers are sparse.
    pub(super) fn validate(&self, sparse_layers: usize) -> Result<(), ModelError> {
        let wrong = |key, problem: String| Err(ModelError::Config { key, problem });
        if self.num_experts == 0 {
            return wrong("num_experts", "is 0; the smallest that works is 1".to_owned());
        }
        let most = MOST_EXPERTS.min(MOST_IN_ALL / sparse_layers.max(1)).max(1);
        if self.num_experts > most {
            let problem = format!(
                "is {}; with {sparse_layers} sparse layers it must be at most {most}",
                self.num_experts
            );
            return wrong("num_experts", problem);
        }
        if self.sparse_step == 0 {
            return wrong("sparse_step", "is 0; 1 makes every layer sparse".to_owned());
        }
        match self.capacity {
            Capacity::Factor(factor) if !(factor > 0.0 && factor.is_finite()) => {
                let problem = format!(
                    "has the factor {factor}; it must be a finite number above 0, or \"none\""
                );
                return wrong("capacity", problem);
            }
            Capacity::Tokens(0) => {
                let problem = "is 0 tokens; it must be at least 1, or \"none\"".to_owned();
                return wrong("capacity", problem);
            }
            _ => {}
        }
        if !(0.0..1.0).contains(&self.router_jitter) {
            let problem = format!("is {}; it must be at least 0 and below 1", self.router_jitter);
            return wrong("router_jitter", problem);
        }
        for (key, weight) in [("z_loss", self.z_loss), ("balance_loss", self.balance_loss)] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return wrong(key, format!("is {weight}; it must be 0 or larger"));
            }
        }
        Ok(())
    }
}

impl ModelConfig {
    /// The experts of a model of a family that has them.
    ///
    /// # Errors
    /// When the configuration states none.
    pub(super) fn require_experts(&self) -> Result<&Experts, ModelError> {
        let problem = || format!("is missing; {} needs it", self.architecture.title());
        let missing = || ModelError::Config { key: "num_experts", problem: problem() };
        self.experts.as_ref().ok_or_else(missing)
    }

    /// The experts of a layer, if it is a sparse one.
    pub(super) fn experts_of_layer(&self, layer: usize) -> Option<&Experts> {
        let experts = self.experts.as_ref()?;
        self.architecture.is_sparse(layer, experts.sparse_step).then_some(experts)
    }

    /// Refuses a model that is meant to have experts and has too few layers for any.
    ///
    /// # Errors
    /// [`ModelError::Config`] of the key `sparse_step`.
    pub fn check_sparse_layers(&self) -> Result<(), ModelError> {
        match self.experts.as_ref().filter(|_| self.sparse_layers() == 0) {
            None => Ok(()),
            Some(experts) => Err(ModelError::Config {
                key: "sparse_step",
                problem: format!(
                    "is {}, by which none of {} layers is sparse; choose a smaller one",
                    experts.sparse_step, self.num_layers
                ),
            }),
        }
    }

    /// Number of layers whose feed-forward part is one of experts.
    pub fn sparse_layers(&self) -> usize {
        (0..self.num_layers).filter(|&layer| self.experts_of_layer(layer).is_some()).count()
    }
}

/// The feed-forward part of a layer: one, or several of which each token passes through one.
pub(super) enum FeedForward {
    /// One feed-forward part for all tokens.
    Dense { weights: Expert, activation: ExpertActivation },
    /// A router and its experts.
    Sparse {
        router: Segment,
        experts: Arc<[Expert]>,
        activation: ExpertActivation,
        settings: Experts,
    },
}

impl FeedForward {
    /// `residual + feed-forward part of (input)`; `dropout` is that of what is added.
    ///
    /// The capacity is one of training. Elsewhere every token reaches its expert, so that what a
    /// model makes of a token depends neither on how long the sequence is nor on what is in a KV
    /// cache.
    pub(super) fn add(
        &self,
        tape: &mut Tape<'_>,
        input: Var,
        residual: Var,
        batch: &Batch,
        dropout: f32,
    ) -> Var {
        match self {
            Self::Dense { weights, activation } => {
                dense(tape, &input, weights, *activation, residual, dropout)
            }
            Self::Sparse { router, experts, activation, settings } => {
                let input = tape.jitter(input, settings.router_jitter as f32);
                let logits = tape.router(&input, *router);
                let is_limited = tape.is_recording();
                let routing = tape.route(&logits, &batch.spans, |tokens| match is_limited {
                    true => settings.capacity.of(tokens, experts.len()),
                    false => usize::MAX,
                });
                // All gates are 1: to the bit what a dense model computes.
                if routing.is_dense() {
                    return dense(tape, &input, &experts[0], *activation, residual, dropout);
                }
                let activation = *activation;
                tape.experts_add(&input, &logits, &routing, experts, activation, residual, dropout)
            }
        }
    }
}

fn dense(
    tape: &mut Tape<'_>,
    input: &Var,
    weights: &Expert,
    activation: ExpertActivation,
    residual: Var,
    dropout: f32,
) -> Var {
    let inner = tape.linear(input, &weights.up);
    let inner = match activation {
        ExpertActivation::Gelu => tape.gelu(inner),
        ExpertActivation::Relu => tape.relu(inner),
        ExpertActivation::Swiglu => tape.swiglu(inner),
    };
    tape.linear_add(&inner, &weights.down, residual, dropout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_rounded_up_and_need_no_sequence() {
        let of = |capacity: Capacity, tokens| capacity.of(tokens, 3);
        assert_eq!([10, 9, 1, 0].map(|tokens| of(Capacity::Factor(1.0), tokens)), [4, 3, 1, 0]);
        assert_eq!(of(Capacity::Factor(1.25), 12), 5);
        assert_eq!(of(Capacity::Factor(1e300), 12), usize::MAX);
        assert_eq!((of(Capacity::Tokens(7), 2), of(Capacity::None, 2)), (7, usize::MAX));
    }

    #[test]
    fn impossible_experts_are_refused_by_name() {
        let message = |experts: Experts, layers| experts.validate(layers).unwrap_err().to_string();
        let with = |change: fn(&mut Experts)| {
            let mut experts = Experts::default();
            change(&mut experts);
            message(experts, 4)
        };
        assert!(Experts::default().validate(4).is_ok());
        for (found, expected) in [
            (with(|e| e.num_experts = 0), "num_experts is 0; the smallest that works is 1"),
            (with(|e| e.num_experts = 257), "257; with 4 sparse layers it must be at most 256"),
            (with(|e| e.sparse_step = 0), "sparse_step is 0; 1 makes every layer sparse"),
            (with(|e| e.capacity = Capacity::Tokens(0)), "capacity is 0 tokens"),
            (with(|e| e.capacity = Capacity::Factor(0.0)), "capacity has the factor 0;"),
            (with(|e| e.capacity = Capacity::Factor(f64::NAN)), "capacity has the factor NaN;"),
            (with(|e| e.router_jitter = 1.0), "router_jitter is 1; it must be"),
            (with(|e| e.z_loss = -1.0), "z_loss is -1; it must be"),
            (with(|e| e.balance_loss = f64::INFINITY), "balance_loss is inf; it must be"),
        ] {
            assert!(found.contains(expected), "{found}");
        }
        let many = Experts { num_experts: 17, ..Experts::default() };
        assert!(message(many, 1024).contains("it must be at most 16"));
    }
}
