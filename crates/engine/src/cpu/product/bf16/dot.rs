//! The microkernel of bf16 with `vdpbf16ps` (AVX512-BF16): a tile of sums in vector registers.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::microkernel::{Left, Microkernel, Target};
use super::super::pack::tile_size;
use super::super::{DEPTH, Matrix};
use super::pairs::{self, Half, LANES};
use super::rounding::round;

/// Vectors of a panel.
const VECTORS: usize = 4;
/// Columns of a panel.
const PANEL: usize = VECTORS * LANES;
/// Rows of a tile: with four vectors each, 24 of the 32 registers hold sums.
const ROWS: usize = 6;

/// Products of bf16 values by `vdpbf16ps`, which this processor has.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Dot(());

impl Dot {
    /// The kernel, if this processor has its instructions.
    pub(super) fn detect() -> Option<Self> {
        pairs::available().then_some(Self(()))
    }
}

impl Microkernel for Dot {
    type Element = u16;
    const TILE_ROWS: usize = ROWS;
    const PANEL: usize = PANEL;
    const LANES: usize = LANES;
    const GROUP: usize = 2;
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
        // Safety: the processor has the instructions, of which `self` is proof.
        unsafe { pack_panel(b, panel, values) }
    }

    fn pack_rows(
        self,
        a: Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
        packed: &mut [u16],
    ) {
        // Safety: the processor has the instructions, of which `self` is proof.
        unsafe { pack_rows(a, rows, depths, packed) }
    }

    unsafe fn tile(self, steps: usize, left: Left<u16>, panel: *const u16, target: Target) {
        // Safety: passed on from the caller; the processor has the instructions, of which `self` is
        // proof.
        unsafe { tile(steps, left, panel, target) }
    }
}

/// One tile of the output.
///
/// # Safety
/// As for `Microkernel::tile`; the processor has AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile(steps: usize, left: Left<u16>, panel: *const u16, target: Target) {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    for step in 0..steps {
        let at = panel.wrapping_add(step * 2 * PANEL);
        // Safety: within the panel; the types are 512 bits without a meaning of their own.
        let columns: [__m512bh; VECTORS] = std::array::from_fn(|vector| unsafe {
            std::mem::transmute(_mm512_loadu_si512(at.add(vector * 2 * LANES).cast()))
        });
        for (row, sums) in sums.iter_mut().enumerate() {
            let pair = left.start.wrapping_add(row * left.row_stride + step * left.step_stride);
            // Safety: a packed tile has all its rows; rows past the last hold values of an earlier
            // product, which reach no sum that is stored.
            let pair = unsafe {
                let pair = _mm512_set1_epi32(pair.cast::<i32>().read_unaligned());
                std::mem::transmute::<__m512i, __m512bh>(pair)
            };
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = _mm512_dpbf16_ps(*sum, pair, column);
            }
        }
    }
    let mut values = [0.0; PANEL];
    for (row, sums) in sums.iter().enumerate().take(target.rows) {
        for (vector, sum) in sums.iter().enumerate() {
            // Safety: `values` has room for four vectors.
            unsafe { _mm512_storeu_ps(values.as_mut_ptr().add(vector * LANES), *sum) };
        }
        // Safety: passed on; the row is one of the target's.
        unsafe { target.write_row(row, &values) };
    }
}

/// Packs one panel: `[pairs, PANEL, 2]`.
///
/// # Safety
/// The processor has AVX-512BW and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_panel(b: Matrix<'_>, panel: usize, values: &mut [u16]) {
    const PAIRS: usize = LANES;
    let mut tile = [0; 2 * LANES * LANES];
    let pairs_of_panel = values.len() / (2 * PANEL);
    for first_pair in (0..pairs_of_panel).step_by(PAIRS) {
        let depths = 2 * first_pair..(2 * (first_pair + PAIRS)).min(b.rows);
        for vector in 0..VECTORS {
            let column = panel * PANEL + vector * LANES;
            let columns = column.min(b.columns)..(column + LANES).min(b.columns);
            match b.row_stride {
                1 => pairs::along(b.transposed(), Half::High, &columns, &depths, &mut tile),
                _ => pairs::across(b, Half::High, &depths, &columns, &mut tile),
            }
            let rows = tile.as_chunks::<{ 2 * LANES }>().0;
            let pairs = first_pair..(first_pair + PAIRS).min(pairs_of_panel);
            for (pair, row) in pairs.zip(rows) {
                let place = pair * 2 * PANEL + vector * 2 * LANES;
                values[place..place + 2 * LANES].copy_from_slice(row);
            }
        }
    }
}

/// Packs tiles of up to 6 rows: `[pairs, 6 rows, 2]`.
///
/// # Safety
/// The processor has AVX-512BW and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_rows(a: Matrix<'_>, rows: &Range<usize>, depths: &Range<usize>, packed: &mut [u16]) {
    let mut square = [0; 2 * LANES * LANES];
    for (index, packed) in packed.chunks_exact_mut(tile_size::<Dot>()).enumerate() {
        let first = (rows.start + index * ROWS).min(rows.end);
        let rows = first..(first + ROWS).min(rows.end);
        for start in (depths.start..depths.end).step_by(2 * LANES) {
            let block = start..(start + 2 * LANES).min(depths.end);
            // Now `[16 rows, 32 depths]`, of which the first six rows count.
            match a.row_stride {
                1 => {
                    pairs::across_transposed(a.transposed(), Half::High, &block, &rows, &mut square)
                }
                _ => pairs::along_rows(a, Half::High, &rows, &block, &mut square),
            }
            let at = (start - depths.start) / 2 * ROWS;
            for pair in 0..block.len().div_ceil(2) {
                for row in 0..ROWS {
                    let place = 2 * (at + pair * ROWS + row);
                    let from = row * 2 * LANES + 2 * pair;
                    packed[place..place + 2].copy_from_slice(&square[from..from + 2]);
                }
            }
        }
    }
}
