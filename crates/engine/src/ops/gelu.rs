//! GELU in its tanh form, transformers' `gelu_new` (Hendrycks and Gimpel, arXiv 1606.08415).

use crate::kernels::kernels;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

kernels! {
    /// Kernels of GELU.
    pub trait GeluKernels {
        /// `output = 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
        fn gelu(&self, input: View<'_>, output: ViewMut<'_>);

        /// The gradient of the input, written.
        fn gelu_gradient(&self, d_output: View<'_>, input: View<'_>, d_input: ViewMut<'_>);
    }
}

struct GeluNode {
    input: Var,
    output: usize,
}

impl Tape<'_> {
    /// GELU of every value.
    pub fn gelu(&mut self, input: Var) -> Var {
        let mut output = self.allocate_compact(input.value().rows(), input.value().columns());
        self.device().gelu(input.value().view(), output.view_mut());
        self.record(output, |output| GeluNode { input, output: output.id })
    }
}

impl Node for GeluNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let device = pass.device();
        let input = self.input.value();
        let mut d_input = Tensor::of_shape(device, input.shape());
        device.gelu_gradient(d_output.view(), input.view(), d_input.view_mut());
        pass.give(self.input.id, d_input);
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
