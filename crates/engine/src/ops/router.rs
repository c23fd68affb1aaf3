//! The router of a layer of experts (Fedus et al., arXiv 2101.03961, section 2): the product that
//! gives every token a logit for each expert, in f32 on every device, and the jitter before it.

use std::sync::Arc;

use crate::kernels::kernels;
use crate::ops::linear::product_flops;
use crate::params::Segment;
use crate::tape::{Backward, DropoutMask, Node, Tape, Var};
use crate::tensor::{Shape, Tensor, View, ViewMut};

kernels! {
    /// Kernels of a router. Products are of f32 values, also on a device that multiplies in bf16.
    pub trait RouterKernels {
        /// `logits = input * weight^T`: `[tokens, hidden] x [experts, hidden] -> [tokens,
        /// experts]`.
        #[flops(product_flops(input.rows, weight))]
        fn router(&self, input: View<'_>, weight: View<'_>, logits: ViewMut<'_>);

        /// `d_input (+)= d_logits * weight`.
        #[flops(product_flops(d_logits.rows, weight))]
        fn router_input_gradient(
            &self,
            d_logits: View<'_>,
            weight: View<'_>,
            d_input: ViewMut<'_>,
            accumulate: bool,
        );

        /// `d_weight += d_logits^T * input`.
        #[flops(product_flops(d_logits.columns, input))]
        fn router_weight_gradient(
            &self,
            d_logits: View<'_>,
            input: View<'_>,
            d_weight: ViewMut<'_>,
        );

        /// `output (+)= input * factor`, with the factors of [`DropoutMask::jitter_factor`].
        fn jitter(
            &self,
            input: View<'_>,
            mask: DropoutMask,
            output: ViewMut<'_>,
            accumulate: bool,
        );
    }
}

struct RouterNode {
    weight: Segment,
    input: Var,
    output: usize,
}

struct JitterNode {
    mask: DropoutMask,
    input: usize,
    /// The input's.
    shape: Shape,
    output: usize,
}

impl Tape<'_> {
    /// The logits of every token's experts, in f32: `[tokens, hidden] -> [tokens, experts]`, by a
    /// matrix `[experts, hidden]`.
    pub fn router(&mut self, input: &Var, weight: Segment) -> Var {
        assert_eq!(input.value().columns(), weight.columns, "a router's input width");
        let mut logits = self.allocate(input.value().rows(), weight.rows);
        let parameters = self.parameters();
        self.device().router(input.value().view(), parameters.view(weight), logits.view_mut());
        let input = input.clone();
        self.record(logits, |output| RouterNode { weight, input, output: output.id })
    }

    /// Every value times a random number of `[1 - amount, 1 + amount)`, when the tape has a dropout
    /// stream: in training alone.
    pub fn jitter(&mut self, input: Var, amount: f32) -> Var {
        let Some(mask) = self.next_dropout(amount) else { return input };
        let mut output = self.allocate_like(input.value());
        self.device().jitter(input.value().view(), mask, output.view_mut(), false);
        let (shape, input) = (input.value().shape(), input.id);
        self.record(output, |output| JitterNode { mask, input, shape, output: output.id })
    }
}

impl Node for RouterNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_logits) = pass.take(self.output) else { return };
        let (device, parameters) = (pass.device(), pass.parameters());
        let input: &Arc<Tensor> = &self.input.value;
        pass.accumulate(self.input.id, input.shape(), |d_input, accumulate| {
            let weight = parameters.view(self.weight);
            device.router_input_gradient(d_logits.view(), weight, d_input.view_mut(), accumulate);
        });
        let d_weight = pass.gradients().view_mut(self.weight);
        device.router_weight_gradient(d_logits.view(), input.view(), d_weight);
    }
}

impl Node for JitterNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let device = pass.device();
        pass.accumulate(self.input, self.shape, |d_input, accumulate| {
            device.jitter(d_output.view(), self.mask, d_input.view_mut(), accumulate);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;
    use crate::device::{Arithmetic, Device};
    use crate::params::{Layout, Parameters, Role};
    use crate::testing::{Check, assert_close, random};

    #[test]
    fn logits_match_the_reference_and_finite_differences_on_odd_shapes() {
        for (rows, width, experts) in [(1, 1, 1), (1, 7, 3), (13, 33, 1), (70, 19, 5)] {
            let mut layout = Layout::default();
            let weight = layout.add("router", experts, width, Role::Matrix);
            let mut check = Check::new(layout, &[(rows, width)]);
            let found = check.output(|tape, inputs| tape.router(&inputs[0], weight));
            let matrix = check.segment(weight);
            let dot = |x: &[f32], w: &[f32]| -> f64 {
                x.iter().zip(w).map(|(&x, &w)| x as f64 * w as f64).sum()
            };
            let expected: Vec<f32> = check.inputs[0]
                .chunks(width)
                .flat_map(|x| matrix.chunks(width).map(move |w| dot(x, w) as f32))
                .collect();
            assert_close(&found, &expected, 1e-5);
            check.gradients(|tape, inputs| tape.router(&inputs[0], weight));
        }
    }

    #[test]
    fn an_input_with_other_uses_gets_all_gradients() {
        let mut layout = Layout::default();
        let first = layout.add("first", 3, 5, Role::Matrix);
        let second = layout.add("second", 3, 5, Role::Matrix);
        let mut check = Check::new(layout, &[(7, 5)]).with_dropout(3);
        check.gradients(|tape, inputs| {
            let jittered = tape.jitter(inputs[0].clone(), 0.3);
            let a = tape.router(&jittered, first);
            let b = tape.router(&inputs[0], second);
            tape.linear_add(&a, &Segment { rows: 3, columns: 3, ..first }.into(), b, 0.0)
        });
    }

    /// Where products are of bf16 values the router's are not: what is left is the rounding of a
    /// compact input.
    #[test]
    fn logits_are_f32_whatever_the_products_read() {
        let (rows, width, experts) = (9, 64, 4);
        let logits = |arithmetic| {
            let device: Arc<dyn Device> = Arc::new(Cpu::new().multiplying_in(arithmetic));
            let mut layout = Layout::default();
            let weight = layout.add("router", experts, width, Role::Matrix);
            let mut parameters = Parameters::zeros(&device, Arc::new(layout));
            device.write(parameters.view_mut(weight), &random(1, experts * width));
            let mut tape = Tape::inference(&parameters);
            let input = Tensor::from_slice(&device, rows, width, &random(2, rows * width));
            let input = tape.input(input);
            tape.router(&input, weight).value().to_vec()
        };
        let expected = logits(Arithmetic::F32);
        for arithmetic in [Arithmetic::Bf16, Arithmetic::Bf16x3] {
            assert_eq!(logits(arithmetic), expected, "{arithmetic}");
        }
    }

    #[test]
    fn jitter_is_uniform_around_one_and_counts_the_tokens_of_the_step() {
        let jittered = |first_token, rows: usize, amount| {
            let mut check = Check::new(Layout::default(), &[(rows, 40)]).with_dropout(first_token);
            check.inputs[0] = vec![1.0; 40 * rows];
            check.output(|tape, inputs| tape.jitter(inputs[0].clone(), amount))
        };
        let all = jittered(0, 100, 0.25);
        assert!(all.iter().all(|factor| (0.75..1.25).contains(factor)));
        let mean: f64 = all.iter().map(|&factor| factor as f64).sum::<f64>() / 4000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(all.iter().any(|&f| f < 0.76) && all.iter().any(|&f| f > 1.24));
        assert_eq!(jittered(90, 10, 0.25), all[3600..]);
        assert_eq!(jittered(0, 2, 0.0), [1.0; 80]);
        let mut check = Check::new(Layout::default(), &[(2, 3)]);
        let same = check.output(|tape, inputs| tape.jitter(inputs[0].clone(), 0.25));
        assert_eq!(same, check.inputs[0], "without a stream nothing is drawn");
    }
}
