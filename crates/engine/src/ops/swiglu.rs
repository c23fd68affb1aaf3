//! SwiGLU (Shazeer, arXiv 2002.05202): `silu(gate) * up`.

use super::activation::{Activation, Keeps};
use crate::kernels::kernels;
use crate::tape::{Tape, Var};
use crate::tensor::{View, ViewMut};

kernels! {
    /// Kernels of SwiGLU. The fused input is `[tokens, 2 * intermediate]`: gate, then up.
    pub trait SwigluKernels {
        /// `output = gate * sigmoid(gate) * up`: `[tokens, intermediate]`.
        fn swiglu(&self, gate_up: View<'_>, output: ViewMut<'_>);

        /// The gradient of the fused input, written.
        fn swiglu_gradient(&self, d_output: View<'_>, gate_up: View<'_>, d_gate_up: ViewMut<'_>);
    }
}

const SWIGLU: Activation = Activation {
    forward: |device, gate_up, output| device.swiglu(gate_up, output),
    gradient: |device, d_output, gate_up, d_gate_up| {
        device.swiglu_gradient(d_output, gate_up, d_gate_up);
    },
    keeps: Keeps::Input,
};

impl Tape<'_> {
    /// `silu(gate) * up` of a fused `[tokens, 2 * intermediate]`.
    pub fn swiglu(&mut self, gate_up: Var) -> Var {
        self.gated_activation(gate_up, SWIGLU)
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
            let output = check.output(|tape, inputs| tape.swiglu(inputs[0].clone()));
            let mut expected = Vec::new();
            for row in check.inputs[0].chunks(2 * width) {
                let (gate, up) = row.split_at(width);
                let silu = |g: f32| g as f64 / (1.0 + (-g as f64).exp());
                expected.extend(gate.iter().zip(up).map(|(&g, &u)| (silu(g) * u as f64) as f32));
            }
            assert_close(&output, &expected, 1e-5);
            check.gradients(|tape, inputs| tape.swiglu(inputs[0].clone()));
        }
    }

    #[test]
    fn large_gates_stay_finite() {
        let mut check = Check::new(Layout::default(), &[(1, 4)]);
        check.inputs[0] = vec![-200.0, 200.0, 1.0, 1.0];
        let output = check.output(|tape, inputs| tape.swiglu(inputs[0].clone()));
        assert_close(&output, &[0.0, 200.0], 1e-5);
    }
}
