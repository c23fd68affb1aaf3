//! GELU in its tanh form, transformers' `gelu_new` (Hendrycks and Gimpel, arXiv 1606.08415).

use super::activation::{Activation, Keeps};
use crate::kernels::kernels;
use crate::tape::{Tape, Var};
use crate::tensor::{View, ViewMut};

kernels! {
    /// Kernels of GELU.
    pub trait GeluKernels {
        /// `output = 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
        fn gelu(&self, input: View<'_>, output: ViewMut<'_>);

        /// The gradient of the input, written.
        fn gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>);
    }
}

const GELU: Activation = Activation {
    forward: |device, input, output| device.gelu(input, output),
    gradient: |device, d_output, input, d_input| {
        device.gelu_gradient(d_output, input, d_input);
    },
    keeps: Keeps::Input,
};

impl Tape<'_> {
    /// GELU of every value.
    pub fn gelu(&mut self, input: Var) -> Var {
        self.activation(input, GELU)
    }
}

#[cfg(test)]
mod tests {
    use crate::params::Layout;
    use crate::testing::{Check, assert_close};

    #[test]
    fn matches_the_formula_and_finite_differences() {
        for (rows, width) in [(1, 1), (3, 17), (65, 6)] {
            let mut check = Check::new(Layout::default(), &[(rows, width)]);
            check.inputs[0][0] = 30.0;
            let output = check.output(|tape, inputs| tape.gelu(inputs[0].clone()));
            let gelu = |x: f64| {
                0.5 * x
                    * (1.0
                        + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            };
            let expected: Vec<f32> =
                check.inputs[0].iter().map(|&x| gelu(x as f64) as f32).collect();
            assert_close(&output, &expected, 1e-5);
            check.inputs[0][0] = -0.3;
            check.gradients(|tape, inputs| tape.gelu(inputs[0].clone()));
        }
    }
}
