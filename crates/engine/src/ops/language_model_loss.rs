//! The language-model loss: cross-entropy of the next token, on a block of rows at a time, so that
//! `[tokens, vocab]` never exists. Also what evaluation and generation need of the output layer.

use std::sync::Arc;

use crate::device::Device;
use crate::kernels::kernels;
use crate::ops::linear::{Linear, LinearView, product_flops};
use crate::params::Segment;
use crate::tape::{Tape, Var};
use crate::tensor::{Tensor, View, ViewMut};

/// The target of a row that predicts nothing.
pub const NO_TARGET: u32 = u32::MAX;

/// A token whose probability is computed, after the tokens up to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The row of hidden states after which the token stands.
    pub row: u32,
    /// The token's id.
    pub id: u32,
}

impl Target {
    /// The targets of rows that have at most one: `NO_TARGET` for none.
    pub fn of_rows(targets: &[u32]) -> Vec<Self> {
        let rows = (0..).zip(targets).filter(|(_, id)| **id != NO_TARGET);
        rows.map(|(row, &id)| Self { row, id }).collect()
    }
}

/// Hidden states with the output matrix that turns them into logits, and their share in a mixture.
#[derive(Clone, Copy, Debug)]
pub struct Projection<'a> {
    /// `[tokens, hidden]`.
    pub hidden: View<'a>,
    /// `[vocab, hidden]`.
    pub output: View<'a>,
    /// `[1, vocab]`, added to every row's logits.
    pub bias: Option<View<'a>>,
    /// What these logits are multiplied by before they are added to the others.
    pub share: f32,
}

impl<'a> Projection<'a> {
    /// Hidden states with an output layer.
    pub fn new(hidden: View<'a>, output: LinearView<'a>, share: f32) -> Self {
        Self { hidden, output: output.weight, bias: output.bias, share }
    }
}

/// Where the gradients of an output layer go.
pub struct OutputGradient<'a> {
    /// `[tokens, hidden]`, written.
    pub d_hidden: ViewMut<'a>,
    /// `[vocab, hidden]`, added to.
    pub d_output: ViewMut<'a>,
    /// `[1, vocab]`, added to; there where the projection has a bias, and nowhere else.
    pub d_bias: Option<ViewMut<'a>>,
}

kernels! {
    /// Kernels of the output layer.
    pub trait LanguageModelLossKernels {
        /// The sum of `-log softmax(logits)[target]` over rows that have a target. With `gradient`,
        /// also the gradients of `scale` times that sum.
        #[flops(loss_flops(projection, &gradient))]
        fn language_model_loss(
            &self,
            projection: Projection<'_>,
            targets: &[u32],
            scale: f32,
            gradient: Option<OutputGradient<'_>>,
        ) -> f64;

        /// The natural logarithm of each target's probability under the sum of the projections'
        /// logits. Targets come in the order of their rows; rows without one cost nothing, rows
        /// with several as much as with one.
        #[flops(target_flops(projections, targets))]
        fn log_probabilities(
            &self,
            projections: &[Projection<'_>],
            targets: &[Target],
            log_probabilities: &mut [f64],
        );

        /// The sum of the projections' logits, row by row: for few rows only.
        #[flops(projection_flops(projections))]
        fn logits(&self, projections: &[Projection<'_>], logits: &mut [f32]);
    }
}

/// Floating-point operations of the projections' logits.
pub(crate) fn projection_flops(projections: &[Projection<'_>]) -> f64 {
    projections
        .iter()
        .map(|projection| product_flops(projection.hidden.rows, projection.output))
        .sum()
}

/// Floating-point operations of the logits of all rows that have a target.
fn target_flops(projections: &[Projection<'_>], targets: &[Target]) -> f64 {
    let rows = targets.chunk_by(|a, b| a.row == b.row).count();
    projections.iter().map(|projection| product_flops(rows, projection.output)).sum()
}

/// Floating-point operations of the logits, and with a gradient as many again for each of the two
/// factors.
pub(crate) fn loss_flops(projection: Projection<'_>, gradient: &Option<OutputGradient<'_>>) -> f64 {
    let products = if gradient.is_some() { 3.0 } else { 1.0 };
    products * projection_flops(&[projection])
}

impl Tape<'_> {
    /// The sum of the cross-entropies of `targets` (one per row, or `NO_TARGET`) by an output
    /// matrix `[vocab, hidden]`, or by one with a bias. When recording, the backward starts from
    /// `scale` times this sum.
    ///
    /// # Panics
    /// When shapes do not fit or a target is outside the vocabulary; callers check what comes
    /// from outside.
    pub fn language_model_loss(
        &mut self,
        hidden: &Var,
        output: impl Into<Linear>,
        targets: &[u32],
        scale: f32,
    ) -> f64 {
        let output = output.into();
        check_targets(hidden.value(), output.weight, targets);
        self.output_layer_loss(hidden, output, |device, projection, gradient| {
            device.language_model_loss(projection, targets, scale, gradient)
        })
    }

    /// A loss of an output layer's logits: `compute` finds it and, when recording, the gradients of
    /// the hidden states (from which the backward starts), the output matrix and its bias.
    pub(crate) fn output_layer_loss<R>(
        &mut self,
        hidden: &Var,
        Linear { weight, bias }: Linear,
        compute: impl FnOnce(&Arc<dyn Device>, Projection<'_>, Option<OutputGradient<'_>>) -> R,
    ) -> R {
        let (parameters, device) = (self.parameters(), self.device());
        let output = Linear { weight, bias }.view(parameters);
        let projection = Projection::new(hidden.value().view(), output, 1.0);
        let mut d_hidden = self.allocate_like(hidden.value());
        // Beside the gradient of the matrix, since two parts of one tensor cannot be lent to write
        // at a time.
        let mut d_bias =
            bias.filter(|_| self.is_recording()).map(|bias| Tensor::zeros(device, 1, bias.columns));
        let gradient = self.gradients().map(|gradients| OutputGradient {
            d_hidden: d_hidden.view_mut(),
            d_output: gradients.view_mut(weight),
            d_bias: d_bias.as_mut().map(Tensor::view_mut),
        });
        let recording = gradient.is_some();
        let loss = compute(device, projection, gradient);
        if recording {
            self.seed(hidden, d_hidden);
        }
        if let (Some(gradients), Some(bias), Some(d_bias)) = (self.gradients(), bias, d_bias) {
            device.add(d_bias.view(), gradients.view_mut(bias));
        }
        loss
    }
}

/// Panics when shapes or targets do not fit; callers check what comes from outside.
pub(crate) fn check_targets(hidden: &Tensor, output: Segment, targets: &[u32]) {
    assert_eq!(
        hidden.columns(),
        output.columns,
        "hidden size of the states and of the output matrix"
    );
    assert_eq!(hidden.rows(), targets.len(), "one target per row");
    let vocab = output.rows as u32;
    assert!(
        targets.iter().all(|&target| target < vocab || target == NO_TARGET),
        "a target outside the vocabulary"
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::params::{Layout, Role};
    use crate::testing::{Check, assert_close, random};

    /// All logits of a projection, in double precision.
    pub(crate) fn reference_logits(hidden: &[f32], output: &[f32], width: usize) -> Vec<Vec<f64>> {
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum::<f64>();
        hidden
            .chunks(width)
            .map(|row| output.chunks(width).map(|weights| dot(row, weights)).collect())
            .collect()
    }

    pub(crate) fn log_softmax(logits: &[f64]) -> Vec<f64> {
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let logsumexp = top + logits.iter().map(|logit| (logit - top).exp()).sum::<f64>().ln();
        logits.iter().map(|logit| logit - logsumexp).collect()
    }

    #[test]
    fn matches_the_reference_and_finite_differences() {
        for (rows, width, vocab) in [(1, 3, 2), (7, 5, 33), (70, 4, 301)] {
            let mut layout = Layout::default();
            let output = layout.add("output", vocab, width, Role::Matrix);
            let targets: Vec<u32> = (0..rows)
                .map(|row| if row % 4 == 3 { NO_TARGET } else { (row * 7 % vocab) as u32 })
                .collect();
            let mut check = Check::new(layout, &[(rows, width)]);
            let logits = reference_logits(&check.inputs[0], &check.segment(output), width);
            let expected: f64 = logits
                .iter()
                .zip(&targets)
                .filter(|(_, target)| **target != NO_TARGET)
                .map(|(row, &target)| -log_softmax(row)[target as usize])
                .sum();
            let sum = check.objective(|tape, inputs| {
                tape.language_model_loss(&inputs[0], output, &targets, 0.3)
            });
            assert!((sum - expected).abs() < 1e-4 * expected, "{sum} instead of {expected}");
            check.objective_gradients(0.3, |tape, inputs| {
                tape.language_model_loss(&inputs[0], output, &targets, 0.3)
            });
        }
    }

    /// Also on more rows than are computed at a time, and where the loss has two parts that share
    /// the bias.
    #[test]
    fn a_bias_is_added_and_gets_its_gradient() {
        for (rows, width, vocab) in [(1, 3, 2), (7, 5, 33), (1030, 2, 5)] {
            let mut layout = Layout::default();
            let weight = layout.add("output", vocab, width, Role::Matrix);
            let output = Linear { weight, bias: Some(layout.add("bias", 1, vocab, Role::Bias)) };
            let targets: Vec<u32> = (0..rows)
                .map(|row| if row % 4 == 3 { NO_TARGET } else { (row * 7 % vocab) as u32 })
                .collect();
            let mut check = Check::new(layout, &[(rows, width)]);
            let bias = check.segment(output.bias.unwrap());
            let mut expected = 0.0;
            let logits = reference_logits(&check.inputs[0], &check.segment(weight), width);
            for (mut row, &target) in
                logits.into_iter().zip(&targets).filter(|(_, target)| **target != NO_TARGET)
            {
                row.iter_mut().zip(&bias).for_each(|(logit, &bias)| *logit += bias as f64);
                expected -= log_softmax(&row)[target as usize];
            }
            let sum = check.objective(|tape, inputs| {
                tape.language_model_loss(&inputs[0], output, &targets, 1.0)
            });
            assert!((sum - expected).abs() < 1e-4 * expected, "{sum} instead of {expected}");
            let scale = 1.0 / rows as f32;
            check.objective_gradients(scale as f64, |tape, inputs| {
                let mut loss = || tape.language_model_loss(&inputs[0], output, &targets, scale);
                loss() + loss()
            });
        }
    }

    #[test]
    fn log_probabilities_of_a_mixture_are_those_of_the_mean_logits() {
        let device = crate::testing::device();
        let (rows, vocab) = (5, 40);
        let targets = Target::of_rows(&[3, 0, NO_TARGET, 39, 7]);
        assert_eq!((targets.len(), targets[2]), (4, Target { row: 3, id: 39 }));
        let sizes = [(6, 0.5), (3, 0.5)];
        let tensors: Vec<_> = sizes
            .iter()
            .map(|&(width, _)| {
                let hidden = Tensor::from_slice(&device, rows, width, &random(1, rows * width));
                (hidden, Tensor::from_slice(&device, vocab, width, &random(2, vocab * width)))
            })
            .collect();
        let bias = random(3, vocab);
        let bias_tensor = Tensor::from_slice(&device, 1, vocab, &bias);
        let mut projections: Vec<_> = tensors
            .iter()
            .zip(sizes)
            .map(|((hidden, output), (_, share))| Projection {
                hidden: hidden.view(),
                output: output.view(),
                bias: None,
                share,
            })
            .collect();
        projections[1].bias = Some(bias_tensor.view());
        let mut logits = vec![0.0; rows * vocab];
        device.logits(&projections, &mut logits);
        let mut expected = vec![vec![0.0; vocab]; rows];
        for ((hidden, output), (width, share)) in tensors.iter().zip(sizes) {
            for (sum, row) in
                expected.iter_mut().zip(reference_logits(&hidden.to_vec(), &output.to_vec(), width))
            {
                sum.iter_mut().zip(row).for_each(|(sum, logit)| *sum += logit * share as f64);
            }
        }
        for row in &mut expected {
            row.iter_mut().zip(&bias).for_each(|(logit, &bias)| *logit += 0.5 * bias as f64);
        }
        let flat: Vec<f32> = expected.iter().flatten().map(|&logit| logit as f32).collect();
        assert_close(&logits, &flat, 1e-5);
        // Rows may have several targets, or none, and there may be more of them than a block of
        // rows takes.
        let several: Vec<Target> = [(0, 3), (0, 39), (0, 3), (2, 5), (4, 0), (4, 1)]
            .map(|(row, id)| Target { row, id })
            .to_vec();
        for targets in [targets, several, Vec::new()] {
            let mut found = vec![0.0; targets.len()];
            device.log_probabilities(&projections, &targets, &mut found);
            for (found, target) in found.iter().zip(&targets) {
                let wanted = log_softmax(&expected[target.row as usize])[target.id as usize];
                assert!((found - wanted).abs() < 1e-5, "{found} instead of {wanted}");
            }
        }
    }

    /// More rows than are computed at a time, with one to three targets each, and every seventh
    /// with none.
    #[test]
    fn log_probabilities_of_many_rows_are_the_negative_losses() {
        let device = crate::testing::device();
        let (rows, width, vocab) = (1500, 3, 70);
        let hidden = Tensor::from_slice(&device, rows, width, &random(1, rows * width));
        let output = Tensor::from_slice(&device, vocab, width, &random(2, vocab * width));
        let projection =
            Projection { hidden: hidden.view(), output: output.view(), bias: None, share: 1.0 };
        let targets: Vec<Target> = (0..rows as u32)
            .filter(|row| row % 7 != 0)
            .flat_map(|row| {
                (0..1 + row % 3)
                    .map(move |nth| Target { row, id: (row * 31 + nth * 11) % vocab as u32 })
            })
            .collect();
        let mut found = vec![0.0; targets.len()];
        device.log_probabilities(&[projection], &targets, &mut found);
        for (found, target) in found.iter().zip(&targets) {
            let row = target.row as usize;
            let alone = Projection { hidden: hidden.view().row_range(row..row + 1), ..projection };
            let loss = device.language_model_loss(alone, &[target.id], 1.0, None);
            assert!((found + loss).abs() < 1e-5, "{target:?}: {found} instead of {}", -loss);
        }
    }
}
