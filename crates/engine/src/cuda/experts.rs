//! Layers of experts: what is around their products.

use super::Cuda;
use super::elementwise::threads;
use super::kernels::EXPERTS;
use super::memory::{Values, dense};
use crate::ops::experts::ExpertKernels;
use crate::tensor::{View, ViewMut};

impl ExpertKernels for Cuda {
    fn combine_experts(
        &self,
        outputs: View<'_>,
        places: &[u32],
        gates: &[f32],
        residual: Option<View<'_>>,
        mut output: ViewMut<'_>,
    ) {
        let (rows, columns) = (output.rows, output.columns);
        let (places, gates) = (self.upload(places), self.upload(gates));
        let launch = self.kernels.get(EXPERTS, "combine_experts").with(dense(outputs));
        let launch = launch.with(places.pointer()).with(gates.pointer());
        let launch = launch.with(residual.map_or(Values::full(0), dense));
        let launch = launch.with(self.values_mut(&mut output)).with(columns as u32);
        // Safety: `combine_experts(outputs, places, gates, residual, output, columns)`, a block for
        // each token.
        unsafe { launch.run(rows, threads(4 * columns)) }
    }

    fn combine_experts_gradient(
        &self,
        d_output: View<'_>,
        outputs: View<'_>,
        order: &[u32],
        gates: &[f32],
        mut d_outputs: ViewMut<'_>,
        d_gates: &mut [f32],
    ) {
        let (places, columns) = (order.len(), outputs.columns);
        let (order, gates) = (self.upload(order), self.upload(gates));
        let found = self.scratch_bytes(size_of_val(d_gates));
        let launch = self.kernels.get(EXPERTS, "combine_experts_gradient").with(dense(d_output));
        let launch = launch.with(dense(outputs)).with(order.pointer()).with(gates.pointer());
        let launch = launch.with(self.values_mut(&mut d_outputs)).with(found.pointer());
        // Safety: `combine_experts_gradient(d_output, outputs, order, gates, d_outputs, d_gates,
        // columns)`, a block for each place.
        unsafe { launch.with(columns as u32).run(places, threads(4 * columns)) }
        self.fetch(found.pointer(), d_gates);
    }
}
