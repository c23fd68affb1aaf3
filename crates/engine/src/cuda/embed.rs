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
        // Id and row as one number, which sorts faster than rows by their ids.
        let pairs = ids.iter().zip(0u64..).filter(|(id, _)| Some(**id) != padding);
        let mut pairs: Vec<u64> = pairs.map(|(&id, row)| u64::from(id) << 32 | row).collect();
        pairs.sort_unstable();
        let id = |pair: u64| (pair >> 32) as u32;
        let rows = pairs.iter().map(|&pair| pair as u32).collect();
        let mut occurrences = Self { ids: Vec::new(), offsets: vec![0], rows };
        for group in pairs.chunk_by(|&a, &b| id(a) == id(b)) {
            occurrences.ids.push(id(group[0]));
            let last = occurrences.offsets[occurrences.ids.len() - 1];
            occurrences.offsets.push(last + group.len() as u32);
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
