//! RMS norm and layer norm.

use super::Cuda;
use super::kernels::{BLOCK, NORM};
use super::memory::{dense, in_multiples};
use crate::ops::norm::NormKernels;
use crate::tensor::{View, ViewMut};

/// Rows that a block of the forward takes, one to a warp.
const ROWS_PER_BLOCK: usize = BLOCK as usize / 32;

/// `NORM_THREADS` of `norm.cu`, and the rows that a block of the backward takes, whose sums for the
/// parameters are taken together: fixed, so that sums do not depend on the GPU's size.
const GRADIENT_BLOCK: u32 = 512;
const GRADIENT_ROWS: usize = GRADIENT_BLOCK as usize / 32;

/// Where a view's values are, which are in f32.
fn full(view: View<'_>) -> u64 {
    let values = dense(view);
    assert!(!values.is_compact(), "a norm's parameters and statistics are in f32");
    values.pointer
}

impl Cuda {
    fn norm(
        &self,
        input: View<'_>,
        gain: View<'_>,
        bias: Option<View<'_>>,
        epsilon: f32,
        mut output: ViewMut<'_>,
        statistics: Option<ViewMut<'_>>,
    ) {
        let (rows, columns) = (input.rows, input.columns);
        let wide =
            in_multiples(8, &[input, gain]) & bias.map_or(1, |bias| in_multiples(8, &[bias]));
        let launch = self.kernels.get(NORM, "normalise").with(dense(input));
        let launch = launch.with(full(gain)).with(bias.map_or(0, full)).with(epsilon);
        let launch = launch.with(self.values_mut(&mut output));
        let statistics =
            statistics.map_or(0, |mut statistics| self.values_mut(&mut statistics).pointer);
        let launch = launch.with(statistics).with(rows as u64).with(columns as u32).with(wide);
        // Safety: `normalise(input, gain, bias, epsilon, output, statistics, rows, columns, wide)`.
        unsafe { launch.run(rows.div_ceil(ROWS_PER_BLOCK), BLOCK) }
    }

    /// `d_parameters` is `[1, columns]` for RMS norm and `[2, columns]` for layer norm.
    #[allow(clippy::too_many_arguments)]
    fn norm_gradient(
        &self,
        d_output: View<'_>,
        input: View<'_>,
        gain: View<'_>,
        statistics: View<'_>,
        mut d_input: ViewMut<'_>,
        accumulate: bool,
        mut d_parameters: ViewMut<'_>,
    ) {
        let (rows, columns, kinds) = (input.rows, input.columns, d_parameters.rows);
        let layer = (kinds == 2) as u32;
        let wide = in_multiples(8, &[d_output, input, gain]);
        let blocks = rows.div_ceil(GRADIENT_ROWS);
        let sums = self.scratch_bytes(4 * blocks * kinds * columns);
        let launch = self.kernels.get(NORM, "norm_gradient").with(dense(d_output));
        let launch = launch.with(dense(input)).with(full(gain)).with(full(statistics)).with(layer);
        // The gradient of the residual stream is what the next products of the backward read.
        let (d_input, copy) = self.values_and_copy_mut(&mut d_input);
        let launch = launch.with(d_input).with(copy).with(accumulate as u32).with(sums.pointer());
        let launch = launch.with(rows as u64).with(columns as u32).with(wide);
        // Safety: `norm_gradient(d_output, input, gain, statistics, layer, d_input, copy,
        // accumulate, sums, rows, columns, wide)`; `sums` has rows for each block.
        unsafe { launch.run(blocks, GRADIENT_BLOCK) }
        let d_parameters = self.values_mut(&mut d_parameters);
        self.add_rows(sums.pointer(), blocks, kinds * columns, d_parameters, false);
    }
}

impl NormKernels for Cuda {
    fn rms_norm(
        &self,
        input: View<'_>,
        gain: View<'_>,
        epsilon: f32,
        output: ViewMut<'_>,
        statistics: Option<ViewMut<'_>>,
    ) {
        self.norm(input, gain, None, epsilon, output, statistics);
    }

    fn rms_norm_gradient(
        &self,
        d_output: View<'_>,
        input: View<'_>,
        gain: View<'_>,
        statistics: View<'_>,
        d_input: ViewMut<'_>,
        accumulate: bool,
        d_gain: ViewMut<'_>,
    ) {
        self.norm_gradient(d_output, input, gain, statistics, d_input, accumulate, d_gain);
    }

    fn layer_norm(
        &self,
        input: View<'_>,
        gain: View<'_>,
        bias: View<'_>,
        epsilon: f32,
        output: ViewMut<'_>,
        statistics: Option<ViewMut<'_>>,
    ) {
        self.norm(input, gain, Some(bias), epsilon, output, statistics);
    }

    fn layer_norm_gradient(
        &self,
        d_output: View<'_>,
        input: View<'_>,
        gain: View<'_>,
        statistics: View<'_>,
        d_input: ViewMut<'_>,
        accumulate: bool,
        d_gain_bias: ViewMut<'_>,
    ) {
        self.norm_gradient(d_output, input, gain, statistics, d_input, accumulate, d_gain_bias);
    }
}
