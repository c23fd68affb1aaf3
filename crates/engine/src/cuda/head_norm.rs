//! The norm of heads.

use super::Cuda;
use super::kernels::{BLOCK, HEAD_NORM};
use super::memory::dense;
use crate::ops::attention::Heads;
use crate::ops::head_norm::HeadNormKernels;
use crate::tensor::{View, ViewMut};

/// Heads whose sums for the gains are taken together: fixed, so that sums do not depend on the
/// GPU's size.
const HEADS: usize = 256;

/// Heads that a block takes, one to a warp.
const HEADS_PER_BLOCK: usize = BLOCK as usize / 32;

impl HeadNormKernels for Cuda {
    fn head_norm(
        &self,
        mut fused_qkv: ViewMut<'_>,
        gains: View<'_>,
        epsilon: f32,
        heads: &Heads,
        statistics: Option<ViewMut<'_>>,
    ) {
        let (rows, columns, turned) = (fused_qkv.rows, fused_qkv.columns, heads.turned());
        let statistics =
            statistics.map_or(0, |mut statistics| self.values_mut(&mut statistics).pointer);
        let launch = self.kernels.get(HEAD_NORM, "head_norm");
        let launch = launch.with(self.values_mut(&mut fused_qkv)).with(dense(gains)).with(epsilon);
        let launch = launch.with(statistics).with(rows as u64).with(columns as u32);
        let launch = launch.with(heads.head_dim as u32).with(heads.num_heads as u32);
        // Safety: `head_norm(fused_qkv, gains, epsilon, statistics, rows, columns, head_dim,
        // query_heads, heads)`.
        unsafe { launch.with(turned as u32).run((rows * turned).div_ceil(HEADS_PER_BLOCK), BLOCK) }
    }

    fn head_norm_gradient(
        &self,
        mut d_fused_qkv: ViewMut<'_>,
        fused_qkv: View<'_>,
        gains: View<'_>,
        statistics: View<'_>,
        heads: &Heads,
        mut d_gains: ViewMut<'_>,
    ) {
        let (rows, columns, turned) = (fused_qkv.rows, fused_qkv.columns, heads.turned());
        let (head_dim, statistics) = (heads.head_dim, dense(statistics).pointer);
        let gradient = self.values_mut(&mut d_fused_qkv);

        // The sums read the gradient of the output, which the other kernel replaces.
        let groups = (rows * heads.num_heads).div_ceil(HEADS);
        let sums = self.scratch_bytes(4 * groups * 2 * head_dim);
        let launch = self.kernels.get(HEAD_NORM, "head_norm_gain_sums");
        let launch = launch.with(gradient).with(dense(fused_qkv)).with(statistics);
        let launch = launch.with(sums.pointer()).with(rows as u64).with(columns as u32);
        let launch = launch.with(head_dim as u32).with(heads.num_heads as u32);
        let launch = launch.with(turned as u32).with(HEADS as u32);
        // Safety: `head_norm_gain_sums(d_output, input, statistics, sums, rows, columns, head_dim,
        // query_heads, heads, per_block)`; there are no more heads of keys than of queries.
        unsafe { launch.run_grid((groups, head_dim.div_ceil(32), 2), BLOCK) }
        let d_gains = self.values_mut(&mut d_gains);
        self.add_rows(sums.pointer(), groups, 2 * head_dim, d_gains, false);

        let launch = self.kernels.get(HEAD_NORM, "head_norm_gradient");
        let launch = launch.with(gradient).with(dense(fused_qkv)).with(dense(gains));
        let launch = launch.with(statistics).with(rows as u64).with(columns as u32);
        let launch = launch.with(head_dim as u32).with(heads.num_heads as u32);
        // Safety: `head_norm_gradient(d_fused_qkv, fused_qkv, gains, statistics, rows, columns,
        // head_dim, query_heads, heads)`.
        unsafe { launch.with(turned as u32).run((rows * turned).div_ceil(HEADS_PER_BLOCK), BLOCK) }
    }
}
