//! The product of two matrices value by value, such as of states and what gates them.

use crate::kernels::kernels;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{View, ViewMut};

kernels! {
    /// The kernel of products value by value.
    pub trait MultiplyKernels {
        /// `output (+)= first * second`, all of one shape.
        fn multiply(
            &self,
            first: View<'_>,
            second: View<'_>,
            output: ViewMut<'_>,
            accumulate: bool,
        );
    }
}

struct MultiplyNode {
    factors: [Var; 2],
    output: usize,
}

impl Tape<'_> {
    /// `first * second`, value by value.
    ///
    /// # Panics
    /// When they differ in shape.
    pub fn multiply(&mut self, first: Var, second: Var) -> Var {
        let (rows, columns) = (first.value().rows(), first.value().columns());
        assert_eq!((rows, columns), (second.value().rows(), second.value().columns()));
        let mut output = self.allocate_compact(rows, columns);
        let (a, b) = (first.value().view(), second.value().view());
        self.device().multiply(a, b, output.view_mut(), false);
        self.record(output, |output| MultiplyNode { factors: [first, second], output: output.id })
    }
}

impl Node for MultiplyNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let (device, [first, second]) = (pass.device(), &self.factors);
        for (factor, other) in [(first, second), (second, first)] {
            let other = other.value().view();
            pass.accumulate(factor.id, factor.value().shape(), |d_factor, accumulate| {
                device.multiply(d_output.view(), other, d_factor.view_mut(), accumulate);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cpu::Cpu;
    use crate::device::{Arithmetic, Device};
    use crate::params::{Layout, Parameters};
    use crate::tensor::Tensor;
    use crate::testing::{Check, assert_close, random};

    #[test]
    fn matches_the_formula_and_finite_differences() {
        for (rows, columns) in [(1, 1), (3, 17), (130, 129)] {
            let mut check = Check::new(Layout::default(), &[(rows, columns); 2]);
            let forward = |tape: &mut Tape, inputs: &[Var]| {
                tape.multiply(inputs[0].clone(), inputs[1].clone())
            };
            let factors = check.inputs[0].iter().zip(&check.inputs[1]);
            let expected: Vec<f32> = factors.map(|(a, b)| a * b).collect();
            assert_close(&check.output(forward), &expected, 1e-6);
            check.gradients(forward);
            // Of a square both gradients are added up.
            check.gradients(|tape, inputs| {
                let square = tape.multiply(inputs[0].clone(), inputs[0].clone());
                tape.multiply(square, inputs[1].clone())
            });
        }
    }

    #[test]
    fn threads_do_not_change_a_bit_and_bf16_rounds() {
        let (rows, columns) = (130, 129);
        let answers = |arithmetic, threads| {
            let device: Arc<dyn Device> = Arc::new(Cpu::new().multiplying_in(arithmetic));
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let parameters = Parameters::zeros(&device, Arc::new(Layout::default()));
                let mut tape = Tape::inference(&parameters);
                let input = |seed| {
                    Tensor::from_slice(&device, rows, columns, &random(seed, rows * columns))
                };
                let (first, second) = (tape.input(input(1)), tape.input(input(2)));
                tape.multiply(first, second).value().to_vec()
            })
        };
        let exact = answers(Arithmetic::F32, 1);
        assert!(exact == answers(Arithmetic::F32, 2) && exact == answers(Arithmetic::F32, 3));
        let rounded = answers(Arithmetic::Bf16, 1);
        assert!(rounded == answers(Arithmetic::Bf16, 3) && rounded != exact);
        assert_close(&rounded, &exact, 4e-3);
    }
}
