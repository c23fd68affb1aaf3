//! The vectors of AVX2 and FMA, of which the [microkernel of f32](super::f32_kernel) is made.

use std::arch::x86_64::*;

use super::f32_kernel::{self, Vector};
use super::microkernel::{Left, Target};

/// Values in a register.
const LANES: usize = 8;

/// Vectors of AVX2 and FMA, which this processor has.
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

impl Vector for Avx2 {
    type Register = __m256;
    type Square = [__m256; LANES];
    const LANES: usize = LANES;
    const REGISTERS: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // Safety: `self` is proof of AVX2.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn square(self) -> Self::Square {
        [self.splat(0.0); LANES]
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // Safety: `self` is proof of AVX2.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn multiply_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // Safety: `self` is proof of FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn transposed(self, rows: Self::Square) -> Self::Square {
        // Safety: `self` is proof of AVX2.
        unsafe { transposed(rows) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // Safety: promised by the caller; `self` is proof of AVX2.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> __m256 {
        // Safety: promised by the caller; `self` is proof of AVX2. A whole register needs no mask.
        unsafe {
            match count >= LANES {
                true => _mm256_loadu_ps(from),
                false => _mm256_maskload_ps(from, lanes(count)),
            }
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, values: __m256) {
        // Safety: promised by the caller; `self` is proof of AVX2.
        unsafe { _mm256_storeu_ps(to, values) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, values: __m256) {
        // Safety: promised by the caller; `self` is proof of AVX2.
        unsafe {
            match count >= LANES {
                true => _mm256_storeu_ps(to, values),
                false => _mm256_maskstore_ps(to, lanes(count), values),
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn fixed_tile<const ROWS: usize, const REGISTERS: usize>(
        self,
        steps: usize,
        left: Left<f32>,
        panel: *const f32,
        target: Target,
    ) {
        // Safety: passed on from the caller.
        unsafe {
            f32_kernel::fixed_tile::<_, ROWS, REGISTERS>(self, steps, left, panel, target);
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn pack_transposed(
        self,
        start: *const f32,
        stride: usize,
        columns: usize,
        depth: usize,
        panel: &mut [f32],
    ) {
        // Safety: passed on from the caller.
        unsafe { f32_kernel::pack_transposed(self, start, stride, columns, depth, panel) }
    }
}

/// A mask of the first `count` lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes(count: usize) -> __m256i {
    let count = _mm256_set1_epi32(count.min(LANES) as i32);
    _mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
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
