//! The rectifier, `max(x, 0)`.

use super::activation::{Activation, Keeps};
use crate::kernels::kernels;
use crate::tape::{Tape, Var};
use crate::tensor::{View, ViewMut};

kernels! {
    /// Kernels of the rectifier.
    pub trait ReluKernels {
        /// `output = max(input, 0)`.
        fn relu(&self, input: View<'_>, output: ViewMut<'_>);

        /// The gradient of the input, written: that of the output where the output is above 0.
        fn relu_gradient(&self, d_output: View<'_>, output: View<'_>, d_input: ViewMut<'_>);
    }
}

const RELU: Activation = Activation {
    forward: |device, input, output| device.relu(input, output),
    gradient: |device, d_output, output, d_input| {
        device.relu_gradient(d_output, output, d_input);
    },
    keeps: Keeps::Output,
};

impl Tape<'_> {
    /// Every value, or 0 where it is below 0.
    pub fn relu(&mut self, input: Var) -> Var {
        self.activation(input, RELU)
    }
}

#[cfg(test)]
mod tests {
    use crate::params::Layout;
    use crate::testing::Check;

    #[test]
    fn matches_the_formula_and_finite_differences() {
        for (rows, width) in [(1, 1), (3, 17), (65, 6), (3, 6000)] {
            let mut check = Check::new(Layout::default(), &[(rows, width)]);
            // Finite differences need to stay on one side of the corner.
            check.inputs[0].iter_mut().for_each(|x| *x += x.signum());
            let output = check.output(|tape, inputs| tape.relu(inputs[0].clone()));
            let expected: Vec<f32> =
                check.inputs[0].iter().map(|&x| if x > 0.0 { x } else { 0.0 }).collect();
            assert_eq!(output, expected);
            assert!(rows == 1 || output.contains(&0.0));
            check.gradients(|tape, inputs| tape.relu(inputs[0].clone()));
        }
    }

    #[test]
    fn the_corner_itself_has_no_slope() {
        let mut check = Check::new(Layout::default(), &[(1, 2)]);
        check.inputs[0] = vec![0.0, -0.0];
        assert_eq!(check.input_gradient(|tape, inputs| tape.relu(inputs[0].clone())), [0.0, 0.0]);
    }
}
