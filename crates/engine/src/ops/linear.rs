//! Products with a weight matrix: `output = input * weight^T (+ bias) (+ residual)`.

use crate::kernels::kernels;
use crate::ops::dropout::drop_and_add;
use crate::params::{Parameters, Segment};
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};
use std::sync::Arc;

kernels! {
    /// Kernels of products.
    pub trait LinearKernels {
        /// `output = input * weight^T + bias + residual`: `[tokens, in] x [out, in] -> [tokens,
        /// out]`.
        #[flops(product_flops(input.rows, weight))]
        fn linear(
            &self,
            input: View<'_>,
            weight: View<'_>,
            bias: Option<View<'_>>,
            residual: Option<View<'_>>,
            output: ViewMut<'_>,
        );

        /// `d_input (+)= d_output * weight`.
        #[flops(product_flops(d_output.rows, weight))]
        fn linear_input_gradient(
            &self,
            d_output: View<'_>,
            weight: View<'_>,
            d_input: ViewMut<'_>,
            accumulate: bool,
        );

        /// `d_weight += d_output^T * input`.
        #[flops(product_flops(d_output.columns, input))]
        fn linear_weight_gradient(
            &self,
            d_output: View<'_>,
            input: View<'_>,
            d_weight: ViewMut<'_>,
        );

        /// `d_bias += sum over rows of d_output`.
        fn linear_bias_gradient(&self, d_output: View<'_>, d_bias: ViewMut<'_>);
    }
}

/// Floating-point operations of the product of `rows` rows with a matrix: two per multiplication.
pub(crate) fn product_flops(rows: usize, matrix: View<'_>) -> f64 {
    2.0 * (rows * matrix.rows * matrix.columns) as f64
}

/// Where a product's weights are in the flat vector.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Segment,
    /// `[1, out]`.
    pub bias: Option<Segment>,
}

impl Linear {
    /// The weights, to read.
    pub fn view(self, parameters: &Parameters) -> LinearView<'_> {
        let Self { weight, bias } = self;
        LinearView { weight: parameters.view(weight), bias: bias.map(|bias| parameters.view(bias)) }
    }
}

impl From<Segment> for Linear {
    /// A matrix without a bias.
    fn from(weight: Segment) -> Self {
        Self { weight, bias: None }
    }
}

/// A product's weights, to read, wherever they are stored.
#[derive(Clone, Copy, Debug)]
pub struct LinearView<'a> {
    /// `[out, in]`.
    pub weight: View<'a>,
    /// `[1, out]`.
    pub bias: Option<View<'a>>,
}

struct LinearNode {
    linear: Linear,
    input: Var,
    residual: Option<usize>,
    output: usize,
}

impl Tape<'_> {
    /// `input * weight^T + bias`: `[tokens, in] -> [tokens, out]`.
    pub fn linear(&mut self, input: &Var, linear: &Linear) -> Var {
        self.product(input, linear, None)
    }

    /// `residual + input * weight^T + bias`, the sum fused into the product. With `dropout` above 0
    /// (and a stream on the tape) the product is dropped out before it is added.
    pub fn linear_add(&mut self, input: &Var, linear: &Linear, residual: Var, dropout: f32) -> Var {
        match self.next_dropout(dropout) {
            None => self.product(input, linear, Some(residual)),
            Some(mask) => {
                let update = self.product(input, linear, None);
                drop_and_add(self, update, residual, mask)
            }
        }
    }

    fn product(&mut self, input: &Var, linear: &Linear, residual: Option<Var>) -> Var {
        let (value, rows) = (input.value(), input.value().rows());
        assert_eq!(value.columns(), linear.weight.columns, "a product's input width");
        let mut output = match residual {
            None => self.allocate_compact(rows, linear.weight.rows),
            Some(_) => self.allocate(rows, linear.weight.rows),
        };
        let parameters = self.parameters();
        self.device().linear(
            value.view(),
            parameters.view(linear.weight),
            linear.bias.map(|bias| parameters.view(bias)),
            residual.as_ref().map(|residual| residual.value().view()),
            output.view_mut(),
        );
        let (linear, input, residual) =
            (*linear, input.clone(), residual.map(|residual| residual.id));
        self.record(output, |output| LinearNode { linear, input, residual, output: output.id })
    }
}

impl Node for LinearNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let (device, parameters) = (pass.device(), pass.parameters());
        let input: &Arc<Tensor> = &self.input.value;
        pass.accumulate(self.input.id, input.shape(), |d_input, accumulate| {
            let weight = parameters.view(self.linear.weight);
            device.linear_input_gradient(d_output.view(), weight, d_input.view_mut(), accumulate);
        });
        let d_weight = pass.gradients().view_mut(self.linear.weight);
        device.linear_weight_gradient(d_output.view(), input.view(), d_weight);
        if let Some(bias) = self.linear.bias {
            device.linear_bias_gradient(d_output.view(), pass.gradients().view_mut(bias));
        }
        if let Some(residual) = self.residual {
            pass.give(residual, d_output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Layout, Role};
    use crate::testing::{Check, assert_close, random};

    /// One sum at a time, in double precision.
    fn reference(
        input: &[f32],
        weight: &[f32],
        bias: &[f32],
        rows: usize,
        inner: usize,
        outer: usize,
    ) -> Vec<f32> {
        let mut output = vec![0.0; rows * outer];
        for row in 0..rows {
            for column in 0..outer {
                let products = (0..inner)
                    .map(|k| input[row * inner + k] as f64 * weight[column * inner + k] as f64);
                output[row * outer + column] = (products.sum::<f64>() + bias[column] as f64) as f32;
            }
        }
        output
    }

    #[test]
    fn matches_the_reference_and_finite_differences_on_odd_shapes() {
        for (rows, inner, outer) in [(1, 1, 1), (1, 7, 5), (3, 17, 33), (13, 31, 2), (70, 65, 19)] {
            let mut layout = Layout::default();
            let linear = Linear {
                weight: layout.add("weight", outer, inner, Role::Matrix),
                bias: Some(layout.add("bias", 1, outer, Role::Bias)),
            };
            let mut check = Check::new(layout, &[(rows, inner), (rows, outer)]);
            let output = check.output(|tape, inputs| tape.linear(&inputs[0], &linear));
            let (weight, bias) =
                (check.segment(linear.weight), check.segment(linear.bias.unwrap()));
            assert_close(
                &output,
                &reference(&check.inputs[0], &weight, &bias, rows, inner, outer),
                1e-5,
            );
            check.gradients(|tape, inputs| {
                tape.linear_add(&inputs[0], &linear, inputs[1].clone(), 0.0)
            });
        }
    }

    #[test]
    fn a_shared_residual_gets_both_gradients() {
        let mut layout = Layout::default();
        let linear = Linear { weight: layout.add("weight", 6, 6, Role::Matrix), bias: None };
        let mut check = Check::new(layout, &[(5, 6)]);
        check
            .gradients(|tape, inputs| tape.linear_add(&inputs[0], &linear, inputs[0].clone(), 0.0));
    }

    #[test]
    fn every_row_is_the_same_whatever_its_neighbours() {
        let mut layout = Layout::default();
        let linear = Linear { weight: layout.add("weight", 40, 24, Role::Matrix), bias: None };
        let mut check = Check::new(layout, &[(9, 24)]);
        check.inputs[0] = random(5, 24).repeat(9);
        let output = check.output(|tape, inputs| tape.linear(&inputs[0], &linear));
        for row in output.chunks(40) {
            assert_close(row, &output[..40], 1e-6);
        }
    }
}
