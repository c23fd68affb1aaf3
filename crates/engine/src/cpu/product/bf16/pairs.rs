//! Tiles of bf16 values for instructions that multiply pairs along the inner dimension: 16 rows or
//! columns by 16 pairs, read from f32 and rounded, with zeros for what is missing.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::Matrix;
use super::super::avx512::transposed;
use crate::cpu::values::Values;

/// Values of a vector of f32.
pub(super) const LANES: usize = 16;
/// Values of a tile: 16 times 16 pairs.
pub(super) type Tile = [u16; 2 * LANES * LANES];

/// Whether the processor has the instructions of this file.
pub(super) fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512bf16")
}

/// A mask of the first `count` lanes.
pub(super) fn lanes(count: usize) -> __mmask16 {
    if count >= LANES { !0 } else { (1 << count) - 1 }
}

/// What a matrix keeps: values that are loaded as bf16.
///
/// # Safety
/// The functions may be called only where `available` holds.
trait Kept: Copy {
    /// The first 16 values of each of two rows as bf16, `first` in the lower half; zeros where a
    /// row has fewer.
    unsafe fn load(first: &[Self], second: &[Self]) -> __m512i;
}

impl Kept for f32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn load(first: &[f32], second: &[f32]) -> __m512i {
        let load = |row: &[f32]| {
            // Safety: the mask leaves only values of the row.
            unsafe { _mm512_maskz_loadu_ps(lanes(row.len()), row.as_ptr()) }
        };
        let rounded = _mm512_cvtne2ps_pbh(load(second), load(first));
        // Safety: both types are 512 bits without a meaning of their own.
        unsafe { std::mem::transmute::<__m512bh, __m512i>(rounded) }
    }
}

impl Kept for u16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn load(first: &[u16], second: &[u16]) -> __m512i {
        let load = |row: &[u16]| {
            let mask = __mmask32::from(lanes(row.len()));
            // Safety: the mask leaves only values of the row.
            let both = unsafe { _mm512_maskz_loadu_epi16(mask, row.as_ptr().cast()) };
            _mm512_castsi512_si256(both)
        };
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load(first)), load(second))
    }
}

/// The first 32 values of a row; zeros where it has fewer.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn consecutive<T: Kept>(row: &[T]) -> __m512i {
    let (first, second) = row.split_at(row.len().min(LANES));
    // Safety: passed on.
    unsafe { T::load(first, second) }
}

/// Pairs of the values at the same place of two rows: `[16, 2]`; zeros where a row has fewer.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn interleaved<T: Kept>(first: &[T], second: &[T]) -> __m512i {
    // Safety: passed on.
    let rounded = unsafe { T::load(first, second) };
    // Lane 2 i is value i of the first row, lane 2 i + 1 that of the second.
    let order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
        19, 3, 18, 2, 17, 1, 16, 0,
    );
    _mm512_permutexvar_epi16(order, rounded)
}

/// Rows and columns of 16 by 16 pairs exchanged.
#[inline]
#[target_feature(enable = "avx512f")]
fn exchanged(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    // Loops, since what `map` calls has not this function's instructions and is not inlined.
    let mut floats = [_mm512_setzero_ps(); LANES];
    for (float, row) in floats.iter_mut().zip(rows) {
        *float = _mm512_castsi512_ps(row);
    }
    let mut columns = rows;
    for (column, float) in columns.iter_mut().zip(transposed(floats)) {
        *column = _mm512_castps_si512(float);
    }
    columns
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(rows: [__m512i; LANES], tile: &mut Tile) {
    for (row, place) in rows.into_iter().zip(tile.as_chunks_mut::<{ 2 * LANES }>().0) {
        // Safety: a place of 64 bytes.
        unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), row) };
    }
}

/// The rows of a matrix with contiguous rows, `stride` apart, each its values at `depths`: up to 16
/// rows of up to 32 values.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn read_along<T: Kept>(
    values: &[T],
    stride: usize,
    rows: &Range<usize>,
    depths: &Range<usize>,
) -> [__m512i; LANES] {
    let mut vectors = [_mm512_setzero_si512(); LANES];
    for (row, vector) in rows.clone().zip(&mut vectors) {
        // Safety: passed on.
        *vector = unsafe { consecutive(&values[row * stride + depths.start..][..depths.len()]) };
    }
    vectors
}

/// Pairs of rows, `depths` of them, of a matrix with contiguous rows, each at `columns`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn read_across<T: Kept>(
    values: &[T],
    stride: usize,
    depths: &Range<usize>,
    columns: &Range<usize>,
) -> [__m512i; LANES] {
    let row = |depth: usize| match depth < depths.end {
        true => &values[depth * stride + columns.start..][..columns.len()],
        false => &[],
    };
    let mut vectors = [_mm512_setzero_si512(); LANES];
    for (depth, vector) in depths.clone().step_by(2).zip(&mut vectors) {
        // Safety: passed on.
        *vector = unsafe { interleaved(row(depth), row(depth + 1)) };
    }
    vectors
}

/// Calls a function that reads a matrix's values, whichever they are.
macro_rules! kept {
    ($matrix:expr, $read:ident($a:expr, $b:expr)) => {
        // Safety: the callers' target features are those that the functions need.
        unsafe {
            match $matrix.values {
                Values::F32(values) => $read(values, $matrix.row_stride, $a, $b),
                Values::Bf16(values) => $read(values, $matrix.row_stride, $a, $b),
            }
        }
    };
}

/// `[16 rows, 32 depths]` of a matrix with contiguous rows.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn along_rows(
    matrix: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    tile: &mut Tile,
) {
    store(kept!(matrix, read_along(rows, depths)), tile);
}

/// The same with pairs first: `[16 pairs, 16 rows, 2]`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn along(
    matrix: Matrix<'_>,
    rows: &Range<usize>,
    depths: &Range<usize>,
    tile: &mut Tile,
) {
    store(exchanged(kept!(matrix, read_along(rows, depths))), tile);
}

/// `[16 pairs, 16 columns, 2]` of a matrix with contiguous rows, whose rows are the inner
/// dimension.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn across(
    matrix: Matrix<'_>,
    depths: &Range<usize>,
    columns: &Range<usize>,
    tile: &mut Tile,
) {
    store(kept!(matrix, read_across(depths, columns)), tile);
}

/// How many rows packing prefetches in advance: its reads are too far apart for the processor to
/// predict.
const AHEAD: usize = 64;

/// Two neighbours of such tiles, of up to 32 columns: `[2, 16 pairs, 16 columns, 2]`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn across_twice(
    matrix: Matrix<'_>,
    depths: &Range<usize>,
    columns: &Range<usize>,
    tiles: &mut [Tile; 2],
) {
    let [left, right] = read_across_twice(matrix, depths, columns);
    store(left, &mut tiles[0]);
    store(right, &mut tiles[1]);
}

/// The same with columns first: `[32 columns, 32 depths]`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn across_twice_transposed(
    matrix: Matrix<'_>,
    depths: &Range<usize>,
    columns: &Range<usize>,
    tiles: &mut [Tile; 2],
) {
    let [left, right] = read_across_twice(matrix, depths, columns);
    store(exchanged(left), &mut tiles[0]);
    store(exchanged(right), &mut tiles[1]);
}

/// Pairs of rows at up to 32 columns, the first and the last 16 of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn read_across_twice(
    matrix: Matrix<'_>,
    depths: &Range<usize>,
    columns: &Range<usize>,
) -> [[__m512i; LANES]; 2] {
    if columns.len() == 2 * LANES
        && depths.len() == 2 * LANES
        && let Values::Bf16(values) = matrix.values
    {
        return read_whole_across_twice(values, matrix.row_stride, depths, columns);
    }
    let middle = columns.end.min(columns.start + LANES);
    let (first, second) = (columns.start..middle, middle..columns.end);
    [kept!(matrix, read_across(depths, &first)), kept!(matrix, read_across(depths, &second))]
}

/// The same where nothing is missing and no value must be rounded: whole cache lines are read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn read_whole_across_twice(
    values: &[u16],
    stride: usize,
    depths: &Range<usize>,
    columns: &Range<usize>,
) -> [[__m512i; LANES]; 2] {
    let low = _mm512_set_epi16(
        47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4,
        35, 3, 34, 2, 33, 1, 32, 0,
    );
    let high = _mm512_add_epi16(low, _mm512_set1_epi16(LANES as i16));
    let start = depths.start * stride + columns.start;
    assert!(start + (2 * LANES - 1) * stride + 2 * LANES <= values.len(), "rows of two tiles");
    let first = values[start..].as_ptr();
    let mut pairs = [[_mm512_setzero_si512(); LANES]; 2];
    for pair in 0..LANES {
        // Safety: 32 values of each of the 32 rows are there; a prefetch never faults.
        let (even, odd) = unsafe {
            let row = first.add(2 * pair * stride);
            _mm_prefetch::<_MM_HINT_T1>(row.wrapping_add(AHEAD * stride).cast());
            _mm_prefetch::<_MM_HINT_T1>(row.wrapping_add((AHEAD + 1) * stride).cast());
            (_mm512_loadu_si512(row.cast()), _mm512_loadu_si512(row.add(stride).cast()))
        };
        pairs[0][pair] = _mm512_permutex2var_epi16(even, low, odd);
        pairs[1][pair] = _mm512_permutex2var_epi16(even, high, odd);
    }
    pairs
}

/// The same with columns first: `[16 columns, 32 depths]`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn across_transposed(
    matrix: Matrix<'_>,
    depths: &Range<usize>,
    columns: &Range<usize>,
    tile: &mut Tile,
) {
    store(exchanged(kept!(matrix, read_across(depths, columns))), tile);
}
