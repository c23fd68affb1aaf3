//! Products of bf16 values in plain Rust, to the bits of AMX tiles: for processors without such
//! instructions, and the reference of those that have them.
//!
//! `tdpbf16ps` (Intel's Software Developer's Manual, volume 2) takes 32 values of the inner
//! dimension at a time: the 16 even ones and the 16 odd ones are two chains of fused
//! multiply-adds, whose sum is added to what the tile holds. Every result is rounded to the
//! nearest even f32, denormal operands count as zero and denormal results become zero.
//!
//! [`PortableSplit`] takes each f32 as the sum of two bf16, in three products: high with high, low
//! with high, high with low.

use std::ops::Range;

use super::super::microkernel::{Left, Microkernel, Target};
use super::super::pack::{panel_size, tile_size};
use super::super::{DEPTH, Matrix};
use super::rounding::{rest, round, widen};
use crate::cpu::vectorised;

/// Values of the inner dimension in a step.
const GROUP: usize = 32;
/// Columns of a panel.
const PANEL: usize = 16;
/// Rows of a tile.
const TILE_ROWS: usize = 16;

/// Products of bf16 values by plain loops.
#[derive(Clone, Copy)]
pub(in crate::cpu::product) struct Portable;

impl Microkernel for Portable {
    type Element = u16;
    const TILE_ROWS: usize = TILE_ROWS;
    const PANEL: usize = PANEL;
    const LANES: usize = PANEL;
    const GROUP: usize = GROUP;
    const DEPTH: usize = DEPTH;

    fn element(value: f32) -> u16 {
        round(value)
    }

    fn in_place<'a>(_: &Matrix<'a>) -> Option<&'a [u16]> {
        None
    }

    type Session = ();

    fn session(self) {}

    fn pack_panel(self, b: Matrix<'_>, panel: usize, values: &mut [u16]) {
        pack_pairs::<Self>(b, panel, &[round], values);
    }

    fn pack_rows(
        self,
        a: Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
        packed: &mut [u16],
    ) {
        pack_groups::<Self>(a, rows, depths, &[round], packed);
    }

    unsafe fn tile(self, steps: usize, left: Left<u16>, panel: *const u16, target: Target) {
        // Safety: passed on.
        unsafe { tile(steps, &[(0, 0)], 1, left, panel, target) }
    }
}

/// Products of f32 as three products of bf16, by plain loops.
#[derive(Clone, Copy)]
pub(in crate::cpu::product) struct PortableSplit;

impl Microkernel for PortableSplit {
    /// A high and a low half; in memory the high halves of a step come before the low ones.
    type Element = u32;
    const TILE_ROWS: usize = TILE_ROWS;
    const PANEL: usize = PANEL;
    const LANES: usize = PANEL;
    const GROUP: usize = GROUP;
    const DEPTH: usize = SPLIT_DEPTH;

    fn element(_: f32) -> u32 {
        unreachable!("halves are packed apart")
    }

    fn in_place<'a>(_: &Matrix<'a>) -> Option<&'a [u32]> {
        None
    }

    type Session = ();

    fn session(self) {}

    fn pack_panel(self, b: Matrix<'_>, panel: usize, values: &mut [u32]) {
        pack_pairs::<Self>(b, panel, &[round, rest], bytemuck::cast_slice_mut(values));
    }

    fn pack_rows(
        self,
        a: Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
        packed: &mut [u32],
    ) {
        pack_groups::<Self>(a, rows, depths, &[round, rest], bytemuck::cast_slice_mut(packed));
    }

    unsafe fn tile(self, steps: usize, left: Left<u32>, panel: *const u32, target: Target) {
        let left = Left {
            start: left.start.cast(),
            row_stride: left.row_stride,
            step_stride: 2 * left.step_stride,
        };
        // Safety: passed on.
        unsafe { tile(steps, &[(0, 0), (1, 0), (0, 1)], 2, left, panel.cast(), target) }
    }
}

/// Values of the inner dimension that split products sum before the sums are stored.
pub(super) const SPLIT_DEPTH: usize = DEPTH / 2;

/// One tile of the output: of each step the products of the left half and the right half of each
/// pair in `products`, where a step holds `parts` halves.
///
/// # Safety
/// As for `Microkernel::tile`.
unsafe fn tile(
    steps: usize,
    products: &[(usize, usize)],
    parts: usize,
    left: Left<u16>,
    panel: *const u16,
    target: Target,
) {
    const STEP: usize = PANEL * GROUP;
    // Safety: the caller promises `steps` steps of the panel.
    let panel = unsafe { std::slice::from_raw_parts(panel, steps * parts * STEP) };
    for row in 0..target.rows {
        let mut sums = [0.0; PANEL];
        for step in 0..steps {
            for (of_left, of_right) in products {
                let start = left.start.wrapping_add(
                    row * left.row_stride + step * left.step_stride + of_left * TILE_ROWS * GROUP,
                );
                // Safety: the caller promises every step of every row.
                let values = unsafe { std::slice::from_raw_parts(start, GROUP) };
                let columns = &panel[(step * parts + of_right) * STEP..][..STEP];
                add_step(values, columns, &mut sums);
            }
        }
        // Safety: passed on; the row is one of the target's.
        unsafe { target.write_row(row, &sums) };
    }
}

/// Zero for a denormal number.
#[inline(always)]
fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0f32.copysign(value) } else { value }
}

vectorised! {
    /// Adds a step to the sums of a row: what one `tdpbf16ps` adds. `columns` are `[16 pairs,
    /// PANEL, 2]`.
    fn add_step(values: &[u16], columns: &[u16], sums: &mut [f32; PANEL]) {
        let (mut even, mut odd) = ([0.0f32; PANEL], [0.0f32; PANEL]);
        for (pair, columns) in values.chunks_exact(2).zip(columns.chunks_exact(2 * PANEL)) {
            let (first, second) = (flushed(widen(pair[0])), flushed(widen(pair[1])));
            for column in 0..PANEL {
                let (b0, b1) = (widen(columns[2 * column]), widen(columns[2 * column + 1]));
                even[column] = flushed(first.mul_add(flushed(b0), even[column]));
                odd[column] = flushed(second.mul_add(flushed(b1), odd[column]));
            }
        }
        for ((sum, even), odd) in sums.iter_mut().zip(even).zip(odd) {
            *sum = flushed(*sum + flushed(even + odd));
        }
    }
}

/// What is packed of a value: itself, rounded, or a half of it.
pub(super) type Part = fn(f32) -> u16;

/// Packs a panel into steps, each of `[parts, blocks of 16 columns, GROUP / 2, 16 columns, 2]`.
pub(super) fn pack_pairs<K: Microkernel>(
    b: Matrix<'_>,
    panel: usize,
    parts: &[Part],
    values: &mut [u16],
) {
    const COLUMNS: usize = 16;
    let step_size = K::PANEL * GROUP;
    let size = panel_size::<K>(b.rows) * parts.len();
    for (index, value) in values[..size].iter_mut().enumerate() {
        let (step, within) = (index / (parts.len() * step_size), index % (parts.len() * step_size));
        let (part, within) = (within / step_size, within % step_size);
        let (block, within) = (within / (COLUMNS * GROUP), within % (COLUMNS * GROUP));
        let (pair, within) = (within / (2 * COLUMNS), within % (2 * COLUMNS));
        let row = step * GROUP + 2 * pair + within % 2;
        let column = panel * K::PANEL + block * COLUMNS + within / 2;
        *value = b.get(row, column).map_or(0, parts[part]);
    }
}

/// Packs tiles of the left-hand side into steps of `[parts, TILE_ROWS, GROUP]`.
pub(super) fn pack_groups<K: Microkernel>(
    a: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    parts: &[Part],
    packed: &mut [u16],
) {
    let step_size = K::TILE_ROWS * GROUP;
    let steps = depths.len().div_ceil(GROUP);
    for (tile, packed) in packed.chunks_exact_mut(tile_size::<K>() * parts.len()).enumerate() {
        for (index, value) in packed[..steps * parts.len() * step_size].iter_mut().enumerate() {
            let (step, within) =
                (index / (parts.len() * step_size), index % (parts.len() * step_size));
            let (part, within) = (within / step_size, within % step_size);
            let row = rows.start + tile * K::TILE_ROWS + within / GROUP;
            let depth = depths.start + step * GROUP + within % GROUP;
            let present = row < rows.end && depth < depths.end;
            *value = a.get(row, depth).filter(|_| present).map_or(0, parts[part]);
        }
    }
}
