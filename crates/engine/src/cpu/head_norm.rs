//! The norm of heads.

use rayon::prelude::*;

use super::elementwise::add;
use super::norm::{ROWS, rms_rows, rms_rows_gradient};
use super::{Cpu, slice, slice_mut, values, values_mut};
use crate::ops::attention::Heads;
use crate::ops::head_norm::HeadNormKernels;
use crate::tensor::{View, ViewMut};

/// Channels of the queries and of the keys within a row.
fn widths(heads: &Heads) -> [usize; 2] {
    [heads.query_columns(), heads.key_columns()]
}

impl HeadNormKernels for Cpu {
    fn head_norm(
        &self,
        fused_qkv: ViewMut<'_>,
        gains: View<'_>,
        epsilon: f32,
        heads: &Heads,
        statistics: Option<ViewMut<'_>>,
    ) {
        let (width, turned, gains) = (fused_qkv.columns, heads.turned(), slice(gains));
        let normalise = |block: &mut [f32], statistics: &mut [f32]| {
            let mut before = vec![0.0; width];
            let rows = block.chunks_exact_mut(width).zip(statistics.chunks_exact_mut(turned));
            for (row, mut inverse) in rows {
                before.copy_from_slice(row);
                let mut start = 0;
                for (columns, gain) in widths(heads).into_iter().zip(gains.chunks(heads.head_dim)) {
                    let count = columns / heads.head_dim;
                    let (kept, rest) = std::mem::take(&mut inverse).split_at_mut(count);
                    let part = start..start + columns;
                    rms_rows(&before[part.clone()], gain, epsilon, &mut row[part], Some(kept));
                    (start, inverse) = (start + columns, rest);
                }
            }
        };
        let blocks = values_mut(fused_qkv).par_chunks_mut(ROWS * width);
        match statistics {
            Some(statistics) => blocks
                .zip(slice_mut(statistics).par_chunks_mut(ROWS * turned))
                .for_each(|(block, kept)| block.update(|block| normalise(block, kept))),
            None => blocks.for_each(|block| {
                block.update(|block| normalise(block, &mut vec![0.0; ROWS * turned]))
            }),
        }
    }

    fn head_norm_gradient(
        &self,
        d_fused_qkv: ViewMut<'_>,
        fused_qkv: View<'_>,
        gains: View<'_>,
        statistics: View<'_>,
        heads: &Heads,
        d_gains: ViewMut<'_>,
    ) {
        let (width, turned, head_dim) = (fused_qkv.columns, heads.turned(), heads.head_dim);
        let (gains, statistics, d_gains) = (slice(gains), slice(statistics), slice_mut(d_gains));
        let mut partial = vec![0.0; fused_qkv.rows.div_ceil(ROWS) * d_gains.len()];
        let block_gradient = |d: &mut [f32], x: &[f32], inverse: &[f32], sums: &mut [f32]| {
            let (mut dy, mut of_row) = (vec![0.0; width], vec![0.0; head_dim]);
            let rows = d.chunks_exact_mut(width).zip(x.chunks_exact(width));
            for ((dx, x), mut inverse) in rows.zip(inverse.chunks_exact(turned)) {
                dy.copy_from_slice(dx);
                let mut start = 0;
                let parts = gains.chunks(head_dim).zip(sums.chunks_mut(head_dim));
                for (columns, (gain, sums)) in widths(heads).into_iter().zip(parts) {
                    let (own, rest) = inverse.split_at(columns / head_dim);
                    let part = start..start + columns;
                    let (dy, x) = (&dy[part.clone()], &x[part.clone()]);
                    rms_rows_gradient(dy, x, gain, own, &mut dx[part], false, &mut of_row);
                    add(&of_row, sums);
                    (start, inverse) = (start + columns, rest);
                }
            }
        };
        values_mut(d_fused_qkv)
            .par_chunks_mut(ROWS * width)
            .zip(values(fused_qkv).par_chunks(ROWS * width))
            .zip(statistics.par_chunks(ROWS * turned).zip(partial.par_chunks_mut(d_gains.len())))
            .for_each(|((d, x), (inverse, sums))| {
                d.update(|d| block_gradient(d, &x.to_f32(), inverse, sums));
            });
        d_gains.fill(0.0);
        for sums in partial.chunks_exact(d_gains.len()) {
            add(sums, d_gains);
        }
    }
}
