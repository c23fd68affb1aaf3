//! What activations share: functions of single values or of gated pairs, and their place on the
//! tape.

use crate::device::Device;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

/// Kernels of an activation.
#[derive(Clone, Copy)]
pub(super) struct Activation {
    /// `forward(device, input, output)`.
    pub forward: fn(&dyn Device, View<'_>, ViewMut<'_>),
    /// `gradient(device, d_output, kept, d_input)`, written.
    pub gradient: fn(&dyn Device, View<'_>, View<'_>, ViewMut<'_>),
    /// Which value the gradient is computed from.
    pub keeps: Keeps,
}

/// The value that the tape keeps for the gradient.
#[derive(Clone, Copy)]
pub(super) enum Keeps {
    Input,
    /// The next product keeps it as well, so that the input's memory is free.
    Output,
}

struct ActivationNode {
    gradient: fn(&dyn Device, View<'_>, View<'_>, ViewMut<'_>),
    input: usize,
    output: usize,
    kept: Var,
}

impl Tape<'_> {
    /// An activation of every value, of the input's shape.
    pub(super) fn activation(&mut self, input: Var, activation: Activation) -> Var {
        let columns = input.value().columns();
        self.activation_of_width(input, columns, activation)
    }

    /// A gated activation, `[tokens, 2 * intermediate] -> [tokens, intermediate]`.
    pub(super) fn gated_activation(&mut self, input: Var, activation: Activation) -> Var {
        let columns = input.value().columns();
        assert_eq!(columns % 2, 0, "gate and up are of equal width");
        self.activation_of_width(input, columns / 2, activation)
    }

    fn activation_of_width(&mut self, input: Var, columns: usize, activation: Activation) -> Var {
        let mut output = self.allocate_compact(input.value().rows(), columns);
        (activation.forward)(&**self.device(), input.value().view(), output.view_mut());
        self.record(output, |output| ActivationNode {
            gradient: activation.gradient,
            input: input.id,
            output: output.id,
            kept: match activation.keeps {
                Keeps::Input => input,
                Keeps::Output => output.clone(),
            },
        })
    }
}

impl Node for ActivationNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let (device, kept) = (pass.device(), self.kept.value());
        let mut d_input = Tensor::of_shape(device, kept.shape());
        (self.gradient)(&**device, d_output.view(), kept.view(), d_input.view_mut());
        pass.give(self.input, d_input);
    }
}
