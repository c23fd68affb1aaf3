//! Picking rows of a matrix, such as the state of one token of each sequence, which a classifier's
//! head reads.
//!
//! It needs no kernels of its own: it is an embedding whose table are the states. The loss of a
//! classifier is then that of an output layer whose vocabulary are the labels.

use std::sync::Arc;

use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Shape, Tensor};

struct GatherRowsNode {
    rows: Arc<[u32]>,
    input: usize,
    /// The input's.
    shape: Shape,
    output: usize,
}

impl Tape<'_> {
    /// Some rows of a matrix in the given order: `[tokens, channels] -> [rows, channels]`. Rows
    /// that are not picked get no gradient, and those that are picked several times the sum.
    ///
    /// # Panics
    /// When a row is outside the matrix.
    pub fn gather_rows(&mut self, input: &Var, rows: &Arc<[u32]>) -> Var {
        let shape = input.value().shape();
        assert!(
            rows.iter().all(|&row| (row as usize) < shape.rows),
            "a row outside of {}",
            shape.rows
        );
        let mut output = Tensor::of_shape(self.device(), Shape { rows: rows.len(), ..shape });
        self.device().embed(input.value().view(), rows, output.view_mut(), false);
        let (rows, input) = (rows.clone(), input.id);
        self.record(output, |output| GatherRowsNode { rows, input, shape, output: output.id })
    }
}

impl Node for GatherRowsNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let device = pass.device();
        pass.accumulate(self.input, self.shape, |d_input, accumulate| {
            if !accumulate {
                device.fill(d_input.view_mut(), 0.0);
            }
            device.embed_gradient(d_output.view(), &self.rows, None, d_input.view_mut());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::language_model_loss::tests::{log_softmax, reference_logits};
    use crate::ops::linear::Linear;
    use crate::params::{Layout, Role};
    use crate::testing::{Check, assert_close};

    /// A classifier's loss: the cross-entropy of a label for each of the picked rows.
    fn loss(
        tape: &mut Tape,
        states: &Var,
        rows: &Arc<[u32]>,
        output: impl Into<Linear>,
        labels: &[u32],
        scale: f32,
    ) -> f64 {
        let picked = tape.gather_rows(states, rows);
        tape.language_model_loss(&picked, output, labels, scale)
    }

    #[test]
    fn the_loss_of_picked_rows_matches_the_reference_and_finite_differences() {
        // The last row of sequences of odd lengths, one row alone, one row twice, and many labels.
        for (tokens, width, labels, rows) in [
            (13, 5, 2, vec![0, 4, 12]),
            (1, 3, 2, vec![0]),
            (9, 7, 3, vec![6, 2, 6]),
            (70, 4, 33, vec![69, 1]),
        ] {
            for with_bias in [false, true] {
                let mut layout = Layout::default();
                let weight = layout.add("score", labels, width, Role::Matrix);
                let bias = with_bias.then(|| layout.add("bias", 1, labels, Role::Bias));
                let (output, rows): (_, Arc<[u32]>) =
                    (Linear { weight, bias }, rows.clone().into());
                let wanted: Vec<u32> =
                    (0..rows.len() as u32).map(|index| (index * 5 + 1) % labels as u32).collect();
                let mut check = Check::new(layout, &[(tokens, width)]);
                let logits = reference_logits(&check.inputs[0], &check.segment(weight), width);
                let added = bias.map_or(vec![0.0; labels], |bias| check.segment(bias));
                let loss_of = |(&row, &label): (&u32, &u32)| {
                    let logits = logits[row as usize]
                        .iter()
                        .zip(&added)
                        .map(|(logit, &bias)| logit + bias as f64);
                    -log_softmax(&logits.collect::<Vec<_>>())[label as usize]
                };
                let expected: f64 = rows.iter().zip(&wanted).map(loss_of).sum();
                let objective = |tape: &mut Tape, inputs: &[Var]| {
                    loss(tape, &inputs[0], &rows, output, &wanted, 0.3)
                };
                let sum = check.objective(objective);
                assert!((sum - expected).abs() < 1e-5 * expected, "{sum} instead of {expected}");
                check.objective_gradients(0.3, objective);
            }
        }
    }

    #[test]
    fn picked_rows_are_copies_and_the_others_get_no_gradient() {
        let rows: Arc<[u32]> = [4, 1, 4].into();
        let mut check = Check::new(Layout::default(), &[(6, 3)]);
        let output = check.output(|tape, inputs| tape.gather_rows(&inputs[0], &rows));
        let expected: Vec<f32> = rows
            .iter()
            .flat_map(|&row| check.inputs[0][row as usize * 3..][..3].to_vec())
            .collect();
        assert_close(&output, &expected, 0.0);
        check.gradients(|tape, inputs| tape.gather_rows(&inputs[0], &rows));
    }

    #[test]
    fn a_state_with_other_uses_gets_all_gradients() {
        let mut layout = Layout::default();
        let output = layout.add("score", 2, 3, Role::Matrix);
        let mut check = Check::new(layout, &[(5, 3)]);
        let (first, last): (Arc<[u32]>, Arc<[u32]>) = ([0, 2].into(), [4, 2].into());
        check.objective_gradients(0.5, |tape, inputs| {
            let one = loss(tape, &inputs[0], &first, output, &[0, 1], 0.5);
            one + loss(tape, &inputs[0], &last, output, &[1, 0], 0.5)
        });
    }

    #[test]
    #[should_panic(expected = "a row outside of 5")]
    fn rows_outside_are_refused() {
        let check = Check::new(Layout::default(), &[(5, 3)]);
        check.objective(|tape, inputs| {
            tape.gather_rows(&inputs[0], &[5].into()).value().rows() as f64
        });
    }
}
