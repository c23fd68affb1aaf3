//! GeGLU (Shazeer, arXiv 2002.05202) as LTG-BERT has it: `up * gelu(gate)` with GELU's tanh form.

use super::activation::{Activation, Keeps};
use crate::kernels::kernels;
use crate::tape::{Tape, Var};
use crate::tensor::{View, ViewMut};

kernels! {
    /// Kernels of GeGLU. The fused input is `[tokens, 2 * intermediate]`: up, then gate.
    pub trait GegluKernels {
        /// `output = up * gelu(gate)`: `[tokens, intermediate]`.
        fn geglu(&self, up_gate: View<'_>, output: ViewMut<'_>);

        /// The gradient of the fused input, written.
        fn geglu_gradient(&self, d_output: View<'_>, up_gate: View<'_>, d_up_gate: ViewMut<'_>);
    }
}

const GEGLU: Activation = Activation {
    forward: |device, up_gate, output| device.geglu(up_gate, output),
    gradient: |device, d_output, up_gate, d_up_gate| {
        device.geglu_gradient(d_output, up_gate, d_up_gate);
    },
    keeps: Keeps::Input,
};

impl Tape<'_> {
    /// `up * gelu(gate)` of a fused `[tokens, 2 * intermediate]`.
    pub fn geglu(&mut self, up_gate: Var) -> Var {
        self.gated_activation(up_gate, GEGLU)
    }
}

#[cfg(test)]
mod tests {
    use crate::params::Layout;
    use crate::testing::{Check, assert_close};

    #[test]
    fn matches_the_formula_and_finite_differences() {
        for (rows, width) in [(1, 1), (3, 17), (65, 6)] {
            let mut check = Check::new(Layout::default(), &[(rows, 2 * width)]);
            let output = check.output(|tape, inputs| tape.geglu(inputs[0].clone()));
            let gelu = |x: f64| {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            };
            let mut expected = Vec::new();
            for row in check.inputs[0].chunks(2 * width) {
                let (up, gate) = row.split_at(width);
                let of_pair = |(&up, &gate): (&f32, &f32)| (up as f64 * gelu(gate as f64)) as f32;
                expected.extend(up.iter().zip(gate).map(of_pair));
            }
            assert_close(&output, &expected, 1e-5);
            check.gradients(|tape, inputs| tape.geglu(inputs[0].clone()));
        }
    }

    #[test]
    fn large_gates_stay_finite() {
        let mut check = Check::new(Layout::default(), &[(1, 4)]);
        check.inputs[0] = vec![1.0, 2.0, -200.0, 200.0];
        let output = check.output(|tape, inputs| tape.geglu(inputs[0].clone()));
        assert_close(&output, &[0.0, 400.0], 1e-5);
    }
}
