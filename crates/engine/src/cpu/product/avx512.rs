//! The microkernel of f32 with AVX-512: a tile of the output that stays in registers while the
//! inner dimension runs by, and packing by transposing squares in registers.

use std::arch::x86_64::*;

use super::microkernel::{Left, Microkernel, Target};
use super::{DEPTH, Matrix};

/// Values in a vector.
const LANES: usize = 16;
/// Columns of a tile.
const PANEL: usize = 4 * LANES;

/// Products of f32 values by AVX-512F, which this processor has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The kernel, if this processor has its instructions.
    pub(super) fn detect() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Microkernel for Avx512 {
    type Element = f32;
    /// With four vectors each, 24 of the 32 registers hold sums.
    const TILE_ROWS: usize = 6;
    const PANEL: usize = PANEL;
    const LANES: usize = LANES;
    const GROUP: usize = 1;
    const DEPTH: usize = DEPTH;

    fn element(value: f32) -> f32 {
        value
    }

    fn in_place<'a>(a: &Matrix<'a>) -> Option<&'a [f32]> {
        (a.column_stride == 1).then(|| a.f32s())
    }

    type Session = ();

    fn session(self) {}

    fn pack_columns(
        self,
        columns: &[f32],
        stride: usize,
        count: usize,
        depth: usize,
        panel: &mut [f32],
    ) {
        assert!(
            count == 0 || (count - 1) * stride + depth <= columns.len(),
            "columns past their values' end"
        );
        // Safety: the processor has AVX-512F, of which `self` is proof; the columns were checked.
        unsafe { pack_transposed(columns.as_ptr(), stride, count, depth, panel) }
    }

    unsafe fn tile(self, steps: usize, left: Left<f32>, panel: *const f32, target: Target) {
        // Safety: passed on from the caller; the tile is at least as large as the target, and the
        // processor has AVX-512F, of which `self` is proof.
        unsafe {
            match (target.rows, target.columns.div_ceil(LANES)) {
                (6, 4) => fixed_tile::<6, 4>(steps, left, panel, target),
                (rows, vectors) => partial_tile(rows, vectors, steps, left, panel, target),
            }
        }
    }
}

/// Tiles at the edges, by number of rows and of vectors.
///
/// # Safety
/// As for `tile`; the processor has AVX-512F.
unsafe fn partial_tile(
    rows: usize,
    vectors: usize,
    steps: usize,
    left: Left<f32>,
    panel: *const f32,
    target: Target,
) {
    macro_rules! by_shape {
        ($($rows:literal)*) => {
            match (rows, vectors) {
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
    // Safety: passed on from the caller.
    unsafe { by_shape!(1 2 3 4 5 6) }
}

/// A tile of `R` rows and `V` vectors.
///
/// # Safety
/// As for `partial_tile`, with `R == target.rows` and `V` vectors covering `target.columns`.
#[target_feature(enable = "avx512f")]
unsafe fn fixed_tile<const R: usize, const V: usize>(
    steps: usize,
    left: Left<f32>,
    panel: *const f32,
    target: Target,
) {
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    let (mut left_at, mut panel_at) = (left.start, panel);
    for _ in 0..steps {
        let mut columns = [_mm512_setzero_ps(); V];
        for (vector, column) in columns.iter_mut().enumerate() {
            // Safety: within the panel.
            *column = unsafe { _mm512_loadu_ps(panel_at.add(vector * LANES)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // Safety: the caller promises every row at every step.
            let value = _mm512_set1_ps(unsafe { *left_at.add(row * left.row_stride) });
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = _mm512_fmadd_ps(value, column, *sum);
            }
        }
        left_at = left_at.wrapping_add(left.step_stride);
        panel_at = panel_at.wrapping_add(PANEL);
    }
    let scale = _mm512_set1_ps(target.scale);
    for (row, sums) in sums.iter().enumerate() {
        for (vector, sum) in sums.iter().enumerate() {
            let (at, mask) = (vector * LANES, lanes(target.columns - vector * LANES));
            // Safety: the mask leaves only columns of the target.
            unsafe {
                let mut before = _mm512_setzero_ps();
                if !target.base.is_null() {
                    before = _mm512_maskz_loadu_ps(
                        mask,
                        target.base.add(row * target.base_row_stride + at),
                    );
                }
                if !target.bias.is_null() {
                    before =
                        _mm512_add_ps(before, _mm512_maskz_loadu_ps(mask, target.bias.add(at)));
                }
                let place = target.start.add(row * target.row_stride + at);
                _mm512_mask_storeu_ps(place, mask, _mm512_fmadd_ps(scale, *sum, before));
            }
        }
    }
}

/// A mask of the first `count` lanes.
fn lanes(count: usize) -> __mmask16 {
    if count >= LANES { !0 } else { (1 << count) - 1 }
}

/// Packs `depth` values of up to `PANEL` contiguous columns: column `c` begins at `start + c *
/// stride`. The last vector's missing columns become zeros; vectors beyond are left alone.
///
/// # Safety
/// The processor has AVX-512F; `depth` values of each of the `columns` columns are readable;
/// `panel` has `depth * PANEL` values.
#[target_feature(enable = "avx512f")]
unsafe fn pack_transposed(
    start: *const f32,
    stride: usize,
    columns: usize,
    depth: usize,
    panel: &mut [f32],
) {
    assert!(panel.len() >= depth * PANEL && columns <= PANEL, "a panel's size");
    for first in (0..columns).step_by(LANES) {
        let present = (columns - first).min(LANES);
        for at in (0..depth).step_by(LANES) {
            let steps = (depth - at).min(LANES);
            let mut square = [_mm512_setzero_ps(); LANES];
            for (column, row) in square.iter_mut().enumerate().take(present) {
                // Safety: a column that is there, and only the steps that are there.
                *row = unsafe {
                    _mm512_maskz_loadu_ps(lanes(steps), start.add((first + column) * stride + at))
                };
            }
            for (step, row) in transposed(square).into_iter().enumerate().take(steps) {
                // Safety: `(at + step) * PANEL + first + LANES <= depth * PANEL`, checked above.
                unsafe {
                    _mm512_storeu_ps(panel.as_mut_ptr().add((at + step) * PANEL + first), row)
                };
            }
        }
    }
}

/// Exchanges rows and columns of a 16 by 16 square.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(rows: [__m512; LANES]) -> [__m512; LANES] {
    let mut pairs = rows;
    for i in (0..LANES).step_by(2) {
        pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    // Now lane group g of `fours[4 * q + j]` holds column 4 * g + j of rows 4 * q to 4 * q + 3.
    let mut fours = pairs;
    for q in (0..LANES).step_by(4) {
        let cast = |row| _mm512_castps_pd(row);
        let (a, b, c, d) =
            (cast(pairs[q]), cast(pairs[q + 1]), cast(pairs[q + 2]), cast(pairs[q + 3]));
        fours[q] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        fours[q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        fours[q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        fours[q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    let mut columns = fours;
    for j in 0..4 {
        let (a, b, c, d) = (fours[j], fours[4 + j], fours[8 + j], fours[12 + j]);
        let (ab_even, ab_odd) =
            (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b));
        let (cd_even, cd_odd) =
            (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xDD>(c, d));
        columns[j] = _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even);
        columns[4 + j] = _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd);
        columns[8 + j] = _mm512_shuffle_f32x4::<0xDD>(ab_even, cd_even);
        columns[12 + j] = _mm512_shuffle_f32x4::<0xDD>(ab_odd, cd_odd);
    }
    columns
}
