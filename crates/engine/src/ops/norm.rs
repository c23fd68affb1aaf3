//! Normalisation of every row: RMS norm (Zhang and Sennrich, arXiv 1910.07467) and layer norm
//! (arXiv 1607.06450).

use crate::kernels::kernels;
use crate::params::Segment;
use crate::tape::{Backward, Node, Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

kernels! {
    /// Kernels of normalisation. `statistics` keeps per row what the backward needs.
    pub trait NormKernels {
        /// `output = input / sqrt(mean(input^2) + epsilon) * gain`; `statistics` `[tokens, 1]`
        /// receives the inverse root.
        fn rms_norm(
            &self,
            input: View<'_>,
            gain: View<'_>,
            epsilon: f32,
            output: ViewMut<'_>,
            statistics: Option<ViewMut<'_>>,
        );

        /// Gradients of `rms_norm`: `d_input` written or added to, `d_gain` `[1, hidden]` written.
        fn rms_norm_gradient(
            &self,
            d_output: View<'_>,
            input: View<'_>,
            gain: View<'_>,
            statistics: View<'_>,
            d_input: ViewMut<'_>,
            accumulate: bool,
            d_gain: ViewMut<'_>,
        );

        /// `output = (input - mean) / sqrt(variance + epsilon) * gain + bias`; `statistics`
        /// `[tokens, 2]` receives the mean and the inverse root.
        fn layer_norm(
            &self,
            input: View<'_>,
            gain: View<'_>,
            bias: View<'_>,
            epsilon: f32,
            output: ViewMut<'_>,
            statistics: Option<ViewMut<'_>>,
        );

        /// Gradients of `layer_norm`: `d_input` written or added to; `d_gain_bias` `[2, hidden]`
        /// written.
        fn layer_norm_gradient(
            &self,
            d_output: View<'_>,
            input: View<'_>,
            gain: View<'_>,
            statistics: View<'_>,
            d_input: ViewMut<'_>,
            accumulate: bool,
            d_gain_bias: ViewMut<'_>,
        );
    }
}

/// Where a normalisation's parameters are, and which of the two it is.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// `[1, hidden]`.
    pub gain: Segment,
    /// `[1, hidden]` for layer norm; none for RMS norm.
    pub bias: Option<Segment>,
    /// Added to the mean square or the variance before its root.
    pub epsilon: f32,
}

struct NormNode {
    norm: Norm,
    input: Var,
    statistics: Tensor,
    output: usize,
}

impl Tape<'_> {
    /// Normalises every row: layer norm when `norm` has a bias, RMS norm otherwise.
    pub fn norm(&mut self, input: &Var, norm: &Norm) -> Var {
        let (rows, columns) = (input.value().rows(), input.value().columns());
        let (device, parameters) = (self.device(), self.parameters());
        let mut output = self.allocate_compact(rows, columns);
        let recording = self.is_recording();
        let mut statistics = self.allocate(rows, if norm.bias.is_some() { 2 } else { 1 });
        let kept = recording.then(|| statistics.view_mut());
        let (value, gain) = (input.value().view(), parameters.view(norm.gain));
        match norm.bias {
            None => device.rms_norm(value, gain, norm.epsilon, output.view_mut(), kept),
            Some(bias) => device.layer_norm(
                value,
                gain,
                parameters.view(bias),
                norm.epsilon,
                output.view_mut(),
                kept,
            ),
        }
        let (norm, input) = (*norm, input.clone());
        self.record(output, |output| NormNode { norm, input, statistics, output: output.id })
    }
}

impl Node for NormNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let (device, parameters) = (pass.device(), pass.parameters());
        let input = &self.input.value;
        let (value, gain, statistics) =
            (input.view(), parameters.view(self.norm.gain), self.statistics.view());
        let mut sums =
            Tensor::uninitialised(device, 1 + self.norm.bias.iter().len(), input.columns());
        pass.accumulate(self.input.id, input.shape(), |d_input, accumulate| {
            let (dy, dx, sums) = (d_output.view(), d_input.view_mut(), sums.view_mut());
            match self.norm.bias {
                None => device.rms_norm_gradient(dy, value, gain, statistics, dx, accumulate, sums),
                Some(_) => {
                    device.layer_norm_gradient(dy, value, gain, statistics, dx, accumulate, sums)
                }
            }
        });
        device.add(sums.view().row_range(0..1), pass.gradients().view_mut(self.norm.gain));
        if let Some(bias) = self.norm.bias {
            device.add(sums.view().row_range(1..2), pass.gradients().view_mut(bias));
        }
    }
}

struct PlainNormNode {
    input: Var,
    gain: Tensor,
    statistics: Tensor,
    output: usize,
}

impl Tape<'_> {
    /// Layer norm without parameters: `(input - mean) / sqrt(variance + epsilon)` of every row.
    pub fn plain_layer_norm(&mut self, input: &Var, epsilon: f32) -> Var {
        let (rows, columns) = (input.value().rows(), input.value().columns());
        let device = self.device();
        let mut gain = self.allocate(1, columns);
        device.fill(gain.view_mut(), 1.0);
        let bias = Tensor::zeros(device, 1, columns);
        let mut output = self.allocate_compact(rows, columns);
        let mut statistics = self.allocate(rows, 2);
        let kept = self.is_recording().then(|| statistics.view_mut());
        let (value, output_view) = (input.value().view(), output.view_mut());
        device.layer_norm(value, gain.view(), bias.view(), epsilon, output_view, kept);
        let input = input.clone();
        self.record(output, |output| PlainNormNode { input, gain, statistics, output: output.id })
    }
}

impl Node for PlainNormNode {
    fn backward(self: Box<Self>, pass: &mut Backward<'_>) {
        let Some(d_output) = pass.take(self.output) else { return };
        let device = pass.device();
        let input = &self.input.value;
        let (value, gain, statistics) = (input.view(), self.gain.view(), self.statistics.view());
        // Of the constant gain and bias, which need none.
        let mut sums = Tensor::uninitialised(device, 2, input.columns());
        pass.accumulate(self.input.id, input.shape(), |d_input, accumulate| {
            let (dy, dx, sums) = (d_output.view(), d_input.view_mut(), sums.view_mut());
            device.layer_norm_gradient(dy, value, gain, statistics, dx, accumulate, sums);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Layout, Role};
    use crate::testing::{Check, assert_close};

    fn reference(input: &[f32], gain: &[f32], bias: Option<&[f32]>, epsilon: f64) -> Vec<f32> {
        let width = gain.len();
        let mut output = Vec::new();
        for row in input.chunks(width) {
            let mean = if bias.is_some() {
                row.iter().map(|&x| x as f64).sum::<f64>() / width as f64
            } else {
                0.0
            };
            let power = row.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / width as f64;
            for (column, &x) in row.iter().enumerate() {
                let normal = (x as f64 - mean) / (power + epsilon).sqrt() * gain[column] as f64;
                output.push((normal + bias.map_or(0.0, |bias| bias[column] as f64)) as f32);
            }
        }
        output
    }

    #[test]
    fn both_norms_match_the_reference_and_finite_differences() {
        for (rows, width) in [(1, 1), (1, 16), (3, 5), (7, 33), (130, 18)] {
            for with_bias in [false, true] {
                let mut layout = Layout::default();
                let gain = layout.add("gain", 1, width, Role::NormGain);
                let bias = with_bias.then(|| layout.add("bias", 1, width, Role::Bias));
                let norm = Norm { gain, bias, epsilon: 1e-3 };
                let mut check = Check::new(layout, &[(rows, width)]);
                let output = check.output(|tape, inputs| tape.norm(&inputs[0], &norm));
                let bias_values = bias.map(|bias| check.segment(bias));
                let expected =
                    reference(&check.inputs[0], &check.segment(gain), bias_values.as_deref(), 1e-3);
                assert_close(&output, &expected, 1e-5);
                check.gradients(|tape, inputs| tape.norm(&inputs[0], &norm));
            }
        }
    }

    #[test]
    fn a_norm_without_parameters_matches_the_reference_and_finite_differences() {
        for (rows, width) in [(1, 1), (1, 16), (3, 5), (130, 18)] {
            let mut check = Check::new(Layout::default(), &[(rows, width)]);
            let output = check.output(|tape, inputs| tape.plain_layer_norm(&inputs[0], 1e-3));
            let (gain, bias) = (vec![1.0; width], vec![0.0; width]);
            let expected = reference(&check.inputs[0], &gain, Some(&bias), 1e-3);
            assert_close(&output, &expected, 1e-5);
            check.gradients(|tape, inputs| tape.plain_layer_norm(&inputs[0], 1e-3));
        }
    }
}
