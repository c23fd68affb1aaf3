//! What turns the states of a sequence into logits of labels.

use std::ops::Range;
use std::sync::Arc;

use engine::ops::linear::Linear;
use engine::{Layout, Role, Segment, Tape, Var};

use crate::batch::Batch;

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
