//! Mixtures of states.

use super::Cuda;
use super::elementwise::blocks;
use super::kernels::{BLOCK, MIXTURE};
use super::memory::{Scratch, Values, dense};
use crate::fault::{Fault, raise};
use crate::ops::mixture::MixtureKernels;
use crate::tensor::{View, ViewMut};

/// Values whose products are added together: fixed, so that sums do not depend on the GPU's size.
const VALUES: usize = 8192;

/// The most states of a mixture, as in `mixture.cu`.
const MOST_STATES: usize = 256;

impl Cuda {
    /// Where the states are, on the GPU.
    fn list(&self, states: &[View<'_>]) -> Scratch<'_> {
        if states.len() > MOST_STATES {
            let what = format!(
                "a layer mixes {} states, and {MOST_STATES} are the most that its kernels take",
                states.len()
            );
            raise(Fault::Unsupported { device: self.context.label(), what })
        }
        let list: Vec<u64> = states.iter().flat_map(|state| dense(*state).words()).collect();
        self.upload(&list)
    }
}

impl MixtureKernels for Cuda {
    fn mixture(
        &self,
        states: &[View<'_>],
        weights: View<'_>,
        by_softmax: bool,
        mut output: ViewMut<'_>,
    ) {
        let (count, list) = (output.rows * output.columns, self.list(states));
        let launch = self.kernels.get(MIXTURE, "mixture").with(list.pointer());
        let launch = launch.with(dense(weights)).with(self.values_mut(&mut output));
        let launch = launch.with(count as u64).with(states.len() as u32).with(by_softmax as u32);
        // Safety: `mixture(list, weights, output, count, states, by_softmax)`; all states hold
        // `count` values.
        unsafe { launch.run(blocks(count), BLOCK) }
    }

    fn mixture_state_gradient(
        &self,
        d_output: View<'_>,
        weights: View<'_>,
        by_softmax: bool,
        index: usize,
        mut d_state: ViewMut<'_>,
        accumulate: bool,
    ) {
        let (count, states) = (d_output.rows * d_output.columns, weights.columns);
        let launch = self.kernels.get(MIXTURE, "mixture_state_gradient").with(dense(d_output));
        let launch = launch.with(dense(weights)).with(self.values_mut(&mut d_state));
        let launch = launch.with(count as u64).with(states as u32).with(by_softmax as u32);
        // Safety: `mixture_state_gradient(d_output, weights, d_state, count, states, by_softmax,
        // index, accumulate)`.
        unsafe {
            let launch = launch.with(index as u32).with(accumulate as u32);
            launch.run(blocks(count), BLOCK)
        }
    }

    fn mixture_weights_gradient(
        &self,
        d_output: View<'_>,
        states: &[View<'_>],
        weights: View<'_>,
        by_softmax: bool,
        mut d_weights: ViewMut<'_>,
    ) {
        let (count, list) = (d_output.rows * d_output.columns, self.list(states));
        let groups = count.div_ceil(VALUES);
        let sums = self.scratch_bytes(4 * groups * states.len());
        let launch = self.kernels.get(MIXTURE, "mixture_products").with(list.pointer());
        let launch = launch.with(dense(d_output)).with(sums.pointer()).with(count as u64);
        // Safety: `mixture_products(list, d_output, sums, count, per_block)`, a block for each
        // group and state.
        unsafe { launch.with(VALUES as u32).run_grid((groups, states.len(), 1), BLOCK) }
        let d_shares = self.scratch_bytes(4 * states.len());
        let to = Values::full(d_shares.pointer());
        self.add_rows(sums.pointer(), groups, states.len(), to, false);
        let launch = self.kernels.get(MIXTURE, "mixture_weights_gradient");
        let launch = launch.with(d_shares.pointer()).with(dense(weights));
        let launch = launch.with(self.values_mut(&mut d_weights)).with(states.len() as u32);
        // Safety: `mixture_weights_gradient(d_shares, weights, d_weights, states, by_softmax)`.
        unsafe { launch.with(by_softmax as u32).run(1, BLOCK) }
    }
}
