//! The loops around a microkernel. The right-hand side is packed once, by all threads, into panels;
//! then each task takes some rows of the output and walks over the panels, a block of the inner
//! dimension at a time.
//!
//! Every value of the output is summed in the same order whatever the number of threads, and
//! whatever the number of rows and columns around it.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::bf16::rounding::widen;
use super::microkernel::{Left, Microkernel, Target};
use super::pack::{panel_size, steps, tile_size};
use super::scratch::Scratch;
use super::{Addend, Matrix, MatrixMut, Start, Workers};
use crate::cpu::vectorised;

/// From this many columns on, a task's rows of the output do not stay in L2 from one block of the
/// inner dimension to the next.
const WIDE: usize = 1024;
/// Up to this many blocks of the inner dimension, a task's rows of the left-hand side are read
/// again for each panel from no farther than L3.
const SHALLOW_BLOCKS: usize = 4;
/// Rows of a task, at most: a block of them fills about a third of L2.
const TASK_ROWS: usize = 192;
/// Values of a task's rows, at most, where the whole inner dimension is packed.
const TASK_VALUES: usize = 1 << 19;

/// The blocks of the inner dimension.
fn blocks<K: Microkernel>(depth: usize) -> impl Iterator<Item = Range<usize>> {
    (0..depth).step_by(K::DEPTH).map(move |start| start..(start + K::DEPTH).min(depth))
}

vectorised! {
    /// Widens rows of `columns` values, which are `stride` apart, into rows `panel` apart.
    ///
    /// # Safety
    /// The rows at `from` are readable and written by no other thread.
    unsafe fn widen_rows(
        from: *const u16,
        stride: usize,
        columns: usize,
        sums: &mut [f32],
        panel: usize,
    ) {
        for (row, sums) in sums.chunks_exact_mut(panel).enumerate() {
            // Safety: promised by the caller.
            let from = unsafe { std::slice::from_raw_parts(from.add(row * stride), columns) };
            for (sum, &from) in sums.iter_mut().zip(from) {
                *sum = widen(from);
            }
        }
    }
}

/// A right-hand side in panels, each `[steps, PANEL, GROUP]`.
pub(super) struct Packed<K: Microkernel> {
    kernel: K,
    panels: Scratch<K::Element>,
    depth: usize,
    columns: usize,
}

impl<K: Microkernel> Packed<K> {
    /// Packs a matrix that is not empty.
    pub(super) fn new(kernel: K, b: Matrix<'_>, workers: Workers) -> Self {
        let size = panel_size::<K>(b.rows);
        let mut panels = Scratch::new(b.columns.div_ceil(K::PANEL) * size);
        let pack = |(panel, values): (usize, &mut [K::Element])| {
            kernel.pack_panel(b, panel, values);
        };
        match workers {
            Workers::All => panels.values_mut().par_chunks_mut(size).enumerate().for_each(pack),
            Workers::One => panels.values_mut().chunks_mut(size).enumerate().for_each(pack),
        }
        Self { kernel, panels, depth: b.rows, columns: b.columns }
    }
}

/// `output = scale * a * b`, plus the addend; of `b` the first rows and columns, as many as fit.
pub(super) fn product<K: Microkernel>(
    output: MatrixMut<'_>,
    addend: Addend<'_>,
    a: Matrix<'_>,
    b: &Packed<K>,
    scale: f32,
    workers: Workers,
) {
    assert!(
        a.columns <= b.depth && output.columns <= b.columns,
        "the shape of a packed right-hand side"
    );
    let panels = output.columns.div_ceil(K::PANEL);
    let packed = b.panels.values();
    let rows = RowsProduct {
        kernel: b.kernel,
        output: &output,
        addend,
        a,
        packed,
        first_panel: 0,
        rounded: None,
        panel_size: panel_size::<K>(b.depth),
        scale,
    };
    let task_rows = match output.start {
        Start::F32(_) => TASK_ROWS,
        // All of the rows' inner dimension is packed at a time, unless it is read in place.
        Start::Bf16(_) => TASK_ROWS.min(TASK_VALUES / a.columns.max(1)).max(K::TILE_ROWS),
    };
    let (row_tasks, column_tasks) = match workers {
        Workers::All => split::<K>(output.rows, panels, task_rows),
        Workers::One => (1, 1),
    };
    let run = |task: usize| {
        let (row_task, column_task) = (task / column_tasks, task % column_tasks);
        let tiles = share(output.rows.div_ceil(K::TILE_ROWS), row_tasks, row_task);
        let rows_range = tiles.start * K::TILE_ROWS..(tiles.end * K::TILE_ROWS).min(output.rows);
        // Safety: the tasks' parts of the output do not overlap.
        unsafe { rows.compute(rows_range, share(panels, column_tasks, column_task)) }
    };
    match workers {
        Workers::All => (0..row_tasks * column_tasks).into_par_iter().for_each(run),
        Workers::One => run(0),
    }
}

/// `product` for few rows, to the same bits: each task packs a panel, multiplies by it and goes on
/// to the next.
pub(super) fn product_by_panels<K: Microkernel>(
    kernel: K,
    output: MatrixMut<'_>,
    addend: Addend<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    workers: Workers,
) {
    let left = LeftRows::new(kernel, a, 0..a.rows);
    let whole = RowsProduct {
        kernel,
        output: &output,
        addend,
        a,
        packed: &[],
        first_panel: 0,
        rounded: None,
        panel_size: panel_size::<K>(b.rows),
        scale,
    };
    let run = |panel: usize| {
        let _session = kernel.session();
        let mut packed = Scratch::new(panel_size::<K>(b.rows));
        kernel.pack_panel(b, panel, packed.values_mut());
        // Safety: no other task writes the columns of this panel.
        unsafe { whole.with_panel(panel, packed.values()).whole_rows(&left, &(panel..panel + 1)) };
    };
    let panels = b.columns.div_ceil(K::PANEL);
    match workers {
        Workers::All => (0..panels).into_par_iter().for_each(run),
        Workers::One => (0..panels).for_each(run),
    }
}

/// Rows of a left-hand side over the whole inner dimension.
struct LeftRows<'a, K: Microkernel> {
    rows: Range<usize>,
    blocks: Vec<Range<usize>>,
    tiles: Tiles<'a, K>,
}

/// The tiles of a left-hand side.
enum Tiles<'a, K: Microkernel> {
    /// The values of the matrix, which are read where they are.
    InPlace(&'a [K::Element], Matrix<'a>),
    /// Block after block, each tile after tile.
    Packed(Scratch<K::Element>),
}

impl<'a, K: Microkernel> LeftRows<'a, K> {
    /// The rows in place where the kernel can read them so, otherwise packed.
    fn new(kernel: K, a: Matrix<'a>, rows: Range<usize>) -> Self {
        let mut blocks: Vec<_> = blocks::<K>(a.columns).collect();
        if blocks.is_empty() {
            // The sums of no terms are zeros.
            blocks.push(0..0);
        }
        if let Some(values) = K::in_place(&a) {
            return Self { rows, blocks, tiles: Tiles::InPlace(values, a) };
        }
        let size = packed_size::<K>(&rows);
        let mut tiles = Scratch::new(blocks.len() * size);
        for (depths, packed) in blocks.iter().zip(tiles.values_mut().chunks_exact_mut(size)) {
            kernel.pack_rows(a, &rows, depths, packed);
        }
        Self { rows, blocks, tiles: Tiles::Packed(tiles) }
    }

    /// The blocks of the inner dimension, each with its tiles.
    fn blocks(&self) -> impl Iterator<Item = (&Range<usize>, LeftBlock<K>)> {
        self.blocks.iter().enumerate().map(|(index, depths)| {
            let block = match &self.tiles {
                Tiles::InPlace(values, a) => LeftBlock::in_place(values, a, &self.rows, depths),
                Tiles::Packed(tiles) => {
                    LeftBlock::packed(&tiles.values()[index * packed_size::<K>(&self.rows)..])
                }
            };
            (depths, block)
        })
    }
}

/// Values of the packed tiles of some rows over a block of the inner dimension.
fn packed_size<K: Microkernel>(rows: &Range<usize>) -> usize {
    rows.len().div_ceil(K::TILE_ROWS) * tile_size::<K>()
}

/// The tiles of some rows of a left-hand side over a block of the inner dimension.
#[derive(Clone, Copy)]
struct LeftBlock<K: Microkernel> {
    first: Left<K::Element>,
    /// Values from one tile to the next.
    tile_stride: usize,
}

impl<K: Microkernel> LeftBlock<K> {
    /// Packed tiles.
    fn packed(tiles: &[K::Element]) -> Self {
        let step_stride = K::TILE_ROWS * K::GROUP;
        let first = Left { start: tiles.as_ptr(), row_stride: K::GROUP, step_stride };
        Self { first, tile_stride: tile_size::<K>() }
    }

    /// Tiles of a matrix that is read where it is.
    fn in_place(
        values: &[K::Element],
        a: &Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
    ) -> Self {
        let start = rows.start * a.row_stride + depths.start * a.column_stride;
        let first = Left {
            start: values[start..].as_ptr(),
            row_stride: a.row_stride,
            step_stride: K::GROUP * a.column_stride,
        };
        Self { first, tile_stride: K::TILE_ROWS * a.row_stride }
    }

    fn tile(self, index: usize) -> Left<K::Element> {
        let start = self.first.start.wrapping_add(index * self.tile_stride);
        Left { start, ..self.first }
    }
}

/// From so many tiles a task on, rows alone are shared among tasks: every task that shares panels
/// packs the rows again.
const TASK_TILES: usize = 8;

/// How many tasks share the rows, and how many the panels: equal ones, several for each thread.
fn split<K: Microkernel>(rows: usize, panels: usize, task_rows: usize) -> (usize, usize) {
    let threads = rayon::current_num_threads();
    let enough = 4 * threads;
    let tiles = rows.div_ceil(K::TILE_ROWS);
    let fewest = if tiles >= enough * TASK_TILES { enough } else { 1 };
    let row_tasks = (rows.div_ceil(threads * task_rows) * threads).max(fewest).min(tiles);
    let column_tasks = if row_tasks >= enough { 1 } else { enough.div_ceil(row_tasks) };
    (row_tasks, column_tasks.min(panels))
}

/// The part of `count` things that falls to one of `tasks`.
fn share(count: usize, tasks: usize, task: usize) -> Range<usize> {
    count * task / tasks..count * (task + 1) / tasks
}

/// A product whose right-hand side is packed.
struct RowsProduct<'a, K: Microkernel> {
    kernel: K,
    output: &'a MatrixMut<'a>,
    addend: Addend<'a>,
    a: Matrix<'a>,
    /// Panel after panel, each `[steps, PANEL, GROUP]`.
    packed: &'a [K::Element],
    /// The panel of the right-hand side that `packed` begins with.
    first_panel: usize,
    /// Where complete sums go, rounded, in place of the output, and the distance of its rows.
    rounded: Option<(*mut u16, usize)>,
    /// Values from one panel to the next.
    panel_size: usize,
    scale: f32,
}

// Safety: the output's parts that tasks write do not overlap, and nothing else is written.
unsafe impl<K: Microkernel> Sync for RowsProduct<'_, K> {}

impl<'a, K: Microkernel> RowsProduct<'a, K> {
    /// This product where only one panel is packed.
    fn with_panel<'b>(&'b self, panel: usize, packed: &'b [K::Element]) -> RowsProduct<'b, K>
    where
        'a: 'b,
    {
        RowsProduct { packed, first_panel: panel, ..*self }
    }

    /// The output's rows of a range, in the columns of a range of panels.
    ///
    /// # Safety
    /// No other thread uses this part of the output.
    unsafe fn compute(&self, rows: Range<usize>, panels: Range<usize>) {
        let _session = self.kernel.session();
        if K::in_place(&self.a).is_some() || matches!(self.output.start, Start::Bf16(_)) {
            let left = LeftRows::new(self.kernel, self.a, rows);
            // Safety: passed on.
            return unsafe { self.whole_rows(&left, &panels) };
        }
        let mut scratch = Scratch::new(packed_size::<K>(&rows));
        for depths in blocks::<K>(self.a.columns) {
            self.kernel.pack_rows(self.a, &rows, &depths, scratch.values_mut());
            // Safety: passed on; the rows of every tile are packed.
            unsafe { self.block(&rows, &panels, &depths, LeftBlock::packed(scratch.values())) };
        }
    }

    /// The rows of a left-hand side in the columns of a range of panels. A wide output is finished
    /// panel by panel, a narrow one block by block: to the same bits, since each value is summed
    /// over the blocks in order either way.
    ///
    /// # Safety
    /// As for `compute`.
    unsafe fn whole_rows(&self, left: &LeftRows<'_, K>, panels: &Range<usize>) {
        let is_wide = panels.len() * K::PANEL > WIDE;
        let by_panel = match self.output.start {
            Start::F32(_) => is_wide && self.a.columns <= SHALLOW_BLOCKS * K::DEPTH,
            Start::Bf16(_) => is_wide,
        };
        let step = if by_panel { 1 } else { panels.len().max(1) };
        for first in panels.clone().step_by(step) {
            let panels = first..(first + step).min(panels.end);
            // Safety: passed on.
            unsafe {
                match self.output.start {
                    Start::Bf16(start) => self.rounded_rows(left, &panels, start),
                    Start::F32(_) => {
                        for (depths, tiles) in left.blocks() {
                            self.block(&left.rows, &panels, depths, tiles);
                        }
                    }
                }
            }
        }
    }

    /// `compute` for an output of bf16: sums are rounded when they are complete.
    ///
    /// # Safety
    /// As for `compute`; `start` is the output's.
    unsafe fn rounded_rows(&self, left: &LeftRows<'_, K>, panels: &Range<usize>, start: *mut u16) {
        let (rows, first, stride) = (&left.rows, panels.start * K::PANEL, self.output.row_stride);
        let width = panels.len() * K::PANEL;
        let is_added = matches!(self.addend, Addend::Output);
        let needs_sums = is_added || left.blocks.len() > 1;
        let mut sums = Scratch::new(if needs_sums { rows.len() * width } else { 0 });
        if is_added {
            let columns = (self.output.columns - first).min(width);
            let place = start.wrapping_add(rows.start * stride + first);
            // Safety: these rows and columns are the output's, which no other thread uses.
            unsafe { widen_rows(place, stride, columns, sums.values_mut(), width) };
        }
        let sums = sums.values_mut().as_mut_ptr();
        let sums = MatrixMut {
            values: PhantomData,
            start: Start::F32(sums.wrapping_sub(rows.start * width + first)),
            rows: rows.end,
            columns: self.output.columns,
            row_stride: width,
        };
        let mut into_sums = RowsProduct { output: &sums, ..*self };
        for (depths, tiles) in left.blocks() {
            if depths.end == self.a.columns {
                into_sums.rounded = Some((start, stride));
            }
            // Safety: the rows and the columns of these panels are in `sums`, which nothing else
            // uses, and in the output.
            unsafe { into_sums.block(rows, panels, depths, tiles) };
        }
    }

    /// One block of the inner dimension.
    ///
    /// # Safety
    /// As for `compute`; `left` holds the rows' tiles over the block.
    unsafe fn block(
        &self,
        rows: &Range<usize>,
        panels: &Range<usize>,
        depths: &Range<usize>,
        left: LeftBlock<K>,
    ) {
        let steps = steps::<K>(depths.len());
        for panel in panels.clone() {
            let panels_before = panel - self.first_panel;
            let start = panels_before * self.panel_size + depths.start * K::PANEL;
            let packed = &self.packed[start..][..panel_size::<K>(depths.len())];
            for (tile, row) in rows.clone().step_by(K::TILE_ROWS).enumerate() {
                let target = self.target(rows, row, panel * K::PANEL, depths.start > 0);
                // Safety: rows and columns are within the output and the left-hand side, whose
                // shapes agree.
                unsafe { self.kernel.tile(steps, left.tile(tile), packed.as_ptr(), target) };
            }
        }
    }

    /// The tile of the output that begins at a row and a column; `begun` where it already holds the
    /// sums of earlier blocks.
    fn target(&self, rows: &Range<usize>, row: usize, first: usize, begun: bool) -> Target {
        let (output, at) = (self.output, row * self.output.columns + first);
        let start = output.f32s().wrapping_add(row * output.row_stride + first);
        let nothing = std::ptr::null();
        let (base, base_row_stride, bias) = match self.addend {
            Addend::Output => (start.cast_const(), output.row_stride, nothing),
            _ if begun => (start.cast_const(), output.row_stride, nothing),
            Addend::Nothing => (nothing, 0, nothing),
            Addend::Rows { bias, residual } => (
                residual.map_or(nothing, |residual| residual[at..].as_ptr()),
                output.columns,
                bias.map_or(nothing, |bias| bias[first..].as_ptr()),
            ),
        };
        Target {
            start,
            row_stride: output.row_stride,
            rows: (rows.end - row).min(K::TILE_ROWS),
            columns: (output.columns - first).min(K::PANEL),
            base,
            base_row_stride,
            bias,
            scale: self.scale,
            rounded: self.rounded.map_or(std::ptr::null_mut(), |(start, stride)| {
                start.wrapping_add(row * stride + first)
            }),
            rounded_row_stride: self.rounded.map_or(0, |(_, stride)| stride),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bf16::portable::Portable;
    use super::*;

    #[test]
    fn every_task_has_rows_and_panels() {
        for threads in 1..6 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for rows in 1..2100 {
                for (panels, task_rows) in [(1, 16), (1, 192), (40, 17), (40, 192)] {
                    let (row_tasks, column_tasks) =
                        pool.install(|| split::<Portable>(rows, panels, task_rows));
                    let tiles = rows.div_ceil(Portable::TILE_ROWS);
                    assert!((1..=tiles).contains(&row_tasks), "{row_tasks} tasks of {rows} rows");
                    assert!((1..=panels).contains(&column_tasks), "{column_tasks} of {panels}");
                }
            }
        }
    }
}
