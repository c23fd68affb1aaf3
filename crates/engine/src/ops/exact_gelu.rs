//! GELU in its exact form, transformers' `gelu` (Hendrycks and Gimpel, arXiv 1606.08415): `x` times
//! the probability that a standard normal variable is below it. The tanh form is `ops/gelu.rs`.

use super::activation::{Activation, Keeps};
use crate::kernels::kernels;
use crate::tape::{Tape, Var};
use crate::tensor::{View, ViewMut};

kernels! {
    /// Kernels of the exact GELU.
    pub trait ExactGeluKernels {
        /// `output = 0.5 * x * (1 + erf(x / sqrt(2)))`.
        fn exact_gelu(&self, input: View<'_>, output: ViewMut<'_>);

        /// The gradient of the input, written.
        fn exact_gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>);
    }
}

const EXACT_GELU: Activation = Activation {
    forward: |device, input, output| device.exact_gelu(input, output),
    gradient: |device, d_output, input, d_input| {
        device.exact_gelu_gradient(d_output, input, d_input);
    },
    keeps: Keeps::Input,
};

impl Tape<'_> {
    /// The exact GELU of every value.
    pub fn exact_gelu(&mut self, input: Var) -> Var {
        self.activation(input, EXACT_GELU)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::params::Layout;
    use crate::testing::{Check, assert_close};

    /// The error function in double precision, by a series of terms of one sign.
    pub(crate) fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..400 {
            term *= 2.0 * x * x / (2 * n + 1) as f64;
            sum += term;
        }
        if x.abs() > 6.0 {
            x.signum()
        } else {
            2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
        }
    }

    #[test]
    fn matches_the_formula_and_finite_differences() {
        for (rows, width) in [(1, 1), (3, 17), (65, 6)] {
            let mut check = Check::new(Layout::default(), &[(rows, width)]);
            check.inputs[0][0] = 30.0;
            let output = check.output(|tape, inputs| tape.exact_gelu(inputs[0].clone()));
            let gelu = |x: f64| 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2));
            let expected: Vec<f32> =
                check.inputs[0].iter().map(|&x| gelu(x as f64) as f32).collect();
            assert_close(&output, &expected, 1e-6);
            check.inputs[0][0] = -0.3;
            check.gradients(|tape, inputs| tape.exact_gelu(inputs[0].clone()));
        }
    }
}
