//! The loops around the tile. The right-hand side is packed once, by all threads, into panels of
//! `PANEL` columns; then each task takes some rows of the output and walks over the panels, a
//! stretch of the inner dimension at a time.
//!
//! Every value of the output is summed in the same order whatever the number of threads, and
//! whatever the number of rows and columns around it.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::avx512::{self, LANES, Left, PANEL, TILE_ROWS, Target};
use super::{Addend, DEPTH, Matrix, MatrixMut, Workers};
use crate::cpu::memory::Buffer;

/// From this many columns on, a task's rows of the output do not stay in the second cache from one
/// stretch of the inner dimension to the next.
const WIDE: usize = 1024;
/// Up to this inner dimension a task's rows of the left-hand side are read again for each panel
/// from no farther than the third cache.
const SHALLOW: usize = 4 * DEPTH;
/// Values from one packed tile to the next: a line more than they need, so that the tiles do not
/// compete for the same places in the cache.
const TILE_SIZE: usize = TILE_ROWS * DEPTH + 16;
/// How many steps of the inner dimension packing asks the memory for in advance: its reads are too
/// far apart for the processor to guess.
const AHEAD: usize = 8;
/// Rows of a task, at most: with `DEPTH` steps they fill about a third of the second cache.
const TASK_ROWS: usize = 192;

thread_local! {
    /// Memory for packing that this thread will use again. It stays until the thread ends, outside
    /// the device's pool: at most the largest right-hand sides that were in use at one time.
    static BUFFERS: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Memory on loan from this thread.
struct Loan {
    buffer: Option<Buffer>,
    length: usize,
}

impl Loan {
    /// Room for `length` values, whose contents are left over from before: the smallest buffer that
    /// is large enough.
    fn new(length: usize) -> Self {
        let kept = BUFFERS.with_borrow_mut(|buffers| {
            let fits = |index: &usize| buffers[*index].length() >= length;
            let best = (0..buffers.len()).filter(fits).min_by_key(|&index| buffers[index].length());
            // A buffer that is too small makes way for the larger one.
            let index = best.or_else(|| buffers.len().checked_sub(1))?;
            Some(buffers.swap_remove(index)).filter(|buffer| buffer.length() >= length)
        });
        Self { buffer: Some(kept.unwrap_or_else(|| Buffer::new(length))), length }
    }

    fn values(&self) -> &[f32] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer.values()[..self.length])
    }

    fn values_mut(&mut self) -> &mut [f32] {
        self.buffer.as_mut().map_or(&mut [], |buffer| &mut buffer.values_mut()[..self.length])
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        BUFFERS.with_borrow_mut(|buffers| buffers.extend(self.buffer.take()));
    }
}

/// The stretches of the inner dimension.
fn stretches(depth: usize) -> impl Iterator<Item = Range<usize>> {
    (0..depth).step_by(DEPTH).map(move |start| start..(start + DEPTH).min(depth))
}

/// A right-hand side in panels, each `[depth, PANEL]`.
pub struct Packed {
    loan: Loan,
    columns: usize,
}

impl Packed {
    /// # Safety
    /// The processor has AVX-512F.
    pub unsafe fn new(b: Matrix<'_>, workers: Workers) -> Self {
        let size = PANEL * b.rows;
        let mut loan = Loan::new(b.columns.div_ceil(PANEL) * size);
        let pack = |(panel, values): (usize, &mut [f32])| {
            // Safety: promised by the caller.
            unsafe { pack_panel(b, panel, values) }
        };
        match workers {
            Workers::All => loan.values_mut().par_chunks_mut(size).enumerate().for_each(pack),
            Workers::One => loan.values_mut().chunks_mut(size).enumerate().for_each(pack),
        }
        Self { loan, columns: b.columns }
    }
}

/// `output = scale * a * b`, plus the addend.
///
/// # Safety
/// The processor has AVX-512F.
pub unsafe fn product(
    output: MatrixMut<'_>,
    addend: Addend<'_>,
    a: Matrix<'_>,
    b: &Packed,
    scale: f32,
    workers: Workers,
) {
    let packed = b.loan.values();
    assert_eq!(
        packed.len(),
        b.columns.div_ceil(PANEL) * PANEL * a.columns,
        "a packed right-hand side's depth"
    );
    let panels = b.columns.div_ceil(PANEL);
    let rows = RowsProduct { output: &output, addend, a, packed, scale };
    let (row_tasks, column_tasks) = match workers {
        Workers::All => split(output.rows, panels),
        Workers::One => (1, 1),
    };
    let run = |task: usize| {
        let (row_task, column_task) = (task / column_tasks, task % column_tasks);
        let tiles = share(output.rows.div_ceil(TILE_ROWS), row_tasks, row_task);
        let rows_range = tiles.start * TILE_ROWS..(tiles.end * TILE_ROWS).min(output.rows);
        // Safety: promised by the caller; the tasks' parts of the output are apart.
        unsafe { rows.compute(rows_range, share(panels, column_tasks, column_task)) }
    };
    match workers {
        Workers::All => (0..row_tasks * column_tasks).into_par_iter().for_each(run),
        Workers::One => run(0),
    }
}

/// How many tasks share the rows, and how many the panels: equal ones, several for each thread.
fn split(rows: usize, panels: usize) -> (usize, usize) {
    let threads = rayon::current_num_threads();
    let row_tasks = rows.div_ceil(threads * TASK_ROWS) * threads;
    let row_tasks = row_tasks.min(rows.div_ceil(TILE_ROWS));
    let column_tasks = if row_tasks >= 4 * threads { 1 } else { (4 * threads).div_ceil(row_tasks) };
    (row_tasks, column_tasks.min(panels))
}

/// The part of `count` things that falls to one of `tasks`.
fn share(count: usize, tasks: usize, task: usize) -> Range<usize> {
    count * task / tasks..count * (task + 1) / tasks
}

/// Copies one panel of the right-hand side, `[depth, PANEL]`. The last vector's missing columns are
/// zeros; what lies beyond is never read.
///
/// # Safety
/// The processor has AVX-512F.
unsafe fn pack_panel(b: Matrix<'_>, panel: usize, values: &mut [f32]) {
    let first = panel * PANEL;
    let columns = (b.columns - first).min(PANEL);
    if b.row_stride == 1 {
        let start = b.values[first * b.column_stride..].as_ptr();
        // Safety: columns `first..first + columns` are the matrix's, each with `rows` values in a
        // row.
        return unsafe { avx512::pack_transposed(start, b.column_stride, columns, b.rows, values) };
    }
    assert_eq!(b.column_stride, 1, "a matrix whose rows or columns are contiguous");
    for (depth, row) in values.chunks_exact_mut(PANEL).enumerate() {
        avx512::fetch(&b.values[first..], (depth + AHEAD) * b.row_stride, columns);
        let (present, missing) = row[..columns.next_multiple_of(LANES)].split_at_mut(columns);
        present.copy_from_slice(&b.values[depth * b.row_stride + first..][..columns]);
        missing.fill(0.0);
    }
}

/// A product whose right-hand side is packed.
struct RowsProduct<'a> {
    output: &'a MatrixMut<'a>,
    addend: Addend<'a>,
    a: Matrix<'a>,
    /// Panel after panel, each `[depth, PANEL]`.
    packed: &'a [f32],
    scale: f32,
}

// Safety: tasks write apart from each other, and nothing else is written.
unsafe impl Sync for RowsProduct<'_> {}

impl RowsProduct<'_> {
    /// The output's rows of a range, in the columns of a range of panels.
    ///
    /// # Safety
    /// The processor has AVX-512F, and nobody else uses this part of the output.
    unsafe fn compute(&self, rows: Range<usize>, panels: Range<usize>) {
        if self.a.column_stride == 1 {
            // A wide output is finished panel by panel, a narrow one stretch by stretch: to the
            // same bits, since each value sees the stretches in order either way.
            let is_wide = panels.len() * PANEL > WIDE && self.a.columns <= SHALLOW;
            let step = if is_wide { 1 } else { panels.len() };
            for first in panels.clone().step_by(step.max(1)) {
                let panels = first..(first + step).min(panels.end);
                // Safety: passed on.
                unsafe { self.multiply_contiguous_rows(&rows, &panels) };
            }
            return;
        }
        let mut loan = Loan::new(rows.len().div_ceil(TILE_ROWS) * TILE_SIZE);
        for depths in stretches(self.a.columns) {
            self.pack_rows(&rows, &depths, loan.values_mut());
            let start = loan.values().as_ptr();
            let tiles = |tile: usize| Left {
                start: start.wrapping_add(tile * TILE_SIZE),
                row_stride: 1,
                depth_stride: TILE_ROWS,
            };
            // Safety: passed on; the rows of every tile are packed.
            unsafe { self.stretch(&rows, &panels, depths, tiles) };
        }
    }

    /// The rows and panels where the rows of the left-hand side are contiguous.
    ///
    /// # Safety
    /// As for `compute`.
    unsafe fn multiply_contiguous_rows(&self, rows: &Range<usize>, panels: &Range<usize>) {
        for depths in stretches(self.a.columns) {
            let start = self.a.values[rows.start * self.a.row_stride + depths.start..].as_ptr();
            let tiles = |tile: usize| Left {
                start: start.wrapping_add(tile * TILE_ROWS * self.a.row_stride),
                row_stride: self.a.row_stride,
                depth_stride: 1,
            };
            // Safety: passed on; rows of `a` are contiguous.
            unsafe { self.stretch(rows, panels, depths, tiles) };
        }
    }

    /// One stretch of the inner dimension.
    ///
    /// # Safety
    /// As for `compute`; `left` gives the rows of a tile over the stretch.
    unsafe fn stretch(
        &self,
        rows: &Range<usize>,
        panels: &Range<usize>,
        depths: Range<usize>,
        left: impl Fn(usize) -> Left,
    ) {
        for panel in panels.clone() {
            let first = panel * PANEL;
            let packed = &self.packed[first * self.a.columns + depths.start * PANEL..]
                [..depths.len() * PANEL];
            for (tile, row) in rows.clone().step_by(TILE_ROWS).enumerate() {
                let target = self.target(rows, row, first, depths.start > 0);
                // Safety: rows and columns lie within the output and the left-hand side, whose
                // shapes agree.
                unsafe { avx512::tile(depths.len(), left(tile), packed.as_ptr(), target) };
            }
        }
    }

    /// The tile of the output that begins at a row and a column; `begun` says whether it holds part
    /// of the sums already.
    fn target(&self, rows: &Range<usize>, row: usize, first: usize, begun: bool) -> Target {
        let (output, at) = (self.output, row * self.output.columns + first);
        let start = output.pointer.wrapping_add(row * output.row_stride + first);
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
            rows: (rows.end - row).min(TILE_ROWS),
            columns: (output.columns - first).min(PANEL),
            base,
            base_row_stride,
            bias,
            scale: self.scale,
        }
    }

    /// Packs rows whose values lie next to each other down the columns: tile after tile, each
    /// `[depth, TILE_ROWS]`.
    fn pack_rows(&self, rows: &Range<usize>, depths: &Range<usize>, packed: &mut [f32]) {
        assert_eq!(self.a.row_stride, 1, "a matrix whose rows or columns are contiguous");
        for (at, depth) in depths.clone().enumerate() {
            let first = &self.a.values[rows.start..];
            avx512::fetch(first, (depth + AHEAD) * self.a.column_stride, rows.len());
            let column = &first[depth * self.a.column_stride..][..rows.len()];
            let (tiles, rest) = column.as_chunks::<TILE_ROWS>();
            let mut places = packed.chunks_exact_mut(TILE_SIZE);
            for (values, place) in tiles.iter().zip(&mut places) {
                place[at * TILE_ROWS..][..TILE_ROWS].copy_from_slice(values);
            }
            if let Some(place) = places.next().filter(|_| !rest.is_empty()) {
                place[at * TILE_ROWS..][..rest.len()].copy_from_slice(rest);
            }
        }
    }
}
