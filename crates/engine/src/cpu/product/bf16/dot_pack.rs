//! Packing for `vdpbf16ps`: panels `[pairs, PANEL, 2]` and tiles `[pairs, ROWS, 2]`.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::Matrix;
use super::super::pack::tile_size;
use super::dot::{Dot, PANEL, ROWS};
use super::pairs::{self, Half, LANES, Tile};
use crate::cpu::values::Values;

/// Values of the inner dimension in a square of pairs.
const DEPTHS: usize = 2 * LANES;
/// Rows that are packed together: those of a tile and two more, which are overwritten.
const EIGHT: usize = 8;
/// Values that are stored together: a pair of each of these rows.
const STORED: usize = 2 * EIGHT;

// What the last pair of a tile stores beyond it is in the line between tiles.
const _: () = assert!(ROWS <= EIGHT && tile_size::<Dot>() >= ROWS * super::super::DEPTH + STORED);

/// Packs one panel: `[pairs, PANEL, 2]`.
///
/// # Safety
/// The processor has AVX-512BW and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pack_panel(b: Matrix<'_>, panel: usize, values: &mut [u16]) {
    let mut tiles = [[0; DEPTHS * LANES]; 2];
    for (step, values) in values.chunks_mut(DEPTHS * PANEL).enumerate() {
        let depths = step * DEPTHS..((step + 1) * DEPTHS).min(b.rows);
        for half in 0..2 {
            let first = (panel * PANEL + half * DEPTHS).min(b.columns);
            let columns = first..(first + DEPTHS).min(b.columns);
            let middle = columns.end.min(first + LANES);
            match b.row_stride {
                1 => {
                    let rows = b.transposed();
                    pairs::along(rows, Half::High, &(first..middle), &depths, &mut tiles[0]);
                    pairs::along(rows, Half::High, &(middle..columns.end), &depths, &mut tiles[1]);
                }
                _ => pairs::across_twice(b, Half::High, &depths, &columns, &mut tiles),
            }
            let rows = tiles[0].as_chunks::<DEPTHS>().0.iter().zip(tiles[1].as_chunks::<DEPTHS>().0);
            for (pair, (left, right)) in values.chunks_exact_mut(2 * PANEL).zip(rows) {
                let place = &mut pair[half * PANEL..][..PANEL];
                let (to_left, to_right) = place.split_at_mut(DEPTHS);
                to_left.copy_from_slice(left);
                to_right.copy_from_slice(right);
            }
        }
    }
}

/// Packs tiles of up to 6 rows: `[pairs, 6 rows, 2]`.
///
/// # Safety
/// The processor has AVX-512BW, AVX-512VL and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn pack_rows(
    a: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    packed: &mut [u16],
) {
    if a.row_stride == 1 {
        // Safety: the processor has the instructions.
        return unsafe {
            match a.values {
                Values::F32(values) => pack_columns(values, a.column_stride, rows, depths, packed),
                Values::Bf16(values) => pack_columns(values, a.column_stride, rows, depths, packed),
            }
        };
    }
    for (tile, packed) in packed.chunks_exact_mut(tile_size::<Dot>()).enumerate() {
        let first = (rows.start + tile * ROWS).min(rows.end);
        pack_tile(a, &(first..(first + ROWS).min(rows.end)), depths, packed);
    }
}

/// Packs one tile of a matrix with contiguous rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn pack_tile(a: Matrix<'_>, rows: &Range<usize>, depths: &Range<usize>, packed: &mut [u16]) {
    let mut square: Tile = [0; DEPTHS * LANES];
    for (block, start) in depths.clone().step_by(2 * DEPTHS).enumerate() {
        let depths = start..(start + 2 * DEPTHS).min(depths.end);
        // Eight rows at 32 depths above the same rows at the next 32, and rows exchanged with
        // pairs.
        pairs::along_eights(a, Half::High, rows, &depths, &mut square);
        let squares = square.as_chunks::<STORED>().0;
        // The eight pairs of the first depths are every other chunk from the first on, those of
        // the second every other from the second on.
        let in_order = squares.iter().step_by(2).chain(squares.iter().skip(1).step_by(2));
        for (pair, eight) in in_order.take(depths.len().div_ceil(2)).enumerate() {
            let place = 2 * ROWS * (block * DEPTHS + pair);
            packed[place..place + STORED].copy_from_slice(eight);
        }
    }
}

/// What a matrix keeps, as bf16.
trait Kept: Copy {
    /// The first values of a row, up to 8: those of the mask, and zeros.
    ///
    /// # Safety
    /// The values of the mask are readable; the processor has AVX-512BW, VL and BF16.
    unsafe fn load_eight(row: *const Self, mask: __mmask8) -> __m128i;
}

impl Kept for f32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,avx512bf16")]
    unsafe fn load_eight(row: *const f32, mask: __mmask8) -> __m128i {
        // Safety: promised by the caller; both types are 128 bits without a meaning of their own.
        unsafe {
            let rounded = _mm256_cvtneps_pbh(_mm256_maskz_loadu_ps(mask, row));
            std::mem::transmute::<__m128bh, __m128i>(rounded)
        }
    }
}

impl Kept for u16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load_eight(row: *const u16, mask: __mmask8) -> __m128i {
        // Safety: promised by the caller.
        unsafe { _mm_maskz_loadu_epi16(mask, row.cast()) }
    }
}

/// How many rows of the inner dimension packing prefetches in advance.
const AHEAD: usize = 16;

/// Packs tiles of a matrix with contiguous columns, which are `stride` apart.
///
/// # Safety
/// The processor has AVX-512BW, AVX-512VL and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn pack_columns<T: Kept>(
    values: &[T],
    stride: usize,
    rows: &Range<usize>,
    depths: &Range<usize>,
    packed: &mut [u16],
) {
    let row = |depth: usize| match depth < depths.end {
        true => &values[depth * stride..][rows.clone()],
        false => &[],
    };
    for (pair, depth) in depths.clone().step_by(2).enumerate() {
        let (first, second) = (row(depth), row(depth + 1));
        for ahead in [AHEAD, AHEAD + 1] {
            prefetch(first.as_ptr().wrapping_add(ahead * stride), first.len());
        }
        for (tile, packed) in packed.chunks_exact_mut(tile_size::<Dot>()).enumerate() {
            let place = &mut packed[2 * ROWS * pair..][..STORED];
            // Safety: passed on; the place has room for a vector of 256 bits.
            unsafe {
                let (first, second) = (eight(first, tile), eight(second, tile));
                let (low, high) =
                    (_mm_unpacklo_epi16(first, second), _mm_unpackhi_epi16(first, second));
                _mm256_storeu_si256(place.as_mut_ptr().cast(), _mm256_set_m128i(high, low));
            }
        }
    }
}

/// The values of a row that belong to a tile, and zeros.
///
/// # Safety
/// The processor has AVX-512BW, VL and BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn eight<T: Kept>(row: &[T], tile: usize) -> __m128i {
    let row = &row[(tile * ROWS).min(row.len())..];
    let mask = pairs::lanes(row.len().min(ROWS)) as __mmask8;
    // Safety: the mask leaves only values of the row.
    unsafe { T::load_eight(row.as_ptr(), mask) }
}

/// Prefetches `count` values that will be read soon; places past the end do no harm.
fn prefetch<T>(start: *const T, count: usize) {
    for at in (0..count).step_by(64 / size_of::<T>()) {
        // Safety: a prefetch reads nothing and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at).cast()) };
    }
}
