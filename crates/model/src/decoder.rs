//! Forward passes: from token ids to hidden states, and the output layer behind them.

use engine::ops::attention::Heads;
use engine::ops::linear::Linear;
use engine::{Tape, Var};

use crate::batch::Batch;
use crate::kv_cache::KvCache;

/// A forward pass up to the hidden states.
pub trait Backbone: Send + Sync {
    /// The hidden states of every token, `[tokens, hidden]`: the last layer's, after its norm. With
    /// a cache, the batch is one sequence that goes on after the tokens in it.
    ///
    /// # Panics
    /// When a model of a family without a KV cache gets one
    /// ([`has_kv_cache`](crate::Family::has_kv_cache)): a masked model's tokens see later ones, so
    /// that none can come after the others.
    fn hidden_states(&self, tape: &mut Tape<'_>, batch: &Batch, cache: Option<&mut KvCache>)
    -> Var;

    /// The heads of every layer's attention.
    fn heads(&self) -> Heads;
}

/// The forward pass of a language model.
pub trait Decoder: Backbone {
    /// The output layer: the matrix `[vocab, hidden]` that turns hidden states into logits and, if
    /// the model has one, the bias `[1, vocab]` that is added to them.
    fn output(&self) -> Linear;
}
