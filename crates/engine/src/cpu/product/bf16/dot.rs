//! The microkernel of bf16 with `vdpbf16ps` (AVX512-BF16): a tile of sums in vector registers.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::microkernel::{Left, Microkernel, Target};
use super::super::{DEPTH, Matrix};
use super::dot_pack;
use super::pairs::{self, LANES};
use super::rounding::round;
use super::store::store_sums;
use crate::cpu::prefetch::prefetch;
use crate::cpu::values::Values;

/// Vectors of a panel.
const VECTORS: usize = 4;
/// Columns of a panel.
pub(super) const PANEL: usize = VECTORS * LANES;
/// Rows of a tile: with four vectors each, 24 of the 32 registers hold sums.
pub(super) const ROWS: usize = 6;

/// From this many steps on, what the sums are added to is prefetched.
const LONG: usize = 64;

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

    fn in_place<'a>(a: &Matrix<'a>) -> Option<&'a [u16]> {
        match a.values {
            Values::Bf16(values) if a.column_stride == 1 && a.columns.is_multiple_of(2) => {
                Some(values)
            }
            _ => None,
        }
    }

    type Session = ();

    fn session(self) {}

    fn pack_panel(self, b: Matrix<'_>, panel: usize, values: &mut [u16]) {
        // Safety: the processor has the instructions, of which `self` is proof.
        unsafe { dot_pack::pack_panel(b, panel, values) }
    }

    fn pack_rows(
        self,
        a: Matrix<'_>,
        rows: &Range<usize>,
        depths: &Range<usize>,
        packed: &mut [u16],
    ) {
        // Safety: the processor has the instructions, of which `self` is proof.
        unsafe { dot_pack::pack_rows(a, rows, depths, packed) }
    }

    unsafe fn tile(self, steps: usize, left: Left<u16>, panel: *const u16, target: Target) {
        macro_rules! by_shape {
            ($($rows:literal)*) => {
                match (target.rows, target.columns.div_ceil(LANES)) {
                    $(
                        ($rows, 1) => fixed_tile::<$rows, 1>(steps, left, panel, target),
                        ($rows, 2) => fixed_tile::<$rows, 2>(steps, left, panel, target),
                        ($rows, 3) => fixed_tile::<$rows, 3>(steps, left, panel, target),
                        ($rows, 4) => fixed_tile::<$rows, 4>(steps, left, panel, target),
                    )*
                    _ => {}
                }
            };
        }
        // Safety: passed on from the caller; the processor has the instructions, of which `self` is
        // proof.
        unsafe { by_shape!(6 5 4 3 2 1) }
    }
}

/// A tile of `ROW_COUNT` rows and `VECTOR_COUNT` vectors in each. Both are constants so that the
/// sums stay in registers: with a number of rows that is known at run time only, they were stored
/// at every step.
///
/// # Safety
/// As for `Microkernel::tile`, with `ROW_COUNT == target.rows` and `VECTOR_COUNT` vectors covering
/// `target.columns`; the processor has AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn fixed_tile<const ROW_COUNT: usize, const VECTOR_COUNT: usize>(
    steps: usize,
    left: Left<u16>,
    panel: *const u16,
    target: Target,
) {
    if steps >= LONG && !target.base.is_null() {
        for row in 0..ROW_COUNT {
            prefetch(target.base.wrapping_add(row * target.base_row_stride), VECTOR_COUNT * LANES);
        }
    }
    let mut sums = [[_mm512_setzero_ps(); VECTOR_COUNT]; ROW_COUNT];
    let (mut left_at, mut panel_at) = (left.start, panel);
    for _ in 0..steps {
        let mut columns = [_mm512_setzero_si512(); VECTOR_COUNT];
        for (vector, column) in columns.iter_mut().enumerate() {
            // Safety: within the panel.
            *column = unsafe { _mm512_loadu_si512(panel_at.add(vector * 2 * LANES).cast()) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // Safety: the caller promises every row at every step; the types are 512 bits without a
            // meaning of their own.
            unsafe {
                let pair = left_at.add(row * left.row_stride).cast::<i32>().read_unaligned();
                let pair = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    let column = std::mem::transmute::<__m512i, __m512bh>(column);
                    *sum = _mm512_dpbf16_ps(*sum, pair, column);
                }
            }
        }
        left_at = left_at.wrapping_add(left.step_stride);
        panel_at = panel_at.wrapping_add(2 * PANEL);
    }
    for (row, sums) in sums.iter().enumerate() {
        for (vector, sum) in sums.iter().enumerate() {
            // Safety: passed on; the row and the columns are the target's.
            unsafe { store_sums(&target, row, vector * LANES, *sum) };
        }
    }
}
