//! The hyperbolic tangent.

use crate::kernels::kernels;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

kernels! {
    /// Kernels of the hyperbolic tangent.
    pub trait TanhKernels {
        /// `output = tanh(input)`.
        fn tanh(&self, input: View<'_>, output: ViewMut<'_>);

        /// The gradient of the input, written: that of the output times `1 - output^2`.
        fn tanh_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>);
    }
}

/// Keeps the output, of which the gradient is made, and not the input.
struct TanhNode {
    input: usize,
    output: Var,
}

impl Tape<'_> {
    /// The hyperbolic tangent of every value.
    pub fn tanh(&mut self, input: Var) -> Var {
        let mut output = self.allocate_compact(input.value().rows(), input.value().columns());
        self.device().tanh(input.value().view(), output.view_mut());
        let input = input.id;
        self.record(output, |output| TanhNode { input, output: output.clone() })
    }
}

impl Node for TanhNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output.id) else { return };
        let output = self.output.value();
        let mut d_input = Tensor::of_shape(pass.device(), output.shape());
        pass.device().tanh_gradient(d_output.view(), output.view(), d_input.view_mut());
        pass.give(self.input, d_input);
    }
}

#[cfg(test)]
mod tests {
    use crate::params::Layout;
    use crate::testing::{Check, assert_close};

    #[test]
    fn matches_the_formula_and_finite_differences() {
        for (rows, width) in [(1, 1), (3, 17), (65, 6), (3, 6000)] {
            let mut check = Check::new(Layout::default(), &[(rows, width)]);
            let output = check.output(|tape, inputs| tape.tanh(inputs[0].clone()));
            let expected: Vec<f32> =
                check.inputs[0].iter().map(|&x| (x as f64).tanh() as f32).collect();
            assert_close(&output, &expected, 1e-6);
            check.gradients(|tape, inputs| tape.tanh(inputs[0].clone()));
        }
    }

    #[test]
    fn far_from_zero_it_is_one_and_flat() {
        let mut check = Check::new(Layout::default(), &[(1, 4)]);
        check.inputs[0] = vec![-1e30, -30.0, 30.0, f32::MAX];
        assert_eq!(
            check.output(|tape, inputs| tape.tanh(inputs[0].clone())),
            [-1.0, -1.0, 1.0, 1.0]
        );
        assert_eq!(check.input_gradient(|tape, inputs| tape.tanh(inputs[0].clone())), [0.0; 4]);
    }
}
