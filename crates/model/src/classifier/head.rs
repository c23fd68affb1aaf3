//! What turns the states of a sequence into logits of labels: the head that transformers gives to
//! each family.

use std::ops::Range;
use std::sync::Arc;

use engine::ops::linear::Linear;
use engine::{Layout, Role, Segment, Tape, Var};

use crate::batch::Batch;
use crate::config::ModelConfig;
use crate::segments::linear;

/// A head, and where its parameters lie.
pub(super) enum Head {
    /// Of decoders, whose last token has read the whole sequence: `logits = state * score^T`.
    LastToken {
        /// `[num_labels, hidden]`, without a bias.
        score: Segment,
    },
    /// Of RoBERTa, whose first token stands for the sequence (`RobertaClassificationHead`):
    /// dropout, a product, tanh, dropout, and the product that makes the logits.
    FirstToken {
        dense: Linear,
        /// `[num_labels, hidden]`, with a bias.
        out_proj: Linear,
        dropout: f32,
    },
}

impl Head {
    /// Adds the parameters of the family's head to the layout, under their Hugging Face names.
    pub fn new(config: &ModelConfig, num_labels: usize, layout: &mut Layout) -> Self {
        let hidden = config.hidden_size;
        if config.architecture.is_causal() {
            return Head::LastToken {
                score: layout.add("score.weight", num_labels, hidden, Role::Matrix),
            };
        }
        Head::FirstToken {
            dense: linear(layout, "classifier.dense", hidden, hidden),
            out_proj: linear(layout, "classifier.out_proj", num_labels, hidden),
            dropout: config.classifier_dropout.unwrap_or(config.residual_dropout),
        }
    }

    /// What meets the output matrix, one row for each sequence: `[tokens, hidden] -> [sequences,
    /// hidden]`.
    ///
    /// # Panics
    /// When a sequence is empty.
    pub fn features(&self, tape: &mut Tape<'_>, states: &Var, batch: &Batch) -> Var {
        match self {
            Head::LastToken { .. } => tape.gather_rows(states, &rows(batch, |rows| rows.end - 1)),
            Head::FirstToken { dense, dropout, .. } => {
                let first = tape.gather_rows(states, &rows(batch, |rows| rows.start));
                let x = tape.dropout_of_sequences(first, *dropout);
                let x = tape.linear(&x, dense);
                let x = tape.tanh(x);
                tape.dropout_of_sequences(x, *dropout)
            }
        }
    }

    /// What turns features into logits.
    pub fn output(&self) -> Linear {
        match *self {
            Head::LastToken { score } => score.into(),
            Head::FirstToken { out_proj, .. } => out_proj,
        }
    }
}

/// One row of each sequence.
fn rows(batch: &Batch, choose: impl Fn(Range<usize>) -> usize) -> Arc<[u32]> {
    let row = |rows: Range<usize>| {
        assert!(!rows.is_empty(), "a sequence without tokens");
        choose(rows) as u32
    };
    batch.spans.iter().map(row).collect()
}
