//! Embedding.

use rayon::prelude::*;

use super::{Cpu, rows_per_task, slice, slice_mut, vectorised};
use crate::ops::embed::EmbedKernels;
use crate::tensor::{View, ViewMut};

vectorised! {
    fn add_row(from: &[f32], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }
}

impl EmbedKernels for Cpu {
    fn embed(&self, table: View<'_>, ids: &[u32], output: ViewMut<'_>, accumulate: bool) {
        let columns = table.columns;
        let table = slice(table);
        let rows = rows_per_task(columns);
        slice_mut(output).par_chunks_mut(rows * columns).zip(ids.par_chunks(rows)).for_each(
            |(output, ids)| {
                for (row, &id) in output.chunks_exact_mut(columns).zip(ids) {
                    let entry = &table[id as usize * columns..][..columns];
                    if accumulate { add_row(entry, row) } else { row.copy_from_slice(entry) }
                }
            },
        );
    }

    fn embed_gradient(
        &self,
        d_output: View<'_>,
        ids: &[u32],
        padding: Option<u32>,
        d_table: ViewMut<'_>,
    ) {
        // One thread, in the order of the tokens: a thousandth of a step, and nothing to keep
        // apart.
        let columns = d_output.columns;
        let d_table = slice_mut(d_table);
        for (row, &id) in slice(d_output).chunks_exact(columns).zip(ids) {
            if Some(id) != padding {
                add_row(row, &mut d_table[id as usize * columns..][..columns]);
            }
        }
    }
}
