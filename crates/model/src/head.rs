//! What turns the states of a sequence into logits of labels.

use std::ops::Range;
use std::sync::Arc;

use engine::ops::linear::Linear;
use engine::{Layout, Role, Segment, Tape, Var};

use crate::batch::Batch;
use crate::families::segments::linear;
use crate::normed_dense::NormedDense;

/// The head that a language model gets when it becomes a classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum HeadKind {
    /// That of transformers' class of the model's family.
    #[default]
    Family,
    /// Two layers on the state of one token, with layer normalisation before each: the head of the
    /// BabyLM pipelines of 2025 and 2026, whatever the family.
    Perceptron(Pooling),
}

/// What a [`PerceptronHead`] reads of a sequence in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pooling {
    /// The token that stands for the sequence.
    pub token: PooledToken,
    /// Dropout before the second layer.
    pub dropout: f32,
}

/// The token whose state stands for a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PooledToken {
    /// Of models that read both ways.
    First,
    /// The only one that has read the whole sequence in a causal model.
    Last,
}

/// A classification head.
pub trait Head: Send + Sync {
    /// What meets the output matrix, one row for each sequence: `[tokens, hidden] -> [sequences,
    /// hidden]`.
    ///
    /// # Panics
    /// When a sequence is empty.
    fn features(&self, tape: &mut Tape<'_>, states: &Var, batch: &Batch) -> Var;

    /// The matrix `[labels, hidden]`, perhaps with a bias, that turns features into logits.
    fn output(&self) -> Linear;
}

/// The head of causal models, whose last token has read the whole sequence: `logits = state *
/// score^T`, as in transformers' `LlamaForSequenceClassification`.
pub struct LastTokenHead {
    /// `[labels, hidden]`, without a bias.
    score: Segment,
}

impl LastTokenHead {
    /// Adds its parameters to the layout, under their Hugging Face names.
    pub fn new(hidden_size: usize, num_labels: usize, layout: &mut Layout) -> Self {
        Self { score: layout.add("score.weight", num_labels, hidden_size, Role::Matrix) }
    }
}

impl Head for LastTokenHead {
    fn features(&self, tape: &mut Tape<'_>, states: &Var, batch: &Batch) -> Var {
        tape.gather_rows(states, &one_row_each(batch, |rows| rows.end - 1))
    }

    fn output(&self) -> Linear {
        self.score.into()
    }
}

/// The head of two layers: `logits = dropout(norm(gelu(norm(state) * dense^T))) * output^T`, both
/// layers with biases, the norms without gains.
pub struct PerceptronHead {
    pooling: Pooling,
    dense: NormedDense,
    /// `[labels, hidden]`, with a bias.
    output: Linear,
}

impl PerceptronHead {
    /// The epsilon of the norms in the pipelines' head.
    pub const EPSILON: f32 = 1e-5;

    /// Adds its parameters to the layout, under names that begin with `name`.
    pub fn new(
        name: &str,
        hidden_size: usize,
        epsilon: f32,
        num_labels: usize,
        pooling: Pooling,
        layout: &mut Layout,
    ) -> Self {
        let dense = NormedDense::new(name, hidden_size, epsilon, layout);
        let output = linear(layout, &format!("{name}.nonlinearity.5"), num_labels, hidden_size);
        Self { pooling, dense, output }
    }
}

impl Head for PerceptronHead {
    fn features(&self, tape: &mut Tape<'_>, states: &Var, batch: &Batch) -> Var {
        let rows = one_row_each(batch, |rows| match self.pooling.token {
            PooledToken::First => rows.start,
            PooledToken::Last => rows.end - 1,
        });
        let x = tape.gather_rows(states, &rows);
        let x = self.dense.states(tape, &x);
        tape.dropout_of_sequences(x, self.pooling.dropout)
    }

    fn output(&self) -> Linear {
        self.output
    }
}

/// One row of each sequence.
///
/// # Panics
/// When a sequence is empty.
pub fn one_row_each(batch: &Batch, choose: impl Fn(Range<usize>) -> usize) -> Arc<[u32]> {
    let row = |rows: Range<usize>| {
        assert!(!rows.is_empty(), "a sequence without tokens");
        choose(rows) as u32
    };
    batch.spans.iter().map(row).collect()
}
