//! Dropout without stored masks: the backward computes the same mask again.

use crate::kernels::kernels;
use crate::tape::{Backward, DropoutMask, Node, Tape, Var};
use crate::tensor::{Shape, View, ViewMut};

kernels! {
    /// Kernels of dropout.
    pub trait DropoutKernels {
        /// `output = input * mask (+ residual)`.
        fn dropout(
            &self,
            input: View<'_>,
            residual: Option<View<'_>>,
            mask: DropoutMask,
            output: ViewMut<'_>,
        );
    }
}

struct DropoutNode {
    input: usize,
    /// The input's.
    shape: Shape,
    residual: Option<usize>,
    mask: DropoutMask,
    output: usize,
}

impl Tape<'_> {
    /// Sets a share of the values to zero and scales the others up, when the tape has a dropout
    /// stream.
    pub fn dropout(&mut self, input: Var, probability: f32) -> Var {
        match self.next_dropout(probability) {
            None => input,
            Some(mask) => dropped(self, input, None, mask),
        }
    }

    /// Dropout of rows that stand for a sequence each: `[sequences, channels]`.
    pub fn dropout_of_sequences(&mut self, input: Var, probability: f32) -> Var {
        match self.next_dropout_of_sequences(probability) {
            None => input,
            Some(mask) => dropped(self, input, None, mask),
        }
    }

    /// Dropout of rows that stand for no token, such as those of a table that every token reads:
    /// each micro-batch of a step has the same mask.
    pub fn dropout_of_table(&mut self, input: Var, probability: f32) -> Var {
        match self.next_dropout(probability) {
            None => input,
            Some(mask) => dropped(self, input, None, DropoutMask { first_token: 0, ..mask }),
        }
    }

    /// `residual + dropout(update)`, in full precision.
    pub fn add(&mut self, update: Var, residual: Var, probability: f32) -> Var {
        let (shape, mask) = (update.value().shape(), self.next_dropout(probability));
        let mut sum = self.allocate(shape.rows, shape.columns);
        let (added, old) = (update.value().view(), residual.value().view());
        match mask {
            Some(mask) => self.device().dropout(added, Some(old), mask, sum.view_mut()),
            None => {
                self.device().copy(old, sum.view_mut());
                self.device().add(added, sum.view_mut());
            }
        }
        let (update, residual) = (update.id, residual.id);
        self.record(sum, |output| AddNode { update, shape, residual, mask, output: output.id })
    }
}

struct AddNode {
    update: usize,
    /// The update's.
    shape: Shape,
    residual: usize,
    mask: Option<DropoutMask>,
    output: usize,
}

impl Node for AddNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let device = pass.device();
        pass.accumulate(self.update, self.shape, |d_update, accumulate| {
            let dy = d_output.view();
            match self.mask {
                Some(mask) => {
                    let before = accumulate.then(|| d_update.clone());
                    let before = before.as_ref().map(|before| before.view());
                    device.dropout(dy, before, mask, d_update.view_mut());
                }
                None if accumulate => device.add(dy, d_update.view_mut()),
                None => device.copy(dy, d_update.view_mut()),
            }
        });
        pass.give(self.residual, d_output);
    }
}

/// `residual + dropout(update)`.
pub(crate) fn drop_and_add(
    tape: &mut Tape<'_>,
    update: Var,
    residual: Var,
    mask: DropoutMask,
) -> Var {
    dropped(tape, update, Some(residual), mask)
}

fn dropped(tape: &mut Tape<'_>, input: Var, residual: Option<Var>, mask: DropoutMask) -> Var {
    let mut output = match &residual {
        None => tape.allocate_like(input.value()),
        Some(residual) => tape.allocate_like(residual.value()),
    };
    let residual_view = residual.as_ref().map(|residual| residual.value().view());
    tape.device().dropout(input.value().view(), residual_view, mask, output.view_mut());
    let (shape, input, residual) =
        (input.value().shape(), input.id, residual.map(|residual| residual.id));
    tape.record(output, |output| DropoutNode { input, shape, residual, mask, output: output.id })
}

impl Node for DropoutNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let device = pass.device();
        pass.accumulate(self.input, self.shape, |d_input, accumulate| {
            if accumulate {
                let sum = d_input.clone();
                device.dropout(d_output.view(), Some(sum.view()), self.mask, d_input.view_mut());
            } else {
                device.dropout(d_output.view(), None, self.mask, d_input.view_mut());
            }
        });
        if let Some(residual) = self.residual {
            pass.give(residual, d_output);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::linear::Linear;
    use crate::params::{Layout, Role};
    use crate::tape::{Tape, Var};
    use crate::testing::{Check, assert_close};

    #[test]
    fn drops_the_asked_share_and_keeps_the_mean() {
        let mut check = Check::new(Layout::default(), &[(100, 100)]).with_dropout(0);
        check.inputs[0] = vec![1.0; 10_000];
        let output = check.output(|tape, inputs| tape.dropout(inputs[0].clone(), 0.2));
        let zeros = output.iter().filter(|&&value| value == 0.0).count();
        assert!((1850..2150).contains(&zeros), "{zeros} of 10000 dropped");
        assert!(output.iter().all(|&value| value == 0.0 || (value - 1.25).abs() < 1e-6));
    }

    #[test]
    fn backward_uses_the_same_mask() {
        let mut layout = Layout::default();
        let linear = Linear { weight: layout.add("weight", 6, 6, Role::Matrix), bias: None };
        let mut check = Check::new(layout, &[(5, 6)]).with_dropout(0);
        check.gradients(|tape, inputs| {
            let x = tape.dropout(inputs[0].clone(), 0.3);
            tape.linear_add(&x, &linear, x.clone(), 0.3)
        });
    }

    #[test]
    fn masks_do_not_depend_on_how_a_step_is_split() {
        let mut whole = Check::new(Layout::default(), &[(6, 4)]).with_dropout(0);
        let mut tail = Check::new(Layout::default(), &[(2, 4)]).with_dropout(4);
        tail.inputs[0] = whole.inputs[0][16..].to_vec();
        let all = whole.output(|tape, inputs| tape.dropout(inputs[0].clone(), 0.5));
        assert_close(
            &tail.output(|tape, inputs| tape.dropout(inputs[0].clone(), 0.5)),
            &all[16..],
            0.0,
        );
    }

    #[test]
    fn rows_that_stand_for_sequences_are_counted_by_those() {
        let dropped = |first_token, first_sequence, rows: usize| {
            let mut check = Check::new(Layout::default(), &[(rows, 4)]).with_dropout(first_token);
            check.dropout.as_mut().unwrap().first_sequence = first_sequence;
            check.inputs[0] = vec![1.0; 4 * rows];
            check.output(|tape, inputs| tape.dropout_of_sequences(inputs[0].clone(), 0.5))
        };
        let all = dropped(0, 0, 8);
        assert_close(&dropped(77, 3, 5), &all[12..], 0.0);
        assert!(dropped(0, 1, 5) != all[..20]);
    }

    #[test]
    fn a_sum_has_both_gradients_with_and_without_dropout() {
        let twice = |tape: &mut Tape<'_>, inputs: &[Var]| {
            let sum = tape.add(inputs[0].clone(), inputs[1].clone(), 0.3);
            tape.add(inputs[0].clone(), sum, 0.0)
        };
        let mut check = Check::new(Layout::default(), &[(5, 6), (5, 6)]);
        let expected: Vec<f32> =
            check.inputs[0].iter().zip(&check.inputs[1]).map(|(a, b)| 2.0 * a + b).collect();
        assert_close(&check.output(twice), &expected, 1e-6);
        check.gradients(twice);
        check.with_dropout(0).gradients(twice);
    }

    #[test]
    fn the_rows_of_a_table_have_one_mask_in_all_micro_batches() {
        let dropped = |first_token| {
            let mut check = Check::new(Layout::default(), &[(5, 6)]).with_dropout(first_token);
            check.output(|tape, inputs| tape.dropout_of_table(inputs[0].clone(), 0.5))
        };
        let first = dropped(0);
        assert!(first == dropped(77) && first.contains(&0.0) && first != [0.0; 30]);
        let mut check = Check::new(Layout::default(), &[(5, 6)]).with_dropout(9);
        check.gradients(|tape, inputs| tape.dropout_of_table(inputs[0].clone(), 0.5));
    }
}
