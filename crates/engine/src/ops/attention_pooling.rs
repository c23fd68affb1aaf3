//! Attention pooling: of each sequence the mean of its states, weighted by the softmax of a score
//! for each token. It is how the BabyLM pipeline of 2023 classifies with the encoder of T5.

use crate::kernels::kernels;
use crate::spans::Spans;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

kernels! {
    /// Kernels of attention pooling. `states` is `[tokens, hidden]`, `scores` `[tokens, 1]`.
    pub trait AttentionPoolingKernels {
        /// `output[s] = sum over the tokens t of sequence s of softmax(scores)[t] * states[t]`;
        /// `weights` `[tokens, 1]` receives the softmax of each sequence.
        fn attention_pooling(
            &self,
            states: View<'_>,
            scores: View<'_>,
            spans: &Spans,
            weights: ViewMut<'_>,
            output: ViewMut<'_>,
        );

        /// The gradients of both, written.
        fn attention_pooling_gradient(
            &self,
            d_output: View<'_>,
            states: View<'_>,
            weights: View<'_>,
            spans: &Spans,
            d_states: ViewMut<'_>,
            d_scores: ViewMut<'_>,
        );
    }
}

struct AttentionPoolingNode {
    states: Var,
    scores: Var,
    weights: Tensor,
    spans: Spans,
    output: usize,
}

impl Tape<'_> {
    /// The weighted mean of every sequence's states: `[tokens, hidden]` and scores `[tokens, 1]` to
    /// `[sequences, hidden]`.
    ///
    /// # Panics
    /// When shapes disagree, sequences share rows, or one is empty.
    pub fn attention_pooling(&mut self, states: &Var, scores: &Var, spans: &Spans) -> Var {
        let (rows, columns) = (states.value().rows(), states.value().columns());
        assert_eq!((scores.value().rows(), scores.value().columns()), (rows, 1), "a score a token");
        assert_eq!(spans.tokens(), rows, "rows of the sequences");
        assert!(
            !spans.share_rows() && spans.iter().all(|rows| !rows.is_empty()),
            "whole sequences"
        );
        let mut weights = self.allocate(rows, 1);
        let mut output = self.allocate(spans.count(), columns);
        self.device().attention_pooling(
            states.value().view(),
            scores.value().view(),
            spans,
            weights.view_mut(),
            output.view_mut(),
        );
        let (states, scores, spans) = (states.clone(), scores.clone(), spans.clone());
        self.record(output, |output| AttentionPoolingNode {
            states,
            scores,
            weights,
            spans,
            output: output.id,
        })
    }
}

impl Node for AttentionPoolingNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let device = pass.device();
        let mut d_states = Tensor::of_shape(device, self.states.value().shape());
        let mut d_scores = Tensor::of_shape(device, self.scores.value().shape());
        device.attention_pooling_gradient(
            d_output.view(),
            self.states.value().view(),
            self.weights.view(),
            &self.spans,
            d_states.view_mut(),
            d_scores.view_mut(),
        );
        pass.give(self.states.id, d_states);
        pass.give(self.scores.id, d_scores);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Layout;
    use crate::testing::{Check, assert_close};

    #[test]
    fn matches_the_formula_and_finite_differences() {
        for (lengths, hidden) in [(&[1][..], 1), (&[3, 1, 7], 5), (&[70, 2], 17)] {
            let spans = Spans::from_lengths(lengths.iter().copied());
            let shapes = [(spans.tokens(), hidden), (spans.tokens(), 1)];
            let mut check = Check::new(Layout::default(), &shapes);
            let mut expected = vec![0.0f32; spans.count() * hidden];
            for (rows, output) in spans.iter().zip(expected.chunks_mut(hidden)) {
                let total: f64 = rows.clone().map(|row| (check.inputs[1][row] as f64).exp()).sum();
                for row in rows {
                    let weight = (check.inputs[1][row] as f64).exp() / total;
                    let state = &check.inputs[0][row * hidden..];
                    output.iter_mut().zip(state).for_each(|(y, x)| *y += weight as f32 * x);
                }
            }
            let run = |tape: &mut Tape, inputs: &[Var]| {
                tape.attention_pooling(&inputs[0], &inputs[1], &spans)
            };
            assert_close(&check.output(run), &expected, 1e-5);
            check.gradients(run);
        }
    }

    #[test]
    #[should_panic(expected = "whole sequences")]
    fn empty_sequences_are_refused() {
        let spans = Spans::from_lengths([2, 0]);
        Check::new(Layout::default(), &[(2, 3), (2, 1)])
            .output(|tape, inputs| tape.attention_pooling(&inputs[0], &inputs[1], &spans));
    }
}
