//! A constant times every value: T5 divides its last states by the root of their width where the
//! output matrix is the embedding (Raffel et al., arXiv 1910.10683; `T5ForConditionalGeneration`).

use crate::kernels::kernels;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Shape, Tensor, View, ViewMut};

kernels! {
    /// Kernels of products with a constant.
    pub trait ScaleKernels {
        /// `output = factor * input`.
        fn scale(&self, input: View<'_>, factor: f32, output: ViewMut<'_>);
    }
}

struct ScaleNode {
    input: usize,
    /// The input's.
    shape: Shape,
    factor: f32,
    output: usize,
}

impl Tape<'_> {
    /// `factor` times every value.
    pub fn scale(&mut self, input: &Var, factor: f32) -> Var {
        let mut output = self.allocate_like(input.value());
        self.device().scale(input.value().view(), factor, output.view_mut());
        let (input, shape) = (input.id, input.value().shape());
        self.record(output, |output| ScaleNode { input, shape, factor, output: output.id })
    }
}

impl Node for ScaleNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let mut d_input = Tensor::of_shape(pass.device(), self.shape);
        pass.device().scale(d_output.view(), self.factor, d_input.view_mut());
        pass.give(self.input, d_input);
    }
}

#[cfg(test)]
mod tests {
    use crate::params::Layout;
    use crate::testing::Check;

    #[test]
    fn matches_the_formula_and_finite_differences() {
        for (rows, width) in [(1, 1), (3, 17), (3, 6000)] {
            let mut check = Check::new(Layout::default(), &[(rows, width)]);
            let expected: Vec<f32> = check.inputs[0].iter().map(|x| -0.3 * x).collect();
            assert_eq!(check.output(|tape, inputs| tape.scale(&inputs[0], -0.3)), expected);
            check.gradients(|tape, inputs| tape.scale(&inputs[0], -0.3));
        }
    }
}
