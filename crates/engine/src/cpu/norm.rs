//! RMS norm and layer norm.

use rayon::prelude::*;

use super::elementwise::add;
use super::math::{dot, sum, sum_over};
use super::values::{Values, ValuesMut};
use super::{Cpu, slice, slice_mut, values, values_mut, vectorised};
use crate::ops::norm::NormKernels;
use crate::tensor::{View, ViewMut};

/// Rows per task, and per partial sum of the gains' gradients: fixed, so that sums do not depend on
/// the thread count.
pub(super) const ROWS: usize = 32;

vectorised! {
    pub(super) fn rms_rows(
        input: &[f32],
        gain: &[f32],
        epsilon: f32,
        output: &mut [f32],
        mut statistics: Option<&mut [f32]>,
    ) {
        let columns = gain.len();
        let rows = output.chunks_exact_mut(columns).zip(input.chunks_exact(columns));
        for (index, (output, x)) in rows.enumerate() {
            let inverse = 1.0 / (dot(x, x) / columns as f32 + epsilon).sqrt();
            for ((output, x), gain) in output.iter_mut().zip(x).zip(gain) {
                *output = x * inverse * gain;
            }
            if let Some(statistics) = &mut statistics {
                statistics[index] = inverse;
            }
        }
    }
}

vectorised! {
    pub(super) fn rms_rows_gradient(
        d_output: &[f32],
        input: &[f32],
        gain: &[f32],
        statistics: &[f32],
        d_input: &mut [f32],
        accumulate: bool,
        d_gain: &mut [f32],
    ) {
        let columns = gain.len();
        d_gain.fill(0.0);
        let rows = d_output.chunks_exact(columns).zip(input.chunks_exact(columns));
        let rows = d_input.chunks_exact_mut(columns).zip(rows);
        for ((dx, (dy, x)), &inverse) in rows.zip(statistics) {
            let sum = sum_over([dy, gain, x], |[dy, gain, x]| dy * gain * x);
            let along = sum * inverse * inverse * inverse / columns as f32;
            for i in 0..columns {
                let value = dy[i] * gain[i] * inverse - x[i] * along;
                dx[i] = if accumulate { dx[i] + value } else { value };
                d_gain[i] += dy[i] * x[i] * inverse;
            }
        }
    }
}

vectorised! {
    fn layer_rows(
        input: &[f32],
        gain: &[f32],
        bias: &[f32],
        epsilon: f32,
        output: &mut [f32],
        mut statistics: Option<&mut [f32]>,
    ) {
        let columns = gain.len();
        let rows = output.chunks_exact_mut(columns).zip(input.chunks_exact(columns));
        for (index, (output, x)) in rows.enumerate() {
            let mean = sum(x) / columns as f32;
            let variance = sum_over([x], |[x]| (x - mean) * (x - mean)) / columns as f32;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            for i in 0..columns {
                output[i] = (x[i] - mean) * inverse * gain[i] + bias[i];
            }
            if let Some(statistics) = &mut statistics {
                (statistics[2 * index], statistics[2 * index + 1]) = (mean, inverse);
            }
        }
    }
}

vectorised! {
    fn layer_rows_gradient(
        d_output: &[f32],
        input: &[f32],
        gain: &[f32],
        statistics: &[f32],
        d_input: &mut [f32],
        accumulate: bool,
        d_gain_bias: &mut [f32],
    ) {
        let columns = gain.len();
        d_gain_bias.fill(0.0);
        let (d_gain, d_bias) = d_gain_bias.split_at_mut(columns);
        let rows = d_output.chunks_exact(columns).zip(input.chunks_exact(columns));
        let rows = d_input.chunks_exact_mut(columns).zip(rows);
        for ((dx, (dy, x)), statistics) in rows.zip(statistics.chunks_exact(2)) {
            let (mean, inverse) = (statistics[0], statistics[1]);
            let across = dot(dy, gain) / columns as f32;
            let sum = sum_over([dy, gain, x], |[dy, gain, x]| dy * gain * (x - mean));
            let along = sum * inverse * inverse / columns as f32;
            for i in 0..columns {
                let centred = x[i] - mean;
                let value = (dy[i] * gain[i] - across - centred * along) * inverse;
                dx[i] = if accumulate { dx[i] + value } else { value };
                d_gain[i] += dy[i] * centred * inverse;
                d_bias[i] += dy[i];
            }
        }
    }
}

/// The signature shared by both gradients over a block of rows.
type RowsGradient = fn(&[f32], &[f32], &[f32], &[f32], &mut [f32], bool, &mut [f32]);

/// Runs a gradient over blocks of rows, and adds the blocks' sums for the parameters in order.
#[allow(clippy::too_many_arguments)]
fn gradient_by_blocks(
    rows_gradient: RowsGradient,
    d_output: View<'_>,
    input: View<'_>,
    gain: View<'_>,
    statistics: View<'_>,
    d_input: ViewMut<'_>,
    accumulate: bool,
    d_parameters: ViewMut<'_>,
) {
    let (columns, width) = (input.columns, statistics.columns);
    let (d_output, input) = (values(d_output), values(input));
    let (gain, statistics) = (slice(gain), slice(statistics));
    let d_parameters = slice_mut(d_parameters);
    let mut partial = vec![0.0; (statistics.len() / width).div_ceil(ROWS) * d_parameters.len()];
    values_mut(d_input)
        .par_chunks_mut(ROWS * columns)
        .zip(d_output.par_chunks(ROWS * columns).zip(input.par_chunks(ROWS * columns)))
        .zip(statistics.par_chunks(ROWS * width).zip(partial.par_chunks_mut(d_parameters.len())))
        .for_each(|((dx, (dy, x)), (statistics, sums))| {
            let (dy, x) = (dy.to_f32(), x.to_f32());
            let kernel =
                |dx: &mut [f32]| rows_gradient(&dy, &x, gain, statistics, dx, accumulate, sums);
            if accumulate { dx.update(kernel) } else { dx.write(kernel) }
        });
    d_parameters.fill(0.0);
    for sums in partial.chunks_exact(d_parameters.len()) {
        add(sums, d_parameters);
    }
}

/// Runs a forward over blocks of rows, with the statistics' rows beside them where there are any.
fn forward_by_blocks(
    input: View<'_>,
    output: ViewMut<'_>,
    statistics: Option<ViewMut<'_>>,
    rows_forward: impl Fn(&[f32], &mut [f32], Option<&mut [f32]>) + Sync,
) {
    let size = ROWS * input.columns;
    let blocks = values_mut(output).par_chunks_mut(size).zip(values(input).par_chunks(size));
    let run = |output: ValuesMut<'_>, input: Values<'_>, kept: Option<&mut [f32]>| {
        output.write(|output| rows_forward(&input.to_f32(), output, kept));
    };
    match statistics {
        None => blocks.for_each(|(output, input)| run(output, input, None)),
        Some(statistics) => {
            let width = statistics.columns;
            blocks
                .zip(slice_mut(statistics).par_chunks_mut(ROWS * width))
                .for_each(|((output, input), statistics)| run(output, input, Some(statistics)));
        }
    }
}

impl NormKernels for Cpu {
    fn rms_norm(
        &self,
        input: View<'_>,
        gain: View<'_>,
        epsilon: f32,
        output: ViewMut<'_>,
        statistics: Option<ViewMut<'_>>,
    ) {
        let gain = slice(gain);
        forward_by_blocks(input, output, statistics, |x, y, kept| {
            rms_rows(x, gain, epsilon, y, kept)
        });
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
        gradient_by_blocks(
            rms_rows_gradient,
            d_output,
            input,
            gain,
            statistics,
            d_input,
            accumulate,
            d_gain,
        );
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
        let (gain, bias) = (slice(gain), slice(bias));
        forward_by_blocks(input, output, statistics, |x, y, kept| {
            layer_rows(x, gain, bias, epsilon, y, kept)
        });
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
        gradient_by_blocks(
            layer_rows_gradient,
            d_output,
            input,
            gain,
            statistics,
            d_input,
            accumulate,
            d_gain_bias,
        );
    }
}
