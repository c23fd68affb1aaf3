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
        && std::arch::is_x86_feature_detected!("avx512vl")
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

    /// Pairs of 32 values at the same place of two rows: those of the first and of the last 16.
    /// Both rows have 32 values.
    unsafe fn interleave(first: *const Self, second: *const Self) -> [__m512i; 2];
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

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn interleave(first: *const f32, second: *const f32) -> [__m512i; 2] {
        // Safety: 32 values are there; the types are 512 bits without a meaning of their own.
        unsafe {
            let half = |at: usize| {
                let (first, second) =
                    (_mm512_loadu_ps(first.add(at)), _mm512_loadu_ps(second.add(at)));
                std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first))
            };
            [
                _mm512_permutexvar_epi16(in_pairs(), half(0)),
                _mm512_permutexvar_epi16(in_pairs(), half(LANES)),
            ]
        }
    }
}

/// What rounding leaves of an f32: the low half of a split value.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
struct Rest(f32);

/// Which bf16 a value becomes.
#[derive(Clone, Copy)]
pub(super) enum Half {
    /// The value, rounded.
    High,
    /// What that leaves, rounded.
    Low,
}

/// What rounding leaves, of values that round to finite ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn rest(value: __m512) -> __m512 {
    // Safety: both types are 256 bits without a meaning of their own.
    let rounded = unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value)) };
    let widened = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(rounded));
    let rest = _mm512_sub_ps(value, _mm512_castsi512_ps(widened));
    let finite =
        _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(rest), _mm512_set1_ps(f32::INFINITY));
    _mm512_maskz_mov_ps(finite, rest)
}

impl Kept for Rest {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn load(first: &[Rest], second: &[Rest]) -> __m512i {
        let load = |row: &[Rest]| {
            // Safety: the mask leaves only values of the row.
            rest(unsafe { _mm512_maskz_loadu_ps(lanes(row.len()), row.as_ptr().cast()) })
        };
        let rounded = _mm512_cvtne2ps_pbh(load(second), load(first));
        // Safety: both types are 512 bits without a meaning of their own.
        unsafe { std::mem::transmute::<__m512bh, __m512i>(rounded) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn interleave(first: *const Rest, second: *const Rest) -> [__m512i; 2] {
        // Safety: 32 values of each row are there.
        let half = |at: usize| unsafe {
            let row = |start: *const Rest| std::slice::from_raw_parts(start.add(at), LANES);
            interleaved(row(first), row(second))
        };
        [half(0), half(LANES)]
    }
}

/// Lane 2 i is value i of the lower half, lane 2 i + 1 that of the upper.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_pairs() -> __m512i {
    _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
        19, 3, 18, 2, 17, 1, 16, 0,
    )
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

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn interleave(first: *const u16, second: *const u16) -> [__m512i; 2] {
        let low = _mm512_set_epi16(
            47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36,
            4, 35, 3, 34, 2, 33, 1, 32, 0,
        );
        let high = _mm512_add_epi16(low, _mm512_set1_epi16(LANES as i16));
        // Safety: 32 values of each row are there.
        let (first, second) =
            unsafe { (_mm512_loadu_si512(first.cast()), _mm512_loadu_si512(second.cast())) };
        [
            _mm512_permutex2var_epi16(first, low, second),
            _mm512_permutex2var_epi16(first, high, second),
        ]
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
    _mm512_permutexvar_epi16(in_pairs(), rounded)
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

/// Calls a function that reads a matrix's values, whichever they are.
macro_rules! kept {
    ($matrix:expr, $half:expr, $read:ident($a:expr, $b:expr)) => {
        // Safety: the callers' target features are those that the functions need.
        unsafe {
            match ($matrix.values, $half) {
                (Values::F32(values), Half::High) => $read(values, $matrix.row_stride, $a, $b),
                (Values::F32(values), Half::Low) => {
                    let values: &[Rest] = bytemuck::cast_slice(values);
                    $read(values, $matrix.row_stride, $a, $b)
                }
                (Values::Bf16(values), Half::High) => $read(values, $matrix.row_stride, $a, $b),
                (Values::Bf16(_), Half::Low) => unreachable!("bf16 values have no low half"),
            }
        }
    };
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

/// `[16 rows, 32 depths]` of a matrix with contiguous rows.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn along_rows(
    matrix: Matrix<'_>,
    half: Half,
    rows: &Range<usize>,
    depths: &Range<usize>,
    tile: &mut Tile,
) {
    store(kept!(matrix, half, read_along(rows, depths)), tile);
}

/// `[16 pairs, 16 rows, 2]` of a matrix with contiguous rows: `along_rows` with pairs first.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn along(
    matrix: Matrix<'_>,
    half: Half,
    rows: &Range<usize>,
    depths: &Range<usize>,
    tile: &mut Tile,
) {
    store(pairs_along(matrix, half, rows, depths), tile);
}

/// The vectors of `along`: a pair of each of 16 rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pairs_along(
    matrix: Matrix<'_>,
    half: Half,
    rows: &Range<usize>,
    depths: &Range<usize>,
) -> [__m512i; LANES] {
    exchanged(kept!(matrix, half, read_along(rows, depths)))
}

/// The first 32 of `depths` of up to 8 rows, and then the others of the same rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn read_eight_along<T: Kept>(
    values: &[T],
    stride: usize,
    rows: &Range<usize>,
    depths: &Range<usize>,
) -> [__m512i; LANES] {
    let mut vectors = [_mm512_setzero_si512(); LANES];
    let (first, second) = vectors.split_at_mut(LANES / 2);
    let middle = depths.end.min(depths.start + 2 * LANES);
    for (row, (first, second)) in rows.clone().zip(first.iter_mut().zip(second)) {
        let row = &values[row * stride..][..depths.end];
        // Safety: passed on.
        unsafe {
            *first = consecutive(&row[depths.start..middle]);
            *second = consecutive(&row[middle..]);
        }
    }
    vectors
}

/// `[16 pairs, 2, 8 rows, 2]` of a matrix with contiguous rows at up to 64 depths: pair `p` of the
/// first 32 depths, and pair `p` of the others.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn along_eights(
    matrix: Matrix<'_>,
    half: Half,
    rows: &Range<usize>,
    depths: &Range<usize>,
    tile: &mut Tile,
) {
    store(exchanged(kept!(matrix, half, read_eight_along(rows, depths))), tile);
}

/// How many rows packing prefetches in advance: its reads are too far apart for the processor to
/// predict.
const AHEAD: usize = 64;

/// Two neighbours of such tiles, of up to 32 columns: `[2, 16 pairs, 16 columns, 2]`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn across_twice(
    matrix: Matrix<'_>,
    half: Half,
    depths: &Range<usize>,
    columns: &Range<usize>,
    tiles: &mut [Tile; 2],
) {
    let [left, right] = pairs_across(matrix, half, depths, columns);
    store(left, &mut tiles[0]);
    store(right, &mut tiles[1]);
}

/// `[32 columns, 32 depths]` of a matrix with contiguous rows: `across_twice` with columns first.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn across_twice_transposed(
    matrix: Matrix<'_>,
    half: Half,
    depths: &Range<usize>,
    columns: &Range<usize>,
    tiles: &mut [Tile; 2],
) {
    let [left, right] = pairs_across(matrix, half, depths, columns);
    store(exchanged(left), &mut tiles[0]);
    store(exchanged(right), &mut tiles[1]);
}

/// The vectors of `across_twice`: a pair of rows at the first and at the last 16 columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pairs_across(
    matrix: Matrix<'_>,
    half: Half,
    depths: &Range<usize>,
    columns: &Range<usize>,
) -> [[__m512i; LANES]; 2] {
    if columns.len() == 2 * LANES && depths.len() == 2 * LANES {
        return kept!(matrix, half, read_whole_across_twice(depths, columns));
    }
    let middle = columns.end.min(columns.start + LANES);
    let (first, second) = (columns.start..middle, middle..columns.end);
    [
        kept!(matrix, half, read_across(depths, &first)),
        kept!(matrix, half, read_across(depths, &second)),
    ]
}

/// Packs pairs of rows of a matrix with contiguous rows, whose rows are the inner dimension, at
/// whole `columns`, a multiple of 32: `[pairs, columns, 2]`. The pairs are whole too.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pack_whole_pairs(
    matrix: Matrix<'_>,
    half: Half,
    depths: &Range<usize>,
    columns: &Range<usize>,
    packed: &mut [u16],
) {
    let pack = &mut Packing { columns, packed };
    kept!(matrix, half, interleave_rows(depths, pack));
}

/// Where pairs of rows at some columns go.
struct Packing<'a> {
    columns: &'a Range<usize>,
    packed: &'a mut [u16],
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn interleave_rows<T: Kept>(
    values: &[T],
    stride: usize,
    depths: &Range<usize>,
    packing: &mut Packing<'_>,
) {
    let columns = packing.columns;
    let width = columns.len();
    assert!(
        depths.end * stride + columns.end <= values.len() + stride
            && width.is_multiple_of(2 * LANES)
            && packing.packed.len() <= depths.len() * width,
        "whole pairs of whole rows"
    );
    for (pair, packed) in packing.packed.chunks_exact_mut(2 * width).enumerate() {
        let row = values[(depths.start + 2 * pair) * stride + columns.start..].as_ptr();
        let places = packed.as_chunks_mut::<{ 4 * LANES }>().0;
        for (place, at) in places.iter_mut().zip((0..width).step_by(2 * LANES)) {
            // Safety: the columns of both rows are there (checked above); a place has room for two
            // vectors; a prefetch never faults.
            unsafe {
                let (first, second) = (row.add(at), row.wrapping_add(stride + at));
                _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(AHEAD * stride).cast());
                _mm_prefetch::<_MM_HINT_T1>(second.wrapping_add(AHEAD * stride).cast());
                let [left, right] = T::interleave(first, second);
                _mm512_storeu_si512(place.as_mut_ptr().cast(), left);
                _mm512_storeu_si512(place.as_mut_ptr().add(2 * LANES).cast(), right);
            }
        }
    }
}

/// `pairs_across` where nothing is missing: whole cache lines are read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn read_whole_across_twice<T: Kept>(
    values: &[T],
    stride: usize,
    depths: &Range<usize>,
    columns: &Range<usize>,
) -> [[__m512i; LANES]; 2] {
    let start = depths.start * stride + columns.start;
    assert!(start + (2 * LANES - 1) * stride + 2 * LANES <= values.len(), "rows of two tiles");
    let first = values[start..].as_ptr();
    let (mut left, mut right) = ([_mm512_setzero_si512(); LANES], [_mm512_setzero_si512(); LANES]);
    for (pair, (left, right)) in left.iter_mut().zip(&mut right).enumerate() {
        let row = first.wrapping_add(2 * pair * stride);
        // Safety: 32 values of each of the 32 rows are there; a prefetch never faults.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(row.wrapping_add(AHEAD * stride).cast());
            _mm_prefetch::<_MM_HINT_T1>(row.wrapping_add((AHEAD + 1) * stride).cast());
            [*left, *right] = T::interleave(row, row.wrapping_add(stride));
        }
    }
    [left, right]
}
