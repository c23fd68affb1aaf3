//! Embedding. The gradient has blocks for every id that occurs, which add its rows in a fixed
//! order.

use super::Cuda;
use super::elementwise::threads;
use super::kernels::EMBED;
use super::memory::{dense, wide};
use crate::ops::embed::EmbedKernels;
use crate::tensor::{View, ViewMut};

/// `EMBED_WARPS` of `embed.cu`.
const EMBED_WARPS: u32 = 4;

/// Ids that occur, in ascending order, where the rows of each begin, and the rows, each id's in
/// their own order.
struct Occurrences {
    ids: Vec<u32>,
    offsets: Vec<u32>,
    rows: Vec<u32>,
}

impl Occurrences {
    fn of(ids: &[u32], padding: Option<u32>) -> Self {
        let mut rows: Vec<u32> =
            (0..ids.len() as u32).filter(|&row| Some(ids[row as usize]) != padding).collect();
        rows.sort_by_key(|&row| (ids[row as usize], row));
        let mut occurrences = Self { ids: Vec::new(), offsets: vec![0], rows: Vec::new() };
        for group in rows.chunk_by(|&a, &b| ids[a as usize] == ids[b as usize]) {
            occurrences.ids.push(ids[group[0] as usize]);
            occurrences.rows.extend(group);
            occurrences.offsets.push(occurrences.rows.len() as u32);
        }
        occurrences
    }
}

impl EmbedKernels for Cuda {
    fn embed(&self, table: View<'_>, ids: &[u32], mut output: ViewMut<'_>, accumulate: bool) {
        let columns = table.columns;
        let wide = wide(&[table]) & output.offset.is_multiple_of(4) as u32;
        let ids_there = self.upload(ids);
        let output = self.values_mut(&mut output);
        let launch = self
            .kernels
            .get(EMBED, "embed")
            .with(dense(table))
            .with(ids_there.pointer())
            .with(output);
        let launch = launch.with(columns as u32).with(accumulate as u32).with(wide);
        // Safety: `embed(table, ids, output, columns, add, wide)`, a block for each token; ids are
        // within the table (checked by the caller).
        unsafe { launch.run(ids.len(), threads(columns)) }
    }

    fn embed_gradient(
        &self,
        d_output: View<'_>,
        ids: &[u32],
        padding: Option<u32>,
        mut d_table: ViewMut<'_>,
    ) {
        let columns = d_output.columns;
        let wide = wide(&[d_output]) & d_table.offset.is_multiple_of(4) as u32;
        // Sorting takes the host a while.
        self.context.submit();
        let occurrences = Occurrences::of(ids, padding);
        let [ids, offsets, rows] = [&occurrences.ids, &occurrences.offsets, &occurrences.rows]
            .map(|values| self.upload(values));
        let launch =
            self.kernels.get(EMBED, "embed_gradient").with(dense(d_output)).with(ids.pointer());
        let launch =
            launch.with(offsets.pointer()).with(rows.pointer()).with(self.values_mut(&mut d_table));
        let tiles = columns.div_ceil(32 * if wide == 1 { 4 } else { 1 });
        // Safety: `embed_gradient(d_output, ids, offsets, rows, d_table, columns, wide)`; each
        // block has its own id and columns.
        unsafe {
            let launch = launch.with(columns as u64).with(wide);
            launch.run_grid((occurrences.ids.len(), tiles, 1), 32 * EMBED_WARPS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_by_id_in_order() {
        let occurrences = Occurrences::of(&[4, 0, 4, 2, 0, 4], Some(0));
        assert_eq!(occurrences.ids, [2, 4]);
        assert_eq!(occurrences.offsets, [0, 1, 4]);
        assert_eq!(occurrences.rows, [3, 0, 2, 5]);
        assert_eq!(Occurrences::of(&[], None).offsets, [0]);
    }
}
