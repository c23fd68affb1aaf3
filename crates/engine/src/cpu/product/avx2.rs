//! The microkernel of f32 with AVX2 and FMA: that of [`avx512`](super::avx512) with vectors of half
//! the size, to the same bits.

use std::arch::x86_64::*;

use super::microkernel::{Left, Microkernel, Target};
use super::{DEPTH, Matrix};

/// Values in a vector.
const LANES: usize = 8;
/// Columns of a tile.
const PANEL: usize = 2 * LANES;

/// Products of f32 values by AVX2 and FMA, which this processor has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The kernel, if this processor has its instructions.
    pub(super) fn detect() -> Option<Self> {
        let is_there = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma");
        is_there.then_some(Self(()))
    }
}

impl Microkernel for Avx2 {
    type Element = f32;
    /// With two vectors each, 12 of the 16 registers hold sums.
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
        // Safety: the processor has AVX2, of which `self` is proof; the columns were checked.
        unsafe { pack_transposed(columns.as_ptr(), stride, count, depth, panel) }
    }

    unsafe fn tile(self, steps: usize, left: Left<f32>, panel: *const f32, target: Target) {
        // Safety: passed on from the caller; the tile is at least as large as the target, and the
        // processor has AVX2 and FMA, of which `self` is proof.
        unsafe {
            match (target.rows, target.columns.div_ceil(LANES)) {
                (6, 2) => fixed_tile::<6, 2>(steps, left, panel, target),
                (rows, vectors) => partial_tile(rows, vectors, steps, left, panel, target),
            }
        }
    }
}

/// Tiles at the edges, by number of rows and of vectors.
///
/// # Safety
/// As for `tile`; the processor has AVX2 and FMA.
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
#[target_feature(enable = "avx2,fma")]
unsafe fn fixed_tile<const R: usize, const V: usize>(
    steps: usize,
    left: Left<f32>,
    panel: *const f32,
    target: Target,
) {
    let mut sums = [[_mm256_setzero_ps(); V]; R];
    let (mut left_at, mut panel_at) = (left.start, panel);
    for _ in 0..steps {
        let mut columns = [_mm256_setzero_ps(); V];
        for (vector, column) in columns.iter_mut().enumerate() {
            // Safety: within the panel.
            *column = unsafe { _mm256_loadu_ps(panel_at.add(vector * LANES)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // Safety: the caller promises every row at every step.
            let value = unsafe { _mm256_broadcast_ss(&*left_at.add(row * left.row_stride)) };
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = _mm256_fmadd_ps(value, column, *sum);
            }
        }
        left_at = left_at.wrapping_add(left.step_stride);
        panel_at = panel_at.wrapping_add(PANEL);
    }
    let scale = _mm256_set1_ps(target.scale);
    for (row, sums) in sums.iter().enumerate() {
        for (vector, sum) in sums.iter().enumerate() {
            let at = vector * LANES;
            let count = target.columns - at;
            // Safety: passed on; `count` columns of the target are left from `at` on.
            unsafe {
                let mut before = _mm256_setzero_ps();
                if !target.base.is_null() {
                    before = load(target.base.add(row * target.base_row_stride + at), count);
                }
                if !target.bias.is_null() {
                    before = _mm256_add_ps(before, load(target.bias.add(at), count));
                }
                let place = target.start.add(row * target.row_stride + at);
                store(place, count, _mm256_fmadd_ps(scale, *sum, before));
            }
        }
    }
}

/// The first `count` values, at most as many as a vector has.
///
/// # Safety
/// The processor has AVX2; the values are readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(from: *const f32, count: usize) -> __m256 {
    // Safety: promised by the caller. A whole vector needs no mask.
    unsafe {
        match count >= LANES {
            true => _mm256_loadu_ps(from),
            false => _mm256_maskload_ps(from, lanes(count)),
        }
    }
}

/// The same to store.
///
/// # Safety
/// The processor has AVX2; the values are writable and no other thread uses them.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(to: *mut f32, count: usize, values: __m256) {
    // Safety: promised by the caller.
    unsafe {
        match count >= LANES {
            true => _mm256_storeu_ps(to, values),
            false => _mm256_maskstore_ps(to, lanes(count), values),
        }
    }
}

/// A mask of the first `count` lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes(count: usize) -> __m256i {
    let count = _mm256_set1_epi32(count.min(LANES) as i32);
    _mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// Packs `depth` values of up to `PANEL` contiguous columns: column `c` begins at `start + c *
/// stride`. The last vector's missing columns become zeros; vectors beyond are left alone.
///
/// # Safety
/// The processor has AVX2; `depth` values of each of the `columns` columns are readable; `panel`
/// has `depth * PANEL` values.
#[target_feature(enable = "avx2")]
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
            let mut square = [_mm256_setzero_ps(); LANES];
            for (column, row) in square.iter_mut().enumerate().take(present) {
                // Safety: a column that is there, and only the steps that are there.
                *row = unsafe { load(start.add((first + column) * stride + at), steps) };
            }
            for (step, row) in transposed(square).into_iter().enumerate().take(steps) {
                // Safety: `(at + step) * PANEL + first + LANES <= depth * PANEL`, checked above.
                unsafe {
                    _mm256_storeu_ps(panel.as_mut_ptr().add((at + step) * PANEL + first), row)
                };
            }
        }
    }
}

/// Exchanges rows and columns of an 8 by 8 square.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(rows: [__m256; LANES]) -> [__m256; LANES] {
    let mut pairs = rows;
    for i in (0..LANES).step_by(2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    // Now half h of `fours[4 * q + j]` holds column 4 * h + j of rows 4 * q to 4 * q + 3.
    let mut fours = pairs;
    for q in (0..LANES).step_by(4) {
        let (a, b, c, d) = (pairs[q], pairs[q + 1], pairs[q + 2], pairs[q + 3]);
        fours[q] = _mm256_shuffle_ps::<0x44>(a, c);
        fours[q + 1] = _mm256_shuffle_ps::<0xEE>(a, c);
        fours[q + 2] = _mm256_shuffle_ps::<0x44>(b, d);
        fours[q + 3] = _mm256_shuffle_ps::<0xEE>(b, d);
    }
    let mut columns = fours;
    for j in 0..4 {
        columns[j] = _mm256_permute2f128_ps::<0x20>(fours[j], fours[4 + j]);
        columns[4 + j] = _mm256_permute2f128_ps::<0x31>(fours[j], fours[4 + j]);
    }
    columns
}
