//! Packing for `vdpbf16ps`: panels `[pairs, PANEL, 2]` and tiles `[pairs, ROWS, 2]`.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::pack::tile_size;
use super::super::{DEPTH, Matrix};
use super::dot::{Dot, PANEL, ROWS};
use super::pairs::{self, Half, LANES, Tile};
use crate::cpu::prefetch::prefetch;
use crate::cpu::values::Values;

/// Values of the inner dimension in a square of pairs.
const DEPTHS: usize = 2 * LANES;
/// Rows that are packed together: those of a tile and two more, which are overwritten.
const EIGHT: usize = 8;
/// Values that are stored together: a pair of each of these rows.
const STORED: usize = 2 * EIGHT;

// What the last pair of a tile stores beyond it is in the line between tiles.
const _: () = assert!(ROWS <= EIGHT && tile_size::<Dot>() >= ROWS * DEPTH + STORED);

/// Packs one panel: `[pairs, PANEL, 2]`.
///
/// # Safety
/// The processor has AVX-512BW and AVX512-BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pack_panel(b: Matrix<'_>, panel: usize, values: &mut [u16]) {
    for (step, values) in values.chunks_mut(DEPTHS * PANEL).enumerate() {
        let depths = step * DEPTHS..((step + 1) * DEPTHS).min(b.rows);
        let columns = panel * PANEL..(panel + 1) * PANEL;
        if b.row_stride != 1 && columns.end <= b.columns && depths.len() == DEPTHS {
            pairs::pack_whole_pairs(b, Half::High, &depths, &columns, values);
            continue;
        }
        for half in 0..2 {
            let first = (panel * PANEL + half * DEPTHS).min(b.columns);
            let columns = first..(first + DEPTHS).min(b.columns);
            let middle = columns.end.min(first + LANES);
            let [left, right] = match b.row_stride {
                1 => {
                    let rows = b.transposed();
                    [
                        pairs::pairs_along(rows, Half::High, &(first..middle), &depths),
                        pairs::pairs_along(rows, Half::High, &(middle..columns.end), &depths),
                    ]
                }
                _ => pairs::pairs_across(b, Half::High, &depths, &columns),
            };
            for (pair, values) in values.chunks_exact_mut(2 * PANEL).enumerate() {
                let place = &mut values[half * PANEL..][..PANEL];
                // Safety: the place has room for two vectors.
                unsafe {
                    _mm512_storeu_si512(place.as_mut_ptr().cast(), left[pair]);
                    _mm512_storeu_si512(place.as_mut_ptr().add(DEPTHS).cast(), right[pair]);
                }
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
        pairs::along_eights(a, Half::High, rows, &depths, &mut square);
        // A chunk is one pair of all rows; those of the first 32 depths alternate with the others.
        let chunks = square.as_chunks::<STORED>().0;
        let in_order = chunks.iter().step_by(2).chain(chunks.iter().skip(1).step_by(2));
        for (pair, eight) in in_order.take(depths.len().div_ceil(2)).enumerate() {
            let place = 2 * ROWS * (2 * LANES * block + pair);
            packed[place..place + STORED].copy_from_slice(eight);
        }
    }
}

/// What a matrix keeps, loaded as bf16 eight at a time.
trait LoadEight: Copy {
    /// The first 8 values of a row.
    ///
    /// # Safety
    /// The values are readable; the processor has AVX-512VL and AVX512-BF16.
    unsafe fn load(row: *const Self) -> __m128i;

    /// The first values of a row, up to 8: those of the mask, and zeros.
    ///
    /// # Safety
    /// The values of the mask are readable; the processor has AVX-512BW, VL and BF16.
    unsafe fn load_first(row: *const Self, mask: __mmask8) -> __m128i;
}

impl LoadEight for f32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,avx512bf16")]
    unsafe fn load(row: *const f32) -> __m128i {
        // Safety: promised by the caller.
        unsafe { rounded(_mm256_loadu_ps(row)) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,avx512bf16")]
    unsafe fn load_first(row: *const f32, mask: __mmask8) -> __m128i {
        // Safety: promised by the caller.
        unsafe { rounded(_mm256_maskz_loadu_ps(mask, row)) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bf16")]
fn rounded(values: __m256) -> __m128i {
    // Safety: both types are 128 bits without a meaning of their own.
    unsafe { std::mem::transmute::<__m128bh, __m128i>(_mm256_cvtneps_pbh(values)) }
}

impl LoadEight for u16 {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load(row: *const u16) -> __m128i {
        // Safety: promised by the caller.
        unsafe { _mm_loadu_si128(row.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load_first(row: *const u16, mask: __mmask8) -> __m128i {
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
unsafe fn pack_columns<T: LoadEight>(
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
    let tiles = packed.len() / tile_size::<Dot>();
    assert!(depths.len() <= DEPTH && rows.len() <= tiles * ROWS, "tiles for all rows");
    for (pair, depth) in depths.clone().step_by(2).enumerate() {
        let (first, second) = (row(depth), row(depth + 1));
        for ahead in [AHEAD, AHEAD + 1] {
            prefetch(first.as_ptr().wrapping_add(ahead * stride), first.len());
        }
        // Tiles with eight values in both rows. Those of the next tile are overwritten by the next
        // pair, or come after the last.
        let whole = (second.len() + ROWS).saturating_sub(EIGHT) / ROWS;
        for tile in 0..tiles {
            let at = tile * ROWS;
            // Safety: both rows have eight values from `at` on, or the masks leave only values that
            // are there; `pair` is one of the tile's pairs.
            unsafe {
                let (first, second) = match tile < whole {
                    true => (T::load(first.as_ptr().add(at)), T::load(second.as_ptr().add(at))),
                    false => (load_first(first, at), load_first(second, at)),
                };
                let place = packed.as_mut_ptr().add(tile * tile_size::<Dot>() + 2 * ROWS * pair);
                store_pairs(first, second, place);
            }
        }
    }
}

/// Stores the values of two rows as pairs.
///
/// # Safety
/// `place` has room for 16 values; the processor has AVX-512F.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store_pairs(first: __m128i, second: __m128i, place: *mut u16) {
    let (low, high) = (_mm_unpacklo_epi16(first, second), _mm_unpackhi_epi16(first, second));
    // Safety: promised by the caller.
    unsafe { _mm256_storeu_si256(place.cast(), _mm256_set_m128i(high, low)) };
}

/// The values of a row from `at` on, at most those of a tile, and zeros.
///
/// # Safety
/// The processor has AVX-512BW, VL and BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn load_first<T: LoadEight>(row: &[T], at: usize) -> __m128i {
    let row = &row[at.min(row.len())..];
    let mask = pairs::lanes(row.len().min(ROWS)) as __mmask8;
    // Safety: the mask leaves only values of the row.
    unsafe { T::load_first(row.as_ptr(), mask) }
}
