//! Embedding: a row of a table per token, plus a row of a second table per position where positions
//! are learned, plus a row that all tokens share where the model has one.

use std::sync::Arc;

use crate::kernels::kernels;
use crate::params::Segment;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{View, ViewMut};

kernels! {
    /// Kernels of embedding.
    pub trait EmbedKernels {
        /// `output[i] = table[ids[i]]`, or `output[i] += ...` when `accumulate`. `[vocab, hidden]
        /// -> [tokens, hidden]`.
        fn embed(&self, table: View<'_>, ids: &[u32], output: ViewMut<'_>, accumulate: bool);

        /// `d_table[ids[i]] += d_output[i]`, in the order of the tokens; tokens equal to `padding`
        /// are left out.
        fn embed_gradient(
            &self,
            d_output: View<'_>,
            ids: &[u32],
            padding: Option<u32>,
            d_table: ViewMut<'_>,
        );
    }
}

/// Where the embedding tables are.
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    /// `[vocab, hidden]`.
    pub tokens: Segment,
    /// `[positions, hidden]`.
    pub positions: Option<Segment>,
    /// `[1, hidden]`, added to every token: the token type of a model that is only ever given one.
    pub shared: Option<Segment>,
    /// The token whose row takes no gradient.
    pub padding: Option<u32>,
}

struct EmbedNode {
    embedding: Embedding,
    ids: Arc<[u32]>,
    positions: Arc<[u32]>,
    output: usize,
}

impl Tape<'_> {
    /// The embedding of every token: `[tokens, hidden]`.
    ///
    /// # Panics
    /// When an id or a position is outside its table; callers check what comes from outside.
    pub fn embed(
        &mut self,
        embedding: &Embedding,
        ids: &Arc<[u32]>,
        positions: &Arc<[u32]>,
    ) -> Var {
        let vocab = embedding.tokens.rows as u32;
        assert!(ids.iter().all(|&id| id < vocab), "a token id outside the vocabulary of {vocab}");
        let mut output = self.allocate(ids.len(), embedding.tokens.columns);
        self.device().embed(
            self.parameters().view(embedding.tokens),
            ids,
            output.view_mut(),
            false,
        );
        if let Some(table) = embedding.positions {
            assert!(
                positions.iter().all(|&at| (at as usize) < table.rows),
                "a position beyond {}",
                table.rows
            );
            self.device().embed(self.parameters().view(table), positions, output.view_mut(), true);
        }
        if let Some(row) = embedding.shared {
            self.device().embed(
                self.parameters().view(row),
                &vec![0; ids.len()],
                output.view_mut(),
                true,
            );
        }
        let (embedding, ids, positions) = (*embedding, ids.clone(), positions.clone());
        self.record(output, |output| EmbedNode { embedding, ids, positions, output: output.id })
    }
}

impl Node for EmbedNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let device = pass.device();
        let d_tokens = pass.gradients().view_mut(self.embedding.tokens);
        device.embed_gradient(d_output.view(), &self.ids, self.embedding.padding, d_tokens);
        if let Some(table) = self.embedding.positions {
            device.embed_gradient(
                d_output.view(),
                &self.positions,
                None,
                pass.gradients().view_mut(table),
            );
        }
        if let Some(row) = self.embedding.shared {
            device.linear_bias_gradient(d_output.view(), pass.gradients().view_mut(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Layout, Role};
    use crate::testing::Check;

    #[test]
    fn gathers_rows_and_scatters_gradients_but_not_to_padding() {
        let mut layout = Layout::default();
        let embedding = Embedding {
            tokens: layout.add("tokens", 5, 3, Role::Embedding),
            positions: Some(layout.add("positions", 4, 3, Role::Positions)),
            shared: Some(layout.add("shared", 1, 3, Role::TokenTypes)),
            padding: Some(0),
        };
        let (ids, positions): (Arc<[u32]>, Arc<[u32]>) = ([4, 0, 4, 2].into(), [0, 1, 0, 1].into());
        let mut check = Check::new(layout, &[]);
        let output = check.output(|tape, _| tape.embed(&embedding, &ids, &positions));
        let (tokens, places) =
            (check.segment(embedding.tokens), check.segment(embedding.positions.unwrap()));
        let shared = check.segment(embedding.shared.unwrap());
        for (row, (&id, &at)) in ids.iter().zip(positions.iter()).enumerate() {
            for column in 0..3 {
                let expected = tokens[id as usize * 3 + column]
                    + places[at as usize * 3 + column]
                    + shared[column];
                assert_eq!(output[row * 3 + column], expected);
            }
        }
        let without_padding = Embedding { padding: None, ..embedding };
        check.gradients(|tape, _| tape.embed(&without_padding, &ids, &positions));
        let gradient = check.parameter_gradient(|tape, _| tape.embed(&embedding, &ids, &positions));
        assert_eq!(gradient[..3], [0.0; 3]);
        assert!(gradient[12..15].iter().all(|&value| value != 0.0));
    }
}
