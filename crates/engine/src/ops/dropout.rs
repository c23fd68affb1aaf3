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

    /// The same for rows that stand for a sequence each: `[sequences, channels]`.
    pub fn dropout_of_sequences(&mut self, input: Var, probability: f32) -> Var {
        match self.next_dropout_of_sequences(probability) {
            None => input,
            Some(mask) => dropped(self, input, None, mask),
        }
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
}
