//! Embedding.

use rayon::prelude::*;

use super::elementwise::add;
use super::{Cpu, rows_per_task, values, values_mut};
use crate::ops::embed::EmbedKernels;
use crate::tensor::{View, ViewMut};

impl EmbedKernels for Cpu {
    fn embed(&self, table: View<'_>, ids: &[u32], output: ViewMut<'_>, accumulate: bool) {
        let columns = table.columns;
        let table = values(table);
        let rows = rows_per_task(columns);
        let entry = |id: u32| table.range(id as usize * columns..(id as usize + 1) * columns);
        values_mut(output).par_chunks_mut(rows * columns).zip(ids.par_chunks(rows)).for_each(
            |(output, ids)| match accumulate {
                true => output.update(|output| {
                    for (row, &id) in output.chunks_exact_mut(columns).zip(ids) {
                        add(&entry(id).to_f32(), row);
                    }
                }),
                false => output.write(|output| {
                    for (row, &id) in output.chunks_exact_mut(columns).zip(ids) {
                        entry(id).copy_to(row);
                    }
                }),
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
        let mut d_table = values_mut(d_table);
        let d_output = values(d_output);
        for (row, &id) in ids.iter().enumerate().filter(|(_, id)| Some(**id) != padding) {
            let from = d_output.range(row * columns..(row + 1) * columns).to_f32();
            let place = id as usize * columns..(id as usize + 1) * columns;
            d_table.reborrow().range(place).update(|to| add(&from, to));
        }
    }
}
