//! Products of bf16 values in plain Rust, to the bits of AMX tiles: for processors without such
//! instructions, and the reference of those that have them.
//!
//! `tdpbf16ps` (Intel's Software Developer's Manual, volume 2) takes 32 values of the inner
//! dimension at a time: the 16 even ones and the 16 odd ones are two chains of fused
//! multiply-adds, whose sum is added to what the tile holds. Every result is rounded to the
//! nearest even f32, denormal operands count as zero and denormal results become zero.

use std::ops::Range;

use super::super::microkernel::{Left, Microkernel, Target};
use super::super::pack::{panel_size, tile_size};
use super::super::{DEPTH, Matrix};
use super::rounding::{round, widen};
use crate::cpu::vectorised;

/// Values of the inner dimension in a step.
const GROUP: usize = 32;
/// Columns of a panel.
const PANEL: usize = 16;

/// Products of bf16 values by plain loops.
#[derive(Clone, Copy)]
pub(in crate::cpu::product) struct Portable;

impl Microkernel for Portable {
    type Element = u16;
    const TILE_ROWS: usize = 16;
    const PANEL: usize = PANEL;
    const LANES: usize = PANEL;
    const GROUP: usize = GROUP;
    const DEPTH: usize = DEPTH;

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn element(value: f32) -> u16 {
        round(value)
    }

    fn in_place<'a>(_: &Matrix<'a>) -> Option<&'a [u16]> {
        None
    }

    type Session = ();

    fn session(self) {}

    fn pack_panel(self, b: Matrix<'_>, panel: usize, values: &mut [u16]) {
        pack_pairs::<Self>(b, panel, values);
    }

    fn pack_rows(
        self,
        a: Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
        packed: &mut [u16],
    ) {
        pack_groups::<Self>(a, rows, depths, packed);
    }

    unsafe fn tile(self, steps: usize, left: Left<u16>, panel: *const u16, target: Target) {
        // Safety: the caller promises so many steps of the panel.
        let panel = unsafe { std::slice::from_raw_parts(panel, steps * PANEL * GROUP) };
        for row in 0..target.rows {
            let mut sums = [0.0; PANEL];
            for (step, columns) in panel.chunks_exact(PANEL * GROUP).enumerate() {
                let start =
                    left.start.wrapping_add(row * left.row_stride + step * left.step_stride);
                // Safety: the caller promises every step of every row.
                let values = unsafe { std::slice::from_raw_parts(start, GROUP) };
                add_step(values, columns, &mut sums);
            }
            // Safety: passed on; the row is one of the target's.
            unsafe { target.write_row(row, &sums) };
        }
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

/// Packs a panel into steps of `[GROUP / 2, 16 columns, 2]`, one such block for each 16 columns.
pub(super) fn pack_pairs<K: Microkernel<Element = u16>>(
    b: Matrix<'_>,
    panel: usize,
    values: &mut [u16],
) {
    const COLUMNS: usize = 16;
    let size = panel_size::<K>(b.rows);
    for (index, value) in values[..size].iter_mut().enumerate() {
        let (step, within) = (index / (K::PANEL * GROUP), index % (K::PANEL * GROUP));
        let (block, within) = (within / (COLUMNS * GROUP), within % (COLUMNS * GROUP));
        let (pair, within) = (within / (2 * COLUMNS), within % (2 * COLUMNS));
        let row = step * GROUP + 2 * pair + within % 2;
        let column = panel * K::PANEL + block * COLUMNS + within / 2;
        *value = b.get(row, column).map_or(0, round);
    }
}

/// Packs tiles of the left-hand side into steps of `[TILE_ROWS, GROUP]`.
pub(super) fn pack_groups<K: Microkernel<Element = u16>>(
    a: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    packed: &mut [u16],
) {
    for (tile, packed) in packed.chunks_exact_mut(tile_size::<K>()).enumerate() {
        let steps = depths.len().div_ceil(GROUP);
        for (index, value) in packed[..steps * K::TILE_ROWS * GROUP].iter_mut().enumerate() {
            let (step, within) = (index / (K::TILE_ROWS * GROUP), index % (K::TILE_ROWS * GROUP));
            let row = rows.start + tile * K::TILE_ROWS + within / GROUP;
            let depth = depths.start + step * GROUP + within % GROUP;
            let present = row < rows.end && depth < depths.end;
            *value = a.get(row, depth).filter(|_| present).map_or(0, round);
        }
    }
}
