//! Attention pooling.

use super::Cuda;
use super::kernels::{ATTENTION_POOLING, BLOCK};
use super::memory::dense;
use crate::ops::attention_pooling::AttentionPoolingKernels;
use crate::spans::Spans;
use crate::tensor::{View, ViewMut};

/// The first row of every sequence, and the one behind the last.
fn offsets(spans: &Spans) -> Vec<u32> {
    std::iter::once(0).chain(spans.iter().map(|rows| rows.end as u32)).collect()
}

impl AttentionPoolingKernels for Cuda {
    fn attention_pooling(
        &self,
        states: View<'_>,
        scores: View<'_>,
        spans: &Spans,
        mut weights: ViewMut<'_>,
        mut output: ViewMut<'_>,
    ) {
        let mut tables = self.tables();
        let offsets = tables.place(&offsets(spans));
        let launch = self.kernels.get(ATTENTION_POOLING, "attention_pooling").with(dense(states));
        let launch = launch.with(dense(scores)).with(offsets);
        let launch = launch.with(self.values_mut(&mut weights).pointer);
        let launch = launch.with(self.values_mut(&mut output)).with(states.columns as u32);
        // Safety: `attention_pooling(states, scores, offsets, weights, output, columns)`, a block
        // for each sequence.
        unsafe { launch.run(spans.count(), BLOCK) }
    }

    fn attention_pooling_gradient(
        &self,
        d_output: View<'_>,
        states: View<'_>,
        weights: View<'_>,
        spans: &Spans,
        mut d_states: ViewMut<'_>,
        mut d_scores: ViewMut<'_>,
    ) {
        // Written in f32, in which a block reads it again.
        let length = d_scores.rows;
        let found = self.scratch_bytes(4 * length);
        let mut tables = self.tables();
        let offsets = tables.place(&offsets(spans));
        let launch = self.kernels.get(ATTENTION_POOLING, "attention_pooling_gradient");
        let launch = launch.with(dense(d_output)).with(dense(states)).with(dense(weights).pointer);
        let launch = launch.with(offsets).with(self.values_mut(&mut d_states));
        let launch = launch.with(found.pointer()).with(states.columns as u32);
        // Safety: `attention_pooling_gradient(d_output, states, weights, offsets, d_states,
        // d_scores, columns)`, a block for each sequence.
        unsafe { launch.run(spans.count(), BLOCK) }
        let d_scores = self.values_mut(&mut d_scores);
        self.convert(found.values(), d_scores, length);
    }
}
