//! The hyperbolic tangent.

use super::activation::{Activation, Keeps};
use crate::kernels::kernels;
use crate::tape::{Tape, Var};
use crate::tensor::{View, ViewMut};

kernels! {
    /// Kernels of the hyperbolic tangent.
    pub trait TanhKernels {
        /// `output = tanh(input)`.
        fn tanh(&self, input: View<'_>, output: ViewMut<'_>);

        /// The gradient of the input, written: that of the output times `1 - output^2`.
        fn tanh_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>);
    }
}

const TANH: Activation = Activation {
    forward: |device, input, output| device.tanh(input, output),
    gradient: |device, d_output, output, d_input| {
        device.tanh_gradient(d_output, output, d_input);
    },
    keeps: Keeps::Output,
};

impl Tape<'_> {
    /// The hyperbolic tangent of every value.
    pub fn tanh(&mut self, input: Var) -> Var {
        self.activation(input, TANH)
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
