//! The router of a layer of experts: products of f32 values, whatever the device's others read.

use super::Cuda;
use super::elementwise::threads;
use super::kernels::{BLOCK, Mask, ROUTER};
use super::memory::dense;
use crate::ops::router::RouterKernels;
use crate::tape::DropoutMask;
use crate::tensor::{View, ViewMut};

/// Rows whose sums for the weights are taken together: fixed, so that sums do not depend on the
/// GPU's size.
const ROWS: usize = 128;

impl RouterKernels for Cuda {
    fn router(&self, input: View<'_>, weight: View<'_>, mut logits: ViewMut<'_>) {
        let rows = input.rows;
        let launch = self.kernels.get(ROUTER, "router").with(dense(input)).with(dense(weight));
        let launch = launch.with(self.values_mut(&mut logits)).with(rows as u64);
        let launch = launch.with(input.columns as u32).with(weight.rows as u32);
        // Safety: `router(input, weight, logits, rows, columns, experts)`, a warp for each row.
        unsafe { launch.run((32 * rows).div_ceil(BLOCK as usize), BLOCK) }
    }

    fn router_input_gradient(
        &self,
        d_logits: View<'_>,
        weight: View<'_>,
        mut d_input: ViewMut<'_>,
        accumulate: bool,
    ) {
        let (rows, columns) = (d_logits.rows, weight.columns);
        let launch = self.kernels.get(ROUTER, "router_input_gradient").with(dense(d_logits));
        let launch = launch.with(dense(weight)).with(self.values_mut(&mut d_input));
        let launch = launch.with(columns as u32).with(weight.rows as u32).with(accumulate as u32);
        // Safety: `router_input_gradient(d_logits, weight, d_input, columns, experts,
        // accumulate)`, a block for each row.
        unsafe { launch.run(rows, threads(4 * columns)) }
    }

    fn router_weight_gradient(
        &self,
        d_logits: View<'_>,
        input: View<'_>,
        mut d_weight: ViewMut<'_>,
    ) {
        let (rows, columns, experts) = (input.rows, input.columns, d_logits.columns);
        let groups = rows.div_ceil(ROWS);
        let sums = self.scratch_bytes(4 * groups * experts * columns);
        let launch = self.kernels.get(ROUTER, "router_weight_sums").with(dense(d_logits));
        let launch = launch.with(dense(input)).with(sums.pointer()).with(rows as u64);
        let launch = launch.with(columns as u32).with(experts as u32).with(ROWS as u32);
        // Safety: `router_weight_sums(d_logits, input, sums, rows, columns, experts, per_block)`;
        // `sums` has a matrix for each group.
        unsafe { launch.run_grid((groups, columns.div_ceil(32), experts), BLOCK) }
        let d_weight = self.values_mut(&mut d_weight);
        self.add_rows(sums.pointer(), groups, experts * columns, d_weight, true);
    }

    fn jitter(
        &self,
        input: View<'_>,
        mask: DropoutMask,
        mut output: ViewMut<'_>,
        accumulate: bool,
    ) {
        let (rows, columns) = (output.rows, output.columns);
        let launch = self.kernels.get(ROUTER, "jitter").with(dense(input));
        let launch = launch.with(Mask::of(Some(mask))).with(self.values_mut(&mut output));
        // Safety: `jitter(input, mask, output, columns, accumulate)`, a block for each row.
        unsafe {
            let launch = launch.with(columns as u32).with(accumulate as u32);
            launch.run(rows, threads(4 * columns))
        }
    }
}
