//! What a precision or a set of instructions must provide for products of its own: the innermost
//! loop and the layout of what it reads. Packing, threads and the walk over tiles
//! ([`packed`](super::packed)) are the same for all.

use bytemuck::Pod;

use std::ops::Range;

use super::Matrix;
use super::bf16::rounding::round;
use super::pack::{pack_columns, pack_panel, pack_rows};

/// The innermost loop of a matrix product: a tile of the output whose sums stay in registers.
///
/// A product is `[rows, depth] x [depth, columns]`. Its right-hand side is packed into panels of
/// `PANEL` columns, its left-hand side read in place or packed into tiles of `TILE_ROWS` rows. In
/// both, a *step* is `GROUP` consecutive values of the inner dimension: panels are `[steps, PANEL,
/// GROUP]`, tiles `[steps, TILE_ROWS, GROUP]`, unless a kernel orders the values of a step in
/// another way. Steps that the inner dimension does not fill are filled with zeros.
///
/// A value of this type is proof that the processor has the instructions.
pub(super) trait Microkernel: Copy + Send + Sync {
    /// A packed value. Its size divides that of an f32.
    type Element: Pod + Send + Sync;
    /// Rows of a tile.
    const TILE_ROWS: usize;
    /// Columns of a tile and of a packed panel.
    const PANEL: usize;
    /// Packed columns are filled with zeros up to a multiple of this, which divides `PANEL`.
    const LANES: usize;
    /// Values of the inner dimension in a step: 2 for instructions that take pairs of bf16.
    const GROUP: usize;
    /// Values of the inner dimension that a tile sums before it is stored, a multiple of `GROUP`. A
    /// block of this depth of a panel and of a task's rows stays in L2. The order of the sums, and
    /// so their bits, depend on it.
    const DEPTH: usize;

    /// The packed form of a value.
    fn element(value: f32) -> Self::Element;

    /// The values of a left-hand side that needs no packing: `tile` reads it with the strides of
    /// the matrix. Only where the inner dimension fills its last step, since rows in place have no
    /// zeros after them.
    fn in_place<'a>(a: &Matrix<'a>) -> Option<&'a [Self::Element]>;

    /// Packs one panel of the right-hand side; missing columns are zeros up to a multiple of
    /// `LANES`.
    fn pack_panel(self, b: Matrix<'_>, panel: usize, values: &mut [Self::Element]) {
        pack_panel(self, b, panel, values);
    }

    /// Packs rows of the left-hand side over a block of the inner dimension, tile after tile.
    fn pack_rows(
        self,
        a: Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
        packed: &mut [Self::Element],
    ) {
        pack_rows::<Self>(a, rows, depths, packed);
    }

    /// What a thread must hold while it computes tiles.
    type Session;

    /// Prepares the calling thread for `tile`.
    fn session(self) -> Self::Session;

    /// Packs a panel whose columns are contiguous: column `c` of at most `PANEL` is the first
    /// `depth` of `columns[c * stride..]`. A plain loop unless a kernel has a faster one.
    fn pack_columns(
        self,
        columns: &[f32],
        stride: usize,
        count: usize,
        depth: usize,
        panel: &mut [Self::Element],
    ) {
        pack_columns::<Self>(columns, stride, count, depth, panel);
    }

    /// `target = base + bias + scale * left * panel`, over `steps` steps of the inner dimension.
    ///
    /// # Safety
    /// The thread holds a `Session`. `panel` holds `steps * PANEL * GROUP` values, of which those
    /// beyond the target's columns, rounded up to a multiple of `LANES`, need not be set. Every
    /// addressed value of `left`, of the target's base and of its bias is readable; every value of
    /// `target` (at most `TILE_ROWS` rows and `PANEL` columns) is writable and used by no other
    /// thread.
    unsafe fn tile(
        self,
        steps: usize,
        left: Left<Self::Element>,
        panel: *const Self::Element,
        target: Target,
    );
}

/// The left-hand side of a tile: step `k` of row `r` begins at `start + r * row_stride + k *
/// step_stride`.
#[derive(Clone, Copy)]
pub(super) struct Left<E> {
    pub start: *const E,
    pub row_stride: usize,
    pub step_stride: usize,
}

/// Where a tile's results are stored: rows `row_stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub start: *mut f32,
    pub row_stride: usize,
    pub rows: usize,
    pub columns: usize,
    /// The same rows and columns of what the product is added to, which may be the target itself;
    /// null for zeros.
    pub base: *const f32,
    pub base_row_stride: usize,
    /// A row that is added to each row; null for none.
    pub bias: *const f32,
    pub scale: f32,
    /// Where the results are stored instead, rounded to bf16, in rows `rounded_row_stride` apart;
    /// null for `start`. Only kernels of bf16 are asked to.
    pub rounded: *mut u16,
    pub rounded_row_stride: usize,
}

impl Target {
    /// Stores a row of the result.
    ///
    /// # Safety
    /// As for [`Microkernel::tile`]; `row` is one of the target's rows, and `sums` holds a value
    /// for each of its columns.
    #[inline(always)]
    pub(super) unsafe fn write_row(&self, row: usize, sums: &[f32]) {
        for (column, &sum) in sums[..self.columns].iter().enumerate() {
            // Safety: promised by the caller.
            unsafe {
                let mut before = 0.0;
                if !self.base.is_null() {
                    before = *self.base.add(row * self.base_row_stride + column);
                }
                if !self.bias.is_null() {
                    before += *self.bias.add(column);
                }
                let value = self.scale.mul_add(sum, before);
                if self.rounded.is_null() {
                    *self.start.add(row * self.row_stride + column) = value;
                } else {
                    *self.rounded.add(row * self.rounded_row_stride + column) = round(value);
                }
            }
        }
    }
}
