//! RMS norm and layer norm.

use super::Cuda;
use super::kernels::{BLOCK, NORM};
use super::memory::{Values, dense, wide};
use crate::ops::norm::NormKernels;
use crate::tensor::{View, ViewMut};

/// Rows whose sums for the parameters are taken together: fixed, so that sums do not depend on the
/// GPU's size.
const ROWS: usize = 128;

/// Rows that a block takes, one to a warp.
const ROWS_PER_BLOCK: usize = BLOCK as usize / 32;

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
        let wide = wide(&[input, gain]) & bias.map_or(1, |bias| wide(&[bias]));
        let launch = self.kernels.get(NORM, "normalise").with(dense(input)).with(dense(gain));
        let launch = launch
            .with(bias.map_or(Values::full(0), dense))
            .with(epsilon)
            .with(self.values_mut(&mut output));
        let statistics =
            statistics.map_or(0, |mut statistics| self.values_mut(&mut statistics).pointer);
        let launch = launch.with(statistics).with(rows as u64).with(columns as u64).with(wide);
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
        let wide = wide(&[d_output, input, gain]);
        let (d_output, input, statistics) =
            (dense(d_output), dense(input), dense(statistics).pointer);
        let launch =
            self.kernels.get(NORM, "norm_gradient").with(d_output).with(input).with(dense(gain));
        let launch = launch
            .with(statistics)
            .with(layer)
            .with(self.values_mut(&mut d_input))
            .with(accumulate as u32);
        let launch = launch.with(rows as u64).with(columns as u64).with(wide);
        // Safety: `norm_gradient(d_output, input, gain, statistics, layer, d_input, accumulate,
        // rows, columns, wide)`.
        unsafe { launch.run(rows.div_ceil(ROWS_PER_BLOCK), BLOCK) }

        let groups = rows.div_ceil(ROWS);
        let sums = self.scratch_bytes(4 * groups * kinds * columns);
        let launch = self
            .kernels
            .get(NORM, "norm_parameter_sums")
            .with(d_output)
            .with(input)
            .with(statistics);
        let launch = launch
            .with(layer)
            .with(sums.pointer())
            .with(rows as u64)
            .with(columns as u64)
            .with(ROWS as u32);
        // Safety: `norm_parameter_sums(d_output, input, statistics, layer, sums, rows, columns,
        // per_block)`.
        unsafe { launch.run_grid((columns.div_ceil(32), groups, 1), BLOCK) }
        let d_parameters = self.values_mut(&mut d_parameters);
        self.add_rows(sums.pointer(), groups, kinds * columns, d_parameters, false);
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
